import { setTimeout as wait } from 'node:timers/promises';
import type { Bench } from './bench.ts';
import type { Figure, Target } from './figure.ts';
import { keepInFlight } from './load.ts';
import { cpuSeconds, type ProcessGroups } from './process-cpu.ts';
import { type Round, takeRounds } from './rounds.ts';
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

/** Steps per second and CPU per step, over several rounds of one uninterrupted load. */
export interface Throughput {
  readonly name: string;
  readonly inFlight: number;
  /** Medians of the rounds. */
  readonly stepsPerSecond: number;
  readonly cpuMicrosPerStep: number;
  readonly cpuMicrosPerStepBy: Readonly<Record<string, number>>;
  readonly coresOfOthers: number;
  readonly rounds: readonly Round<Rate>[];
}

interface Rate {
  readonly stepsPerSecond: number;
  /** In all processes but the driver's. */
  readonly cpuMicrosPerStep: number;
  readonly cpuMicrosPerStepBy: Readonly<Record<string, number>>;
}

const WARM_UP_SECONDS = 3;

export async function measureThroughput(bench: Bench, options: ThroughputOptions): Promise<Throughput> {
  const load = keepInFlight(options.inFlight, options.runOne);
  try {
    await Promise.race([wait(WARM_UP_SECONDS * 1_000), load.failed]);
    const rounds = await takeRounds(
      bench,
      `${options.name}, ${options.inFlight} in flight`,
      () => measureRate(bench.seconds, options, load.failed),
      describe,
    );
    return summary(options, rounds);
  } finally {
    await load.stop();
  }
}

/** The two figures of a throughput, with what the design asks of them. */
export function throughputFigures(
  found: Throughput,
  targets: { readonly stepsPerSecond?: Target; readonly cpuMicrosPerStep?: Target } = {},
): readonly Figure[] {
  const name = `${found.name}, ${found.inFlight} in flight`;
  const { coresOfOthers } = found;
  const rounds = found.rounds.map((round) => round.found);
  return [
    {
      name,
      unit: 'steps/s',
      value: found.stepsPerSecond,
      rounds: rounds.map((rate) => rate.stepsPerSecond),
      coresOfOthers,
      ...withTarget(targets.stepsPerSecond),
    },
    {
      name: `${name}, CPU per step`,
      unit: 'µs',
      value: found.cpuMicrosPerStep,
      rounds: rounds.map((rate) => rate.cpuMicrosPerStep),
      coresOfOthers,
      ...withTarget(targets.cpuMicrosPerStep),
    },
  ];
}

const withTarget = (target: Target | undefined): { readonly target?: Target } => (target === undefined ? {} : { target });

async function measureRate(seconds: number, options: ThroughputOptions, failed: Promise<never>): Promise<Rate> {
  const before = await snapshot(options);
  await Promise.race([wait(seconds * 1_000), failed]);
  const after = await snapshot(options);
  const steps = after.steps - before.steps;
  if (steps <= 0) throw new Error(`${options.name}: no step was done in ${seconds} s`);
  const used = Object.entries(after.cpu).map(
    ([name, total]) => [name, rounded(((total - (before.cpu[name] ?? 0)) * 1e6) / steps)] as const,
  );
  return {
    stepsPerSecond: rounded((steps * 1_000) / (after.at - before.at)),
    cpuMicrosPerStep: rounded(used.reduce((sum, [name, micros]) => (name === 'driver' ? sum : sum + micros), 0)),
    cpuMicrosPerStepBy: Object.fromEntries(used),
  };
}

async function snapshot(
  options: ThroughputOptions,
): Promise<{ readonly at: number; readonly steps: number; readonly cpu: Record<string, number> }> {
  const steps = await options.steps();
  return { at: performance.now(), steps, cpu: cpuSeconds(options.groups()) };
}

function summary({ name, inFlight }: ThroughputOptions, rounds: readonly Round<Rate>[]): Throughput {
  const middle = (pick: (rate: Rate) => number): number => median(rounds.map((round) => pick(round.found)));
  const components = Object.keys(rounds[0]?.found.cpuMicrosPerStepBy ?? {});
  return {
    name,
    inFlight,
    stepsPerSecond: middle((rate) => rate.stepsPerSecond),
    cpuMicrosPerStep: middle((rate) => rate.cpuMicrosPerStep),
    cpuMicrosPerStepBy: Object.fromEntries(
      components.map((component) => [component, middle((rate) => rate.cpuMicrosPerStepBy[component] ?? 0)]),
    ),
    coresOfOthers: median(rounds.map((round) => round.coresOfOthers)),
    rounds,
  };
}

function describe(rate: Rate): string {
  const by = Object.entries(rate.cpuMicrosPerStepBy).map(([name, micros]) => `${name} ${Math.round(micros)}`);
  return `${Math.round(rate.stepsPerSecond)} steps/s, ${Math.round(rate.cpuMicrosPerStep)} µs CPU per step (${by.join(', ')})`;
}
