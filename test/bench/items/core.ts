import pg from 'pg';
import type { Bench, Item } from '../bench.ts';
import { BusDoor } from '../bus-door.ts';
import { type CoreStack, settledSteps, startCoreStack } from '../core-stack.ts';
import { latencyFigures, timeWhatIsHeard } from '../latency.ts';
import { hearStepTimes } from '../step-latency.ts';
import { measureThroughput, type Throughput, throughputFigures } from '../throughput.ts';
import { until } from '../until.ts';

/** 13 model calls with a tool call between each two: 25 steps. Longer chains would measure the growing prompt. */
const CHAIN = 'look around [[turns:13]]';
const WARM_UP_CHAINS = 60;
const PARTITIONS = 16;

/** Command out, worker answers at once, result back, decision committed, next command out. */
export const core: Item = {
  name: 'core',
  title: 'Core step: instant workers in their own processes, chains of 25 steps over the bus',
  measure: async (bench) => {
    const stack = await startCoreStack(bench);
    const door = new BusDoor(stack.bus);
    try {
      for (let i = 0; i < WARM_UP_CHAINS; i++) await door.submit(CHAIN);
      const name = 'core step, 1 in flight';
      const stepTimes = await timeWhatIsHeard(
        bench,
        name,
        () => door.submit(CHAIN),
        (work) => hearStepTimes(stack.bus, work),
      );
      const latencies = latencyFigures(name, stepTimes, { p50: { atMost: 1.5 } });
      const one = await throughputs(bench, stack, door, [16, 64, 256], 'core step');
      await stack.addOrchestrator();
      await until('two orchestrators share the partitions', async () =>
        (await partitionsByOwner(stack)).join() === `${PARTITIONS / 2},${PARTITIONS / 2}` ? true : undefined,
      );
      const two = await throughputs(bench, stack, door, [64, 256], 'core step, 2 orchestrators');
      const figures = [...one, ...two].flatMap((found) =>
        throughputFigures(
          found,
          found.name === 'core step' && found.inFlight === 256
            ? { stepsPerSecond: { atLeast: 4_000 }, cpuMicrosPerStep: { atMost: 450 } }
            : {},
        ),
      );
      return { figures: [...latencies, ...figures], details: { throughput: [...one, ...two] } };
    } finally {
      door.stop();
      await stack.stop();
    }
  },
};

async function throughputs(
  bench: Bench,
  stack: CoreStack,
  door: BusDoor,
  inFlight: readonly number[],
  name: string,
): Promise<readonly Throughput[]> {
  const found: Throughput[] = [];
  for (const count of inFlight) {
    found.push(
      await measureThroughput(bench, {
        name,
        inFlight: count,
        runOne: () => door.submit(CHAIN),
        steps: () => settledSteps(stack.orchestrators),
        groups: stack.groups,
      }),
    );
  }
  return found;
}

async function partitionsByOwner(stack: CoreStack): Promise<readonly number[]> {
  const client = new pg.Client({ connectionString: stack.servers.postgres.url('mandate') });
  await client.connect();
  try {
    const { rows } = await client.query<{ partitions: number }>(
      'select count(*)::int as partitions from es.partition where owner is not null group by owner',
    );
    return rows.map((row) => row.partitions);
  } finally {
    await client.end();
  }
}
