/** The wait before the n-th restart in a row (from 1): 200 ms, doubling, at most 10 s. */
export function restartDelayMs(restart: number): number {
  return Math.min(10_000, 200 * 2 ** (restart - 1));
}
