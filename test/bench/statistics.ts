const MOST_SAMPLES = 2_000;

/** The value below which `share` (0 to 1) of the samples lie, by nearest rank. @throws when there are no samples */
export function percentile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const found = sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))];
  if (found === undefined) throw new Error('nothing was measured');
  return found;
}

export const median = (samples: readonly number[]): number => percentile(samples, 0.5);

/** At most 2,000 of the samples, evenly picked, in their order, in thousandths. */
export function thinned(samples: readonly number[]): number[] {
  const every = Math.max(1, Math.ceil(samples.length / MOST_SAMPLES));
  return samples.filter((_, index) => index % every === 0).map((sample) => Math.round(sample * 1_000) / 1_000);
}

export const rounded = (value: number): number => Number(value.toPrecision(4));
