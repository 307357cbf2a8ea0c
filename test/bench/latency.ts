import { setTimeout as wait } from 'node:timers/promises';
import type { Bench } from './bench.ts';
import type { Figure, Target } from './figure.ts';
import { keepInFlight } from './load.ts';
import { percentile, rounded, thinned } from './statistics.ts';

/** Runs one thing after the other for the whole of the bench's rounds and returns how long each took, in ms. */
export async function timeOneByOne(bench: Bench, runOne: () => Promise<unknown>): Promise<readonly number[]> {
  const samples: number[] = [];
  const load = keepInFlight(1, async () => {
    const started = performance.now();
    await runOne();
    samples.push(performance.now() - started);
  });
  await Promise.race([wait(bench.rounds * bench.seconds * 1_000), load.failed]);
  await load.stop();
  return samples;
}

/** p50 and p99 of samples in ms; the raw samples go with the p50. */
export function latencyFigures(bench: Bench, name: string, samplesMs: readonly number[], targets: { readonly p50?: Target; readonly p99?: Target } = {}): readonly Figure[] {
  const figures: readonly Figure[] = [
    { name: `${name}, p50`, unit: 'ms', value: rounded(percentile(samplesMs, 0.5)), samples: thinned(samplesMs), ...(targets.p50 === undefined ? {} : { target: targets.p50 }) },
    { name: `${name}, p99`, unit: 'ms', value: rounded(percentile(samplesMs, 0.99)), ...(targets.p99 === undefined ? {} : { target: targets.p99 }) },
  ];
  bench.say(`${name}: p50 ${figures[0]?.value} ms, p99 ${figures[1]?.value} ms over ${samplesMs.length} samples`);
  return figures;
}
