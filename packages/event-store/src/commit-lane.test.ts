import { expect, it } from 'vitest';
import { CommitLane } from './commit-lane.ts';
import type { StreamWrite } from './event-log.ts';
import { StoreUnavailable, WrongExpectedVersion } from './failures.ts';

const write = (stream: string): StreamWrite => ({
  partition: 1,
  stream,
  tenant: 'acme',
  expectedVersion: 0,
  events: [{ version: 1, type: 'x', schema: 1, at: 0, envelope: '{}', hash: Buffer.alloc(32) }],
  headHash: Buffer.alloc(32),
  open: false,
});

it('does not go on asking a store that was lost while a refused batch was tried in parts', async () => {
  const asked: string[][] = [];
  // Refuses a batch and is gone right after it: no real store can be stopped at that moment.
  const store = {
    append: (writes: readonly StreamWrite[]): Promise<never> => {
      asked.push(writes.map(({ stream }) => stream));
      return Promise.reject(writes.length > 1 ? new WrongExpectedVersion(['nobody'], undefined) : new StoreUnavailable('gone'));
    },
  };
  const lane = new CommitLane(store);
  const streams = ['a', 'b', 'c', 'd'];
  const outcomes = await Promise.all(
    streams.map((stream) =>
      lane.commit(write(stream), 1).then(
        () => 'stored',
        (error: Error) => error.name,
      ),
    ),
  );
  expect(outcomes).toEqual(streams.map(() => 'StoreUnavailable'));
  expect(asked).toEqual([streams, ['a']]);
});
