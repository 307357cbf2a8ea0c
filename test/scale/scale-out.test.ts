import { SERVICES, type ServiceName } from '@mandate/contracts';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openGate } from '../faults/seeded/tcp-gate.ts';
import { loadedWorld } from '../faults/seeded/trial.ts';
import { measured, underLoad } from '../faults/seeded/under-load.ts';
import { PartitionWatch } from '../journeys/partition-watch.ts';
import { startWorld, until, type World, type WorldOptions } from '../world.ts';

/** Any number of any service, coming and going under load. `npm run faults -- --all` runs this; `npm test` has no time for it. */
let home: string;
let world: World | undefined;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'mandate-scale-'));
});
afterEach(async () => {
  await world?.stop();
  world = undefined;
  await rm(home, { recursive: true, force: true });
});

const started = async (options: WorldOptions): Promise<World> => (world = await startWorld({ ...loadedWorld(home), ...options }));

it('1, 2, 4 of a service share its work; every task keeps its order and ends once', async () => {
  const of = await started({});
  const scaled = ['orchestrator', 'analyzer', 'llm-router', 'tool-runner', 'projector'] as const;
  const grow = (): Promise<unknown> => Promise.all(scaled.map((name) => of.stack.add(name)));
  const ownersOf = (table: string): Promise<readonly { readonly owner: string; readonly n: number }[]> =>
    of.sql(`select owner, count(*)::int as n from ${table} group by owner order by owner`);
  const shared = (table: string, among: number): Promise<true | undefined> =>
    until(15_000, async () =>
      (await ownersOf(table)).filter(({ owner, n }) => owner !== null && n === 16 / among).length === among ? true : undefined,
    );
  const slot = async (): Promise<string> =>
    (await of.sql<{ slot: string }>("select slot from read.generation where state = 'serving'"))[0]?.slot ?? '';
  await underLoad(of, home, 8, async () => {
    await grow();
    expect(await shared('es.partition', 2), JSON.stringify(await ownersOf('es.partition'))).toBe(true);
    await grow();
    await grow();
    expect(await shared('es.partition', 4), JSON.stringify(await ownersOf('es.partition'))).toBe(true);
    expect(await shared(`${await slot()}.lease`, 4)).toBe(true);
    const since = Date.now();
    const workers = async (): Promise<ReadonlyMap<string, number>> => {
      const rows = await of.sql<{ service: string; n: number }>(
        `select split_part(envelope->'data'->>'worker', '/', 1) as service, count(distinct envelope->'data'->>'worker')::int as n
           from es.event where type = 'attempt.settled' and at > to_timestamp($1 / 1000.0) group by 1`,
        [since],
      );
      return new Map(rows.map(({ service, n }) => [service, n]));
    };
    const each = async (): Promise<true | undefined> => {
      const found = await workers();
      return (['analyzer', 'llm-router', 'tool-runner'] as const).every((name) => found.get(name) === 4) ? true : undefined;
    };
    expect(await until(30_000, each), JSON.stringify([...(await workers())])).toBe(true);
  });
});

it('an orchestrator that cannot hear the bus gives way, though Postgres hears it', async () => {
  let port = 0;
  const gate = await openGate(() => port);
  const of = await started({
    instances: { orchestrator: 2 },
    envOf: (instance, natsUrl) => {
      port = Number(new URL(natsUrl).port);
      return instance === 'orchestrator-1' ? { NATS_URL: `nats://127.0.0.1:${gate.port}` } : {};
    },
  });
  const watch = await PartitionWatch.open(of);
  const cutMs = 12_000;
  await underLoad(of, home, 4, async () => {
    await watch.begin();
    gate.cut();
    await wait(cutMs);
    gate.mend();
  });
  const silence = Math.round(await watch.longestSilence());
  measured(`no partition was idle for longer than ${silence} ms when its owner was cut off from NATS for ${cutMs} ms`);
  expect(silence).toBeLessThan(cutMs - 2_000);
  await watch.close();
  await gate.close();
});

it('every service restarted one after the other under load: nothing is lost, and nobody hears of a failure but "try again"', async () => {
  const of = await started({ instances: Object.fromEntries(SERVICES.map((name) => [name, 2])) as Record<ServiceName, number> });
  const answers = new Map<number, number>();
  const bare: string[] = [];
  const unreached = new Set<string>();
  let isOver = false;
  const reader = async (n: number): Promise<void> => {
    for (let i = n; !isOver; i++) {
      const gateway = 1 + (i % 2);
      const answer = await of.api('/api/v1/tasks?limit=1', { signal: AbortSignal.timeout(10_000) }, gateway).catch((error: unknown) => {
        unreached.add(
          `${of.stack.service('gateway', gateway).pid() === 0 ? 'stopped' : 'running'}: ${((error as Error).cause as Error | undefined)?.message ?? ''}`,
        );
      });
      if (answer === undefined) continue;
      answers.set(answer.status, (answers.get(answer.status) ?? 0) + 1);
      if (answer.status >= 500 && !(answer.status === 503 && answer.headers.get('retry-after') !== null))
        bare.push(`${answer.status} ${await answer.text()}`);
      else await answer.body?.cancel();
      await wait(20);
    }
  };
  await underLoad(of, home, 5, async () => {
    const readers = [0, 1, 2, 3].map(reader);
    for (const service of [...of.stack.services()]) {
      await service.stop();
      await service.restart();
    }
    isOver = true;
    await Promise.all(readers);
  });
  measured(`answers while all was restarted: ${JSON.stringify(Object.fromEntries(answers))}; not reached: ${[...unreached].join('; ')}`);
  expect(bare).toEqual([]);
  expect(answers.get(200)).toBeGreaterThan(100);
  expect([...unreached].filter((how) => how.startsWith('running') && !how.includes('ECONNREFUSED'))).toEqual([]);
});
