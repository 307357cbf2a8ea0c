import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CRASH_CASES } from './crash-points.ts';
import { referenceStory, tryCrash } from './crash-trial.ts';
import { startWorld, type World } from '../world.ts';

let world: World;
let reference: readonly string[];
beforeAll(async () => {
  world = await startWorld();
  reference = await referenceStory(world);
}, 60_000);
afterAll(() => world?.stop());

describe('a process killed', () => {
  it.each(CRASH_CASES.filter((one) => one.listed === true))(
    '$service, $when: the task completes, the counting is $counting',
    async (one) => {
      const trial = await tryCrash(world, one, reference);
      expect(trial).toMatchObject({ happened: true, counted: one.counted, spentAtLeastBilled: true, answer: 'counted' });
      expect(trial.story).toEqual(trial.expected);
    },
  );
});
