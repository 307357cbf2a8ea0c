import type { EventLog } from '@mandate/event-store';
import type { Logger } from '@mandate/service-kit';
import { expect, it } from 'vitest';
import type { Shared } from './decisions.ts';
import { Leases } from './leases.ts';

it('a process that stops while it prolongs its leases takes nothing more, and is no member any more', async () => {
  const asked: string[] = [];
  let kept = Promise.resolve({ owned: [] as readonly number[], members: 1 });
  const says =
    <T>(what: string, value: T) =>
    (): Promise<T> => {
      asked.push(what);
      return Promise.resolve(value);
    };
  const log = {
    keepPartitions: () =>
      kept.then((answer) => {
        asked.push('kept');
        return answer;
      }),
    takePartitions: says('take', []),
    notePublished: says('note', undefined),
    resign: says('resign', undefined),
    leave: says('leave', undefined),
  } as unknown as EventLog;
  const shared = { bus: { listen: () => ({ stop: () => undefined }), tell: () => undefined } } as unknown as Shared;
  const leases = new Leases(log, { warn: () => undefined } as unknown as Logger, { isDeaf: false }, 'us');
  await leases.start(shared, undefined);
  expect(asked).toEqual(['kept', 'note', 'take']);

  asked.length = 0;
  const slow = Promise.withResolvers<Awaited<typeof kept>>();
  kept = slow.promise;
  leases.fenced();
  const stopping = leases.stop();
  await new Promise(setImmediate);
  slow.resolve({ owned: [], members: 1 });
  await stopping;
  await new Promise(setImmediate);
  // The answer makes whoever asked a member: it comes before the resignation.
  expect(asked).toEqual(['kept', 'note', 'resign', 'leave']);
});
