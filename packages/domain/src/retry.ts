/** When a step is tried again. One policy per kind of step; numbers in milliseconds. */
export interface RetryPolicy {
  /** Tries in all, the first included. */
  readonly maxAttempts: number;
  readonly baseMs: number;
  readonly capMs: number;
}

export const RETRY = {
  analyze: { maxAttempts: 5, baseMs: 100, capMs: 2_000 },
  llm: { maxAttempts: 6, baseMs: 500, capMs: 30_000 },
  tool: { maxAttempts: 4, baseMs: 250, capMs: 10_000 },
} as const satisfies Record<string, RetryPolicy>;

/**
 * Full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter"), but drawn from the attempt's name
 * instead of a random source: a replay waits exactly as long as the run did.
 *
 * @returns milliseconds to wait before try number `attempt + 1`; a provider's `retryAfterMs` is a lower bound.
 */
export function backoffMs(policy: RetryPolicy, attempt: number, seed: string, retryAfterMs = 0): number {
  const ceiling = Math.min(policy.capMs, policy.baseMs * 2 ** (attempt - 1));
  return Math.max(retryAfterMs, Math.floor(unitInterval(seed) * ceiling));
}

/** A number in [0, 1) from a name: FNV-1a with a final mix (murmur3's), so that neighbours do not get neighbouring values. */
function unitInterval(seed: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < seed.length; i++) h = Math.imul(h ^ seed.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return ((h ^ (h >>> 16)) >>> 0) / 2 ** 32;
}
