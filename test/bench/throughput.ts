import { setTimeout as wait } from 'node:timers/promises';
import type { Bench } from './bench.ts';
import type { Figure, Target } from './figure.ts';
import { keepInFlight } from './load.ts';
import { cpuSeconds, machineBusySeconds, type ProcessGroups } from './process-cpu.ts';
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
export interface Throughput extends Round {
  readonly name: string;
  readonly inFlight: number;
  readonly rounds: readonly Round[];
}

interface Round {
  readonly stepsPerSecond: number;
  /** In all processes but the driver's. */
  readonly cpuMicrosPerStep: number;
  readonly cpuMicrosPerStepBy: Readonly<Record<string, number>>;
  /** Cores that neither the system nor the driver used: what somebody else took from the measurement. */
  readonly coresOfOthers: number;
}

const WARM_UP_SECONDS = 3;

export async function measureThroughput(bench: Bench, options: ThroughputOptions): Promise<Throughput> {
  const load = keepInFlight(options.inFlight, options.runOne);
  const rounds: Round[] = [];
  try {
    await Promise.race([wait(WARM_UP_SECONDS * 1_000), load.failed]);
    for (let number = 1; number <= bench.rounds; number++) {
      const round = await oneRound(bench.seconds, options, load.failed);
      rounds.push(round);
      bench.say(`${options.name}, ${options.inFlight} in flight, round ${number} of ${bench.rounds}: ${describe(round)}`);
    }
  } finally {
    await load.stop();
  }
  return { name: options.name, inFlight: options.inFlight, ...medianRound(rounds), rounds };
}

/** The two figures of a throughput, with what the design asks of them. */
export function throughputFigures(found: Throughput, targets: { readonly stepsPerSecond?: Target; readonly cpuMicrosPerStep?: Target } = {}): readonly Figure[] {
  const name = `${found.name}, ${found.inFlight} in flight`;
  return [
    { name, unit: 'steps/s', value: found.stepsPerSecond, rounds: found.rounds.map((round) => round.stepsPerSecond), ...withTarget(targets.stepsPerSecond) },
    { name: `${name}, CPU per step`, unit: 'µs', value: found.cpuMicrosPerStep, rounds: found.rounds.map((round) => round.cpuMicrosPerStep), ...withTarget(targets.cpuMicrosPerStep) },
  ];
}

const withTarget = (target: Target | undefined): { readonly target?: Target } => (target === undefined ? {} : { target });

async function oneRound(seconds: number, options: ThroughputOptions, failed: Promise<never>): Promise<Round> {
  const before = await snapshot(options);
  await Promise.race([wait(seconds * 1_000), failed]);
  const after = await snapshot(options);
  const steps = after.steps - before.steps;
  if (steps <= 0) throw new Error(`${options.name}: no step was done in ${seconds} s`);
  const used = Object.entries(after.cpu).map(([name, total]) => [name, total - (before.cpu[name] ?? 0)] as const);
  const elapsed = (after.at - before.at) / 1_000;
  const micros = (cpu: number): number => rounded((cpu * 1e6) / steps);
  return {
    stepsPerSecond: rounded(steps / elapsed),
    cpuMicrosPerStep: micros(sum(used.filter(([name]) => name !== 'driver'))),
    cpuMicrosPerStepBy: Object.fromEntries(used.map(([name, cpu]) => [name, micros(cpu)])),
    coresOfOthers: Math.max(0, Math.round((100 * (after.busy - before.busy - sum(used))) / elapsed) / 100),
  };
}

const sum = (parts: readonly (readonly [string, number])[]): number => parts.reduce((total, [, cpu]) => total + cpu, 0);

async function snapshot(options: ThroughputOptions): Promise<{ readonly at: number; readonly steps: number; readonly cpu: Record<string, number>; readonly busy: number }> {
  const steps = await options.steps();
  return { at: performance.now(), steps, cpu: cpuSeconds(options.groups()), busy: machineBusySeconds() };
}

function medianRound(rounds: readonly Round[]): Round {
  const components = Object.keys(rounds[0]?.cpuMicrosPerStepBy ?? {});
  return {
    stepsPerSecond: median(rounds.map((round) => round.stepsPerSecond)),
    cpuMicrosPerStep: median(rounds.map((round) => round.cpuMicrosPerStep)),
    cpuMicrosPerStepBy: Object.fromEntries(components.map((name) => [name, median(rounds.map((round) => round.cpuMicrosPerStepBy[name] ?? 0))])),
    coresOfOthers: median(rounds.map((round) => round.coresOfOthers)),
  };
}

function describe(round: Round): string {
  const by = Object.entries(round.cpuMicrosPerStepBy).map(([name, micros]) => `${name} ${Math.round(micros)}`);
  const others = round.coresOfOthers > 0.1 ? `; others used ${round.coresOfOthers} cores` : '';
  return `${Math.round(round.stepsPerSecond)} steps/s, ${Math.round(round.cpuMicrosPerStep)} µs CPU per step (${by.join(', ')})${others}`;
}
