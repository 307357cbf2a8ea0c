import { extractUsage, findProvider } from '@pydantic/genai-prices';
import type { ProviderName, TokenUsage } from '../../language-model.ts';
import { whole } from './mapping.ts';

/** Usage in a vendor's body that is otherwise no use: it was charged all the same. */
export function reportedUsage(provider: ProviderName, body: unknown): TokenUsage | undefined {
  const isOpenaiLike = provider === 'openai' || provider === 'openai-compatible';
  const vendor = findProvider({ providerId: isOpenaiLike ? 'openai' : provider });
  if (vendor === undefined || typeof body !== 'object' || body === null) return undefined;
  try {
    const { usage } = extractUsage(vendor, body, isOpenaiLike ? 'chat' : 'default');
    return {
      inputTokens: whole(usage['input_tokens']),
      cachedInputTokens: whole(usage['cache_read_tokens']),
      cacheWriteTokens: whole(usage['cache_write_tokens']),
      outputTokens: whole(usage['output_tokens']),
      reasoningTokens: whole(usage['output_reasoning_tokens']),
    };
  } catch {
    return undefined;
  }
}
