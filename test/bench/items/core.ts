import pg from 'pg';
import { setTimeout as wait } from 'node:timers/promises';
import type { Bench, Item } from '../bench.ts';
import { BusDoor } from '../bus-door.ts';
import { type CoreStack, startCoreStack } from '../core-stack.ts';
import type { Figure } from '../figure.ts';
import { keepInFlight } from '../load.ts';
import { counter } from '../metrics-page.ts';
import { percentile, rounded, thinned } from '../statistics.ts';
import { hearStepTimes } from '../step-latency.ts';
import { measureThroughput, type Throughput } from '../throughput.ts';

/** 13 model calls with a tool call between each two: 25 steps. Longer chains would measure the growing prompt. */
const CHAIN = 'look around [[turns:13]]';
const IN_FLIGHT = [16, 64, 256] as const;
const WARM_UP_CHAINS = 60;

/** Command out, worker answers at once, result back, decision committed, next command out. */
export const core: Item = {
  name: 'core',
  title: 'core step (instant workers in their own processes, chains of 25 steps over the bus)',
  measure: async (bench) => {
    const stack = await startCoreStack(bench);
    const door = new BusDoor(stack.bus);
    try {
      const latency = await oneAtATime(bench, stack, door);
      const single = await throughputs(bench, stack, door, IN_FLIGHT, 'core step');
      await stack.addOrchestrator();
      await untilShared(stack, 2);
      const shared = await throughputs(bench, stack, door, [64, 256], 'core step, 2 orchestrators');
      return {
        figures: [...latencyFigures(latency), ...single.flatMap((one) => throughputFigures('core step', one)), ...shared.flatMap((one) => throughputFigures('core step, 2 orchestrators', one))],
        details: { throughput: single, twoOrchestrators: shared },
      };
    } finally {
      door.stop();
      await stack.stop();
    }
  },
};

async function oneAtATime(bench: Bench, stack: CoreStack, door: BusDoor): Promise<readonly number[]> {
  for (let i = 0; i < WARM_UP_CHAINS; i++) await door.submit(CHAIN);
  const heard = hearStepTimes(stack.bus);
  const load = keepInFlight(1, () => door.submit(CHAIN));
  await Promise.race([wait(bench.rounds * bench.seconds * 1_000), load.failed]);
  await load.stop();
  heard.stop();
  bench.say(`core step, 1 in flight: p50 ${percentile(heard.stepMs, 0.5).toFixed(2)} ms, p99 ${percentile(heard.stepMs, 0.99).toFixed(2)} ms over ${heard.stepMs.length} steps`);
  return heard.stepMs;
}

async function throughputs(bench: Bench, stack: CoreStack, door: BusDoor, inFlight: readonly number[], name: string): Promise<readonly Throughput[]> {
  const found: Throughput[] = [];
  for (const count of inFlight) {
    found.push(await measureThroughput(bench, { name, inFlight: count, runOne: () => door.submit(CHAIN), steps: () => settledSteps(stack), groups: stack.groups }));
  }
  return found;
}

/** As the orchestrators count them: an attempt is settled once, in one process. */
const settledSteps = (stack: CoreStack): Promise<number> => counter(stack.orchestrators.map((each) => each.url()), 'mandate_events_total', { type: 'attempt.settled' });

async function untilShared(stack: CoreStack, owners: number): Promise<void> {
  const client = new pg.Client({ connectionString: stack.servers.postgres.url('mandate') });
  await client.connect();
  try {
    for (;;) {
      const { rows } = await client.query<{ partitions: number }>('select count(*)::int as partitions from es.partition group by owner');
      if (rows.length === owners && rows.every((row) => row.partitions === 16 / owners)) return;
      await wait(100);
    }
  } finally {
    await client.end();
  }
}

const latencyFigures = (stepMs: readonly number[]): readonly Figure[] => [
  { name: 'core step, 1 workflow in flight, p50', unit: 'ms', value: rounded(percentile(stepMs, 0.5)), target: { atMost: 1.5 }, samples: thinned(stepMs) },
  { name: 'core step, 1 workflow in flight, p99', unit: 'ms', value: rounded(percentile(stepMs, 0.99)) },
];

function throughputFigures(name: string, found: Throughput): readonly Figure[] {
  const isTarget = found.inFlight === 256 && name === 'core step';
  const of = (pick: (round: Throughput['rounds'][number]) => number): readonly number[] => found.rounds.map(pick);
  return [
    { name: `${name}, ${found.inFlight} in flight`, unit: 'steps/s', value: found.stepsPerSecond, rounds: of((round) => round.stepsPerSecond), ...(isTarget ? { target: { atLeast: 4_000 } } : {}) },
    { name: `${name}, ${found.inFlight} in flight, CPU per step`, unit: 'µs', value: found.cpuMicrosPerStep, rounds: of((round) => round.cpuMicrosPerStep), ...(isTarget ? { target: { atMost: 450 } } : {}) },
  ];
}
