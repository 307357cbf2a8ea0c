import { expect } from 'vitest';
import type { World } from '../../world.ts';
import { Draw } from './draw.ts';
import { checkInvariants, rememberKeys } from './invariants.ts';
import { Load } from './load.ts';
import { marksFileIn } from './trial.ts';

/** Prints a figure. What is asserted is only what tells right from wrong. */
export const measured = (what: string): boolean => process.stdout.write(`measured: ${what}\n`);

/** Tasks come in for as long as `work` takes; then every invariant is checked. `home`: the folder of the world. */
export async function underLoad(world: World, home: string, perSecond: number, work: () => Promise<void>): Promise<void> {
  const load = await Load.open(world, new Draw(7));
  let isOver = false;
  try {
    await Promise.all([load.run(() => isOver, perSecond), work().finally(() => (isOver = true))]);
    rememberKeys(world, load.submitted);
    const outcome = await checkInvariants({ world, load, marksFile: marksFileIn(home), older: undefined });
    measured(`${outcome.tasks} tasks, ${JSON.stringify(outcome.ends)}`);
    expect(outcome.tasks).toBe(load.submitted.length);
  } finally {
    await load.close();
  }
}
