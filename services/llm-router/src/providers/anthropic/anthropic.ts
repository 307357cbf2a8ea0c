import { createAnthropic } from '@ai-sdk/anthropic';
import { aiSdkModel } from '../ai-sdk/ai-sdk-model.ts';
import { upstreamFetch } from '../ai-sdk/upstream-fetch.ts';
import { type Endpoint, type Provider, withVersionPath } from '../provider.ts';

/** Anthropic over the messages API. */
export function anthropic({ apiKey, baseUrl }: Endpoint): Provider {
  const vendor = createAnthropic({
    apiKey: apiKey ?? '',
    baseURL: withVersionPath(baseUrl ?? 'https://api.anthropic.com', '/v1'),
    fetch: upstreamFetch,
  });
  return (modelId) => aiSdkModel('anthropic', vendor.messages(modelId), apiKey);
}
