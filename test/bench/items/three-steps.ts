import type { Item } from '../bench.ts';
import { BusDoor } from '../bus-door.ts';
import { settledSteps, startCoreStack } from '../core-stack.ts';
import { latencyFigures, timeOneByOne } from '../latency.ts';
import { measureThroughput, type Throughput, throughputFigures } from '../throughput.ts';

/** A model call, a tool call, a model call. */
const THREE_STEPS = 'look once [[turns:2]]';
const WARM_UP_TASKS = 300;

/** W1: the workflow that the peers were measured with (Restate, DBOS, LangGraph, Mastra, BullMQ). */
export const threeSteps: Item = {
  name: 'w1',
  title: 'Three-step workflow (W1): submitted over the bus, instant workers in their own processes',
  measure: async (bench) => {
    const stack = await startCoreStack(bench);
    const door = new BusDoor(stack.bus);
    try {
      for (let i = 0; i < WARM_UP_TASKS; i++) await door.submit(THREE_STEPS);
      const name = 'W1, submit to result, idle';
      const idle = latencyFigures(name, await timeOneByOne(bench, name, () => door.submit(THREE_STEPS)), {
        p50: { atMost: 4.5 },
        p99: { atMost: 12 },
      });
      const throughput: Throughput[] = [];
      for (const inFlight of [16, 64, 256]) {
        throughput.push(
          await measureThroughput(bench, {
            name: 'W1',
            inFlight,
            runOne: () => door.submit(THREE_STEPS),
            steps: () => settledSteps(stack.orchestrators),
            groups: stack.groups,
          }),
        );
      }
      return { figures: [...idle, ...throughput.flatMap((found) => throughputFigures(found))], details: { throughput } };
    } finally {
      door.stop();
      await stack.stop();
    }
  },
};
