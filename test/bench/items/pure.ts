/** What the pure parts cost, without any system around them. */
import { decide } from '@mandate/domain';
import type { Bench, Item } from '../bench.ts';
import type { Figure, Target } from '../figure.ts';
import { modelSays } from '../../../packages/domain/src/workflow/given.ts';
import { answerNext, delegatedTree, submitted } from '../programs/told-workflow.ts';
import { analyzeTask } from '../../../services/analyzer/src/analyze-task.ts';
import { percentile, rounded } from '../statistics.ts';

const CALLS = 20_000;
const VERBS = ['Read', 'Summarise', 'Compare', 'Translate', 'Count', 'Explain', 'Extract', 'Delete', 'Research', 'Plan'];
const OBJECTS = [
  'the quarterly sales report',
  'every markdown file under docs/',
  'these two contracts',
  'the error log of last night',
  'our public API',
  'the customer interviews',
  'the unit tests',
  'the budget table',
];
const TAILS = [
  'and mail me the result',
  'in three sentences',
  'without changing any file',
  'then write a table with the ten largest numbers',
  'and say what is missing',
  'as JSON',
  'for an auditor',
  'before Friday',
  'and check it twice',
  'using no more than two tools',
  'in German',
  'with sources',
];

export const pure: Item = {
  name: 'pure',
  title: 'Pure parts in one process: analysis of a task, one decision',
  measure: async (bench) => ({ figures: [...measureAnalysis(bench), ...measureDecision(bench), ...measureDelegatedDecision(bench)] }),
};

/** A thousand different tasks, each analyzed anew. */
function measureAnalysis(bench: Bench): readonly Figure[] {
  const tasks = VERBS.flatMap((verb) => OBJECTS.flatMap((object) => TAILS.map((tail) => `${verb} ${object} ${tail}.`)));
  const micros = timeEach(CALLS, (index) => analyzeTask(tasks[index % tasks.length] ?? ''));
  return microFigures(bench, 'analysis of a task, uncached', micros, { atMost: 200 });
}

/** The answer of a tool in the middle of a chain: settled, and the next model call reserved. */
function measureDecision(bench: Bench): readonly Figure[] {
  const telling = submitted('decide');
  while (telling.workflow.stepCount < 8) answerNext(telling, 13, 1);
  const [attempt] = telling.open('tool');
  if (attempt === undefined) throw new Error('the eighth step of the chain is not a tool call');
  const input = {
    kind: 'result',
    attempt: attempt.id,
    outcome: 'succeeded',
    answer: { kind: 'tool', isError: false, resultBytes: 64, truncated: false },
  } as const;
  const micros = timeEach(CALLS, () => decide(input, telling.workflow, { now: telling.now, bus: telling.bus }));
  return microFigures(bench, 'one decision', micros, { atMost: 100 });
}

/** The last of ten children answers: it is settled, ended and released, and its parent asks again. */
function measureDelegatedDecision(bench: Bench): readonly Figure[] {
  const telling = delegatedTree(10);
  const [attempt] = telling.open('llm');
  if (attempt === undefined) throw new Error('no child is at work');
  const input = { kind: 'result', attempt: attempt.id, outcome: 'succeeded', answer: modelSays() } as const;
  const micros = timeEach(CALLS / 4, () => decide(input, telling.workflow, { now: telling.now, bus: telling.bus }));
  return microFigures(bench, 'one decision in a tree of 11 agents', micros, { atMost: 100 });
}

function timeEach(times: number, work: (index: number) => unknown): readonly number[] {
  for (let i = 0; i < times / 4; i++) work(i);
  return Array.from({ length: times }, (_, index) => {
    const started = performance.now();
    work(index);
    return (performance.now() - started) * 1_000;
  });
}

function microFigures(bench: Bench, name: string, micros: readonly number[], p50: Target): readonly Figure[] {
  const [half, most] = [rounded(percentile(micros, 0.5)), rounded(percentile(micros, 0.99))];
  bench.say(`${name}: p50 ${half} µs, p99 ${most} µs`);
  return [
    { name: `${name}, p50`, unit: 'µs', value: half, target: p50 },
    { name: `${name}, p99`, unit: 'µs', value: most },
  ];
}
