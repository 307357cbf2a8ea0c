import type { CrashCase } from './crash-points.ts';
import { spentOf, storyOf, type World } from '../world.ts';

export const COUNTING_TASK = 'count once [[plan: tool counter__read {}; tool counter__increment {}; say counted]]';

const READING_CHILD = '[[plan: tool counter__read {}; say read]]';
const COUNTING_CHILD = `[[plan: tool counter__increment {}; tool delegate ${JSON.stringify({ agent: 'analyst', task: READING_CHILD, tools: ['counter__read'] })}; say done]]`;
/** The root sends a child that counts and sends a grandchild that reads. */
export const DELEGATED_TASK = `count far away [[plan: tool delegate ${JSON.stringify({ agent: 'automator', task: COUNTING_CHILD, tools: ['counter__increment', 'counter__read'] })}; say counted]]`;

const TASKS = {
  /** Steps: 1 analysis, 2 model, 3 reading, 4 model, 5 counting, 6 model. */
  counting: { task: COUNTING_TASK, countingStep: 'a0_s5 succeeded' },
  delegated: { task: DELEGATED_TASK, countingStep: 'a0-1_s2 succeeded' },
} as const;

export type References = Readonly<Record<keyof typeof TASKS, readonly string[]>>;

/** What runs without any death look like. */
export async function referenceStories(world: World): Promise<References> {
  const stories = await Promise.all(
    Object.entries(TASKS).map(async ([name, { task }]) => {
      const workflow = await world.submit(task);
      await world.ended(workflow);
      return [name, storyOf(await world.history(workflow))] as const;
    }),
  );
  return Object.fromEntries(stories) as unknown as References;
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
export async function tryCrash(world: World, one: CrashCase, references: References): Promise<Trial> {
  const { task: text, countingStep } = TASKS[one.task ?? 'counting'];
  const reference = references[one.task ?? 'counting'];
  const before = { counted: world.counted(), billed: world.model.bill() };
  await world.armCrash(one.point, one.n);
  const workflow = await world.submit(text);
  const task = await world.ended(workflow);
  const history = await world.history(workflow);
  const spent = spentOf(history);
  const billed = world.model.bill();
  return {
    happened: world.crashHappened(),
    story: storyOf(history),
    expected: reference.map((line) => (one.counting === 'unknown' && line === countingStep ? line.replace('succeeded', 'unknown') : line)),
    counted: world.counted() - before.counted,
    spentAtLeastBilled:
      spent.moneyMicroUsd >= billed.costMicroUsd - before.billed.costMicroUsd &&
      spent.modelCalls >= billed.billedRequests - before.billed.billedRequests,
    answer: task.answer,
  };
}
