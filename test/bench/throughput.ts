import { setTimeout as wait } from 'node:timers/promises';
import type { Bench } from './bench.ts';
import { keepInFlight } from './load.ts';
import { cpuSeconds, type ProcessGroups } from './process-cpu.ts';
import { median, rounded } from './statistics.ts';

export interface ThroughputOptions {
  readonly name: string;
  readonly inFlight: number;
  /** One task, from submission to result. */
  readonly runOne: () => Promise<unknown>;
  /** Steps done since the start of the system. */
  readonly steps: () => Promise<number>;
  readonly groups: () => ProcessGroups;
}

/** Steps per second and CPU per step: the median of several rounds of one uninterrupted load. */
export interface Throughput {
  readonly inFlight: number;
  readonly stepsPerSecond: number;
  /** In all processes but the driver's. */
  readonly cpuMicrosPerStep: number;
  readonly cpuMicrosPerStepBy: Readonly<Record<string, number>>;
  readonly rounds: readonly Round[];
}

interface Round {
  readonly stepsPerSecond: number;
  readonly cpuMicrosPerStep: number;
  readonly cpuMicrosPerStepBy: Readonly<Record<string, number>>;
}

const WARM_UP_SECONDS = 3;

export async function measureThroughput(bench: Bench, options: ThroughputOptions): Promise<Throughput> {
  const load = keepInFlight(options.inFlight, options.runOne);
  const rounds: Round[] = [];
  try {
    await Promise.race([wait(WARM_UP_SECONDS * 1_000), load.failed]);
    for (let round = 1; round <= bench.rounds; round++) {
      const measured = await oneRound(bench.seconds, options, load.failed);
      rounds.push(measured);
      bench.say(
        `${options.name}, ${options.inFlight} in flight, round ${round} of ${bench.rounds}: ${Math.round(measured.stepsPerSecond)} steps/s, ${Math.round(measured.cpuMicrosPerStep)} µs CPU per step`,
      );
    }
  } finally {
    await load.stop();
  }
  return summary(options.inFlight, rounds);
}

async function oneRound(seconds: number, options: ThroughputOptions, failed: Promise<never>): Promise<Round> {
  const before = await snapshot(options);
  await Promise.race([wait(seconds * 1_000), failed]);
  const after = await snapshot(options);
  const steps = after.steps - before.steps;
  if (steps <= 0) throw new Error(`${options.name}: no step was done in ${seconds} s`);
  const by = Object.fromEntries(Object.entries(after.cpu).map(([name, total]) => [name, rounded(((total - (before.cpu[name] ?? 0)) * 1e6) / steps)]));
  const all = Object.entries(by).reduce((sum, [name, micros]) => (name === 'driver' ? sum : sum + micros), 0);
  return { stepsPerSecond: rounded((steps * 1_000) / (after.at - before.at)), cpuMicrosPerStep: rounded(all), cpuMicrosPerStepBy: by };
}

async function snapshot(options: ThroughputOptions): Promise<{ readonly at: number; readonly steps: number; readonly cpu: Record<string, number> }> {
  const steps = await options.steps();
  return { at: performance.now(), steps, cpu: cpuSeconds(options.groups()) };
}

function summary(inFlight: number, rounds: readonly Round[]): Throughput {
  const components = Object.keys(rounds[0]?.cpuMicrosPerStepBy ?? {});
  return {
    inFlight,
    stepsPerSecond: median(rounds.map((round) => round.stepsPerSecond)),
    cpuMicrosPerStep: median(rounds.map((round) => round.cpuMicrosPerStep)),
    cpuMicrosPerStepBy: Object.fromEntries(components.map((name) => [name, median(rounds.map((round) => round.cpuMicrosPerStepBy[name] ?? 0))])),
    rounds,
  };
}
