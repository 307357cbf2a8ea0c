import { readFile } from 'node:fs/promises';
import type { Bench, Item } from '../bench.ts';
import { BusDoor } from '../bus-door.ts';
import { type CoreStack, settledSteps, startCoreStack } from '../core-stack.ts';
import type { Figure } from '../figure.ts';
import { latencyFigures, timeOneByOne } from '../latency.ts';
import { median, percentile, rounded } from '../statistics.ts';
import { measureThroughput, throughputFigures } from '../throughput.ts';

/**
 * The peers' W2 in our words: a root with a model call and a tool call, four children with two model calls each (an answer
 * and its rating) at the same time, and one call that joins them: 11 steps. The tool runs beside the children.
 */
const W2 = 'look [[children:4:rated]] [[at-once]]';
/** The same shape with whole tool loops: root 3 steps, 4 children with 3 each, 1 joining: 16 steps, 7 of them in a row. */
const WIDE = 'look [[turns:2]] [[children:4:turns:2]]';
/** A child between two calls of its parent, and a tool call between two calls. */
const ONE_CHILD = 'look [[children:1:turns:1]]';
const ONE_TOOL = 'look [[turns:2]]';
const WARM_UP_TASKS = 150;
/** 125 roots with 7 children each. */
const ROOTS = 125;
const CROWD = 'look [[children:7:turns:1]] [[delay:200]]';

export const delegated: Item = {
  name: 'w2',
  title: 'Delegated workflow (W2): root, four children at once, one joining step, over the bus',
  measure: async (bench) => {
    const stack = await startCoreStack(bench);
    const door = new BusDoor(stack.bus);
    try {
      for (let i = 0; i < WARM_UP_TASKS; i++) await door.submit(W2);
      const idle = await timeOneByOne(bench, 'W2, submit to result, idle', () => door.submit(W2));
      const wide = await timeOneByOne(bench, 'W2 with tool loops (16 steps), idle', () => door.submit(WIDE));
      const overhead = await delegationOverhead(bench, door);
      const throughput = [];
      for (const inFlight of [16, 64]) {
        const steps = (): Promise<number> => settledSteps(stack.orchestrators);
        throughput.push(
          await measureThroughput(bench, { name: 'W2', inFlight, runOne: () => door.submit(W2), steps, groups: stack.groups }),
        );
      }
      const crowd = await thousandAgents(bench, stack, door);
      return {
        figures: [
          ...latencyFigures('W2, submit to result, idle', idle, { p50: { atMost: 11 }, p99: { atMost: 27 } }),
          ...latencyFigures('W2 with tool loops (16 steps), idle', wide),
          ...overhead,
          ...throughput.flatMap((found) => throughputFigures(found)),
          ...crowd,
        ],
        details: { throughput },
      };
    } finally {
      door.stop();
      await stack.stop();
    }
  },
};

/** What a child costs more than a tool call in the same place: its mandate, its decision, its own prompt. */
async function delegationOverhead(bench: Bench, door: BusDoor): Promise<readonly Figure[]> {
  const child = await timeOneByOne(bench, 'one child between two calls', () => door.submit(ONE_CHILD));
  const tool = await timeOneByOne(bench, 'one tool call between two calls', () => door.submit(ONE_TOOL));
  const half = (latency: typeof child): number =>
    percentile(
      latency.flatMap((round) => round.found),
      0.5,
    );
  const coresOfOthers = median(child.map((round) => round.coresOfOthers));
  return [
    {
      name: 'delegation overhead, p50 (a child instead of a tool call)',
      unit: 'ms',
      value: rounded(half(child) - half(tool)),
      coresOfOthers,
    },
  ];
}

/** A thousand agents at once, every model call taking 200 ms: three calls in a row are 600 ms at least. */
async function thousandAgents(bench: Bench, stack: CoreStack, door: BusDoor): Promise<readonly Figure[]> {
  const started = performance.now();
  let most = 0;
  const watch = setInterval(() => {
    void memoryOf(stack).then(
      (now) => (most = Math.max(most, now)),
      () => undefined,
    );
  }, 100);
  const results = await Promise.all(Array.from({ length: ROOTS }, () => door.submit(CROWD)));
  clearInterval(watch);
  const seconds = (performance.now() - started) / 1_000;
  const completed = results.filter(({ status }) => status === 'completed').length;
  bench.say(`1,000 agents at once: ${seconds.toFixed(2)} s, ${completed} of ${ROOTS} completed, orchestrator ${most.toFixed(0)} MB`);
  return [
    { name: '1,000 agents at once with a 200 ms model, all completed after', unit: 's', value: rounded(seconds) },
    { name: '1,000 agents at once, tasks lost', unit: 'workflows', value: ROOTS - completed, target: { atMost: 0 } },
    { name: '1,000 agents at once, most memory of the orchestrator', unit: 'MB', value: rounded(most) },
  ];
}

async function memoryOf(stack: CoreStack): Promise<number> {
  const sizes = await Promise.all(
    stack.orchestrators.map(async (one) => Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${one.pid()}/status`, 'utf8'))?.[1] ?? 0)),
  );
  return sizes.reduce((sum, size) => sum + size, 0) / 1_024;
}
