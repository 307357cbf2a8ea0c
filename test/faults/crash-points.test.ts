import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CRASH_CASES } from './crash-points.ts';
import { type References, referenceStories, tryCrash } from './crash-trial.ts';
import { startWorld, type World } from '../world.ts';

let world: World;
let references: References;
beforeAll(async () => {
  world = await startWorld();
  references = await referenceStories(world);
}, 60_000);
afterAll(() => world?.stop());

describe('a process killed', () => {
  it.each(CRASH_CASES.filter((one) => one.listed === true))(
    '$service, $when: the task completes, the counting is $counting',
    async (one) => {
      const trial = await tryCrash(world, one, references);
      expect(trial).toMatchObject({ happened: true, counted: one.counted, spentAtLeastBilled: true, answer: 'counted' });
      expect(trial.story).toEqual(trial.expected);
    },
  );
});
