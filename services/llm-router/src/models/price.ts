import type { TokenUsage } from '../language-model.ts';

/** What a model costs, in integer micro-USD per million tokens. */
export interface Price {
  readonly inputMicroUsdPerMillionTokens: number;
  readonly outputMicroUsdPerMillionTokens: number;
  readonly cachedInputMicroUsdPerMillionTokens: number;
  readonly cacheWriteMicroUsdPerMillionTokens: number;
}

/** USD as vendors print it to micro-USD. Rounds up, but not over the noise of binary fractions (0.15 is 150000). */
export const microUsdOf = (usd: number): number => Math.ceil(Math.round(usd * 1e9) / 1e3);

/** The cost of a call in integer micro-USD, rounded up once. */
export function costOf(price: Price, usage: TokenUsage): number {
  const fresh = Math.max(0, usage.inputTokens - usage.cachedInputTokens - usage.cacheWriteTokens);
  const perMillion =
    fresh * price.inputMicroUsdPerMillionTokens +
    usage.cachedInputTokens * price.cachedInputMicroUsdPerMillionTokens +
    usage.cacheWriteTokens * price.cacheWriteMicroUsdPerMillionTokens +
    usage.outputTokens * price.outputMicroUsdPerMillionTokens;
  return Math.ceil(perMillion / 1_000_000);
}
