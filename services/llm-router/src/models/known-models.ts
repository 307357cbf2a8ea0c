import type { ModelTier } from './model-table.ts';
import type { ProviderName } from '../language-model.ts';

/**
 * Models that are offered as soon as their vendor's key is there. Prices and context windows come from the price data, so a
 * model that is not in it is not offered. `maxOutputTokens` is what we ask for at most, below what these models can do.
 */
export const KNOWN_MODELS: readonly { readonly provider: ProviderName; readonly id: string; readonly tier: ModelTier }[] = [
  { provider: 'openai', id: 'gpt-5.4-nano', tier: 'cheap' },
  { provider: 'openai', id: 'gpt-5.4-mini', tier: 'medium' },
  { provider: 'openai', id: 'gpt-5.6-luna', tier: 'cheap' },
  { provider: 'openai', id: 'gpt-5.6-terra', tier: 'medium' },
  { provider: 'openai', id: 'gpt-5.6-sol', tier: 'powerful' },
  { provider: 'anthropic', id: 'claude-haiku-4-5', tier: 'cheap' },
  { provider: 'anthropic', id: 'claude-sonnet-5', tier: 'medium' },
  { provider: 'anthropic', id: 'claude-opus-5-5', tier: 'powerful' },
  { provider: 'google', id: 'gemini-3.5-flash-lite', tier: 'cheap' },
  { provider: 'google', id: 'gemini-3.8-flash', tier: 'medium' },
  { provider: 'google', id: 'gemini-3.1-pro-preview', tier: 'powerful' },
];

export const MAX_OUTPUT_TOKENS = 16_384;
/** For models whose context window is not published. */
export const CAUTIOUS_CONTEXT_TOKENS = 128_000;
