import { setTimeout as wait } from 'node:timers/promises';
import type { Bench } from './bench.ts';
import type { Figure, Target } from './figure.ts';
import { keepInFlight } from './load.ts';
import { type Round, takeRounds } from './rounds.ts';
import { median, percentile, rounded, thinned } from './statistics.ts';

/** Milliseconds of many repetitions, round by round. */
export type Latency = readonly Round<readonly number[]>[];

/** Runs one thing after the other and times each. */
export const timeOneByOne = (bench: Bench, name: string, runOne: () => Promise<unknown>): Promise<Latency> =>
  takeRounds(bench, name, () => timesOf(bench.seconds, runOne), describe);

/** Runs one thing after the other, and takes the times that `hear` gives for what happened meanwhile. */
export const timeWhatIsHeard = (
  bench: Bench,
  name: string,
  runOne: () => Promise<unknown>,
  hear: (work: () => Promise<unknown>) => Promise<readonly number[]>,
): Promise<Latency> => takeRounds(bench, name, () => hear(() => timesOf(bench.seconds, runOne)), describe);

/** p50 and p99 over all counted rounds; the raw samples go with the p50. */
export function latencyFigures(
  name: string,
  latency: Latency,
  targets: { readonly p50?: Target; readonly p99?: Target } = {},
): readonly Figure[] {
  const samples = latency.flatMap((round) => round.found);
  const coresOfOthers = median(latency.map((round) => round.coresOfOthers));
  const figure = (share: number, target: Target | undefined): Figure => ({
    name: `${name}, p${share * 100}`,
    unit: 'ms',
    value: rounded(percentile(samples, share)),
    rounds: latency.map((round) => rounded(percentile(round.found, share))),
    coresOfOthers,
    ...(target === undefined ? {} : { target }),
  });
  return [{ ...figure(0.5, targets.p50), samples: thinned(samples) }, figure(0.99, targets.p99)];
}

async function timesOf(seconds: number, runOne: () => Promise<unknown>): Promise<readonly number[]> {
  const samples: number[] = [];
  const load = keepInFlight(1, async () => {
    const started = performance.now();
    await runOne();
    samples.push(performance.now() - started);
  });
  await Promise.race([wait(seconds * 1_000), load.failed]);
  await load.stop();
  return samples;
}

const describe = (samples: readonly number[]): string =>
  `p50 ${percentile(samples, 0.5).toFixed(2)} ms, p99 ${percentile(samples, 0.99).toFixed(2)} ms over ${samples.length}`;
