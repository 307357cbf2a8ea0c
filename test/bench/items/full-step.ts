import type { Bench, Item } from '../bench.ts';
import { settledSteps } from '../core-stack.ts';
import type { Figure } from '../figure.ts';
import { type FullStack, instancesOf, startFullStack } from '../full-stack.ts';
import { HttpDoor } from '../http-door.ts';
import { latencyFigures, timeOneByOne, timeWhatIsHeard } from '../latency.ts';
import { residentMegabytes } from '../process-cpu.ts';
import { takeRounds } from '../rounds.ts';
import { median, percentile, rounded, thinned } from '../statistics.ts';
import { hearStepTimes } from '../step-latency.ts';
import { measureThroughput, type Throughput, throughputFigures } from '../throughput.ts';

const TOOL_CALLS = 12;
const WARM_UP_TASKS = 100;
const READERS = 32;
const MANY = 1_000;
const DIRECT = { pattern: 'direct' };

/** One step with everything on: gateway, analyzer, real router and runner, projector, traces, encryption. */
export const fullStep: Item = {
  name: 'full',
  title: 'Full step: stub model over real HTTP, local MCP file server, projector, telemetry, encryption, submitted through the gateway',
  measure: async (bench) => {
    const full = await startFullStack(bench);
    const door = new HttpDoor({ url: full.stack.gatewayUrl, apiKey: full.stack.apiKey('acme'), bus: full.bus });
    try {
      return await measureFull(bench, full, door);
    } finally {
      door.stop();
      await full.stop();
    }
  },
};

async function measureFull(bench: Bench, full: FullStack, door: HttpDoor): Promise<Awaited<ReturnType<Item['measure']>>> {
  const chain = planOf(full.note, TOOL_CALLS);
  const threeSteps = planOf(full.note, 1);
  for (let i = 0; i < WARM_UP_TASKS; i++) await door.submit(threeSteps, {});
  const spansBefore = full.spans();
  const [step, wholeTask] = ['full step, 1 in flight', 'full W1 with analysis, POST with wait to finished task, idle'];
  const figures: Figure[] = [
    ...latencyFigures(
      step,
      await timeWhatIsHeard(
        bench,
        step,
        () => door.submit(chain, DIRECT),
        (work) => hearStepTimes(full.bus, work),
      ),
    ),
    ...latencyFigures(wholeTask, await timeOneByOne(bench, wholeTask, () => door.submitAndWait(threeSteps, {}))),
  ];
  const throughput: Throughput[] = [];
  for (const inFlight of [16, 64, 256]) {
    const found = await measureThroughput(bench, {
      name: 'full step',
      inFlight,
      runOne: () => door.submit(chain, DIRECT),
      steps: () => settledSteps(instancesOf(full.stack, 'orchestrator')),
      groups: full.groups,
    });
    throughput.push(found);
    figures.push(...throughputFigures(found));
  }
  figures.push(...(await readRate(bench, door)), ...(await manyAtOnce(bench, door)));
  const residentMb = Object.fromEntries(full.stack.services().map((service) => [service.name, rounded(residentMegabytes(service.pid()))]));
  return { figures, details: { throughput, spans: full.spans() - spansBefore, residentMbAfterLoad: residentMb } };
}

/** `GET /api/v1/tasks/:id` of a finished task, 32 at a time. */
async function readRate(bench: Bench, door: HttpDoor): Promise<readonly Figure[]> {
  const list = JSON.parse((await door.send('GET', '/api/v1/tasks?limit=1&status=completed')).body) as {
    data: readonly { workflow: string }[];
  };
  const path = `/api/v1/tasks/${list.data[0]?.workflow}`;
  const name = `GET /api/v1/tasks/:id, ${READERS} at a time`;
  const latency = await takeRounds(
    bench,
    name,
    () => readAtOnce(bench.seconds, door, path),
    (samples) => `${Math.round(samples.length / bench.seconds)} requests/s`,
  );
  const rates = latency.map((round) => rounded(round.found.length / bench.seconds));
  return [{ name, unit: 'requests/s', value: median(rates), rounds: rates, target: { atLeast: 1_000 } }, ...latencyFigures(name, latency)];
}

/** A thousand tasks submitted in one moment, each with one model call of 200 ms. */
async function manyAtOnce(bench: Bench, door: HttpDoor): Promise<readonly Figure[]> {
  const name = `${MANY.toLocaleString('en-US')} tasks at once, one model call of 200 ms each`;
  const started = performance.now();
  const task = async (): Promise<number> => {
    await door.submit('Say so. [[plan: say so]] [[delay:200]]', DIRECT);
    return performance.now() - started;
  };
  const ended = await Promise.allSettled(Array.from({ length: MANY }, task));
  const timesMs = ended.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  bench.say(`${name}: ${timesMs.length} completed, the last after ${Math.round(percentile(timesMs, 1))} ms`);
  return [
    { name: `${name}: all completed after`, unit: 'ms', value: Math.round(percentile(timesMs, 1)), samples: thinned(timesMs) },
    { name: `${name}: completed`, unit: 'workflows', value: timesMs.length, target: { atLeast: MANY } },
  ];
}

async function readAtOnce(seconds: number, door: HttpDoor, path: string): Promise<readonly number[]> {
  const samples: number[] = [];
  const until = performance.now() + seconds * 1_000;
  const reader = async (): Promise<void> => {
    while (performance.now() < until) {
      const sent = performance.now();
      const answer = await door.send('GET', path);
      if (answer.status !== 200) throw new Error(`GET ${path} answered ${answer.status}`);
      samples.push(performance.now() - sent);
    }
  };
  await Promise.all(Array.from({ length: READERS }, reader));
  return samples;
}

/** Read the note so many times, a model call between each, then say so: `2 × calls + 1` steps. */
function planOf(note: string, calls: number): string {
  const call = `tool files__read_text_file ${JSON.stringify({ path: note })}`;
  return `Read the note. [[plan: ${Array.from({ length: calls }, () => call).join('; ')}; say the note was read]]`;
}
