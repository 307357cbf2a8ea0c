import type { CrashCase } from './crash-points.ts';
import { spentOf, storyOf, type World } from '../world.ts';

export const COUNTING_TASK = 'count once [[plan: tool counter__read {}; tool counter__increment {}; say counted]]';

/** What a run without any death looks like. */
export async function referenceStory(world: World): Promise<readonly string[]> {
  const workflow = await world.submit(COUNTING_TASK);
  await world.ended(workflow);
  return storyOf(await world.history(workflow));
}

export interface Trial {
  readonly happened: boolean;
  readonly story: readonly string[];
  readonly expected: readonly string[];
  readonly counted: number;
  readonly spentAtLeastBilled: boolean;
  readonly answer: string | null;
}

/** One task with one death. The oracles are the stub's own count and the counter's own file. */
export async function tryCrash(world: World, one: CrashCase, reference: readonly string[]): Promise<Trial> {
  const before = { counted: world.counted(), billed: world.model.bill() };
  await world.armCrash(one.point, one.n);
  const workflow = await world.submit(COUNTING_TASK);
  const task = await world.ended(workflow);
  const history = await world.history(workflow);
  const spent = spentOf(history);
  const billed = world.model.bill();
  return {
    happened: world.crashHappened(),
    story: storyOf(history),
    expected: reference.map((line) => (one.counting === 'unknown' && line === COUNTING_STEP ? line.replace('succeeded', 'unknown') : line)),
    counted: world.counted() - before.counted,
    spentAtLeastBilled:
      spent.moneyMicroUsd >= billed.costMicroUsd - before.billed.costMicroUsd &&
      spent.modelCalls >= billed.billedRequests - before.billed.billedRequests,
    answer: task.answer,
  };
}

/** Steps: 1 analysis, 2 model, 3 reading, 4 model, 5 counting, 6 model. */
const COUNTING_STEP = 'a0_s5 succeeded';
