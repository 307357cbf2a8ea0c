import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { loadedWorld } from '../faults/seeded/trial.ts';
import { measured, underLoad } from '../faults/seeded/under-load.ts';
import { startWorld, until, type World, type WorldOptions } from '../world.ts';
import { PartitionWatch } from './partition-watch.ts';

/** Orchestrators come and go under load. More of that: `test/scale`. */
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

it('partitions move at once from who stops, and soon from who dies', async () => {
  const of = await started({ instances: { orchestrator: 2 } });
  const watch = await PartitionWatch.open(of);
  const silences: Record<'stop' | 'kill', number[]> = { stop: [], kill: [] };
  await underLoad(of, home, 8, async () => {
    for (const how of ['stop', 'kill'] as const) {
      const victim = of.stack.service('orchestrator', how === 'stop' ? 1 : 2);
      await watch.begin();
      await victim[how]();
      silences[how].push(Math.round(await watch.longestSilence()));
      await victim.restart();
      // Until the new one has its share.
      await until(10_000, async () =>
        (await of.sql('select owner from es.partition group by owner having count(*) = 8')).length === 2 ? true : undefined,
      );
    }
  });
  await watch.close();
  measured(
    `no partition was idle for longer than ${silences.stop.join(', ')} ms at a clean stop, ${silences.kill.join(', ')} ms at a kill -9`,
  );
  // A lease that is not given back runs out after 2 s at the soonest.
  expect(Math.max(...silences.stop)).toBeLessThan(2_000);
  expect(Math.max(...silences.kill)).toBeLessThan(10_000);
});
