import { createOpenAI } from '@ai-sdk/openai';
import { aiSdkModel } from '../ai-sdk/ai-sdk-model.ts';
import { upstreamFetch } from '../ai-sdk/upstream-fetch.ts';
import { type Endpoint, type Provider, withVersionPath } from '../provider.ts';

/** OpenAI over chat completions. */
export function openai({ apiKey, baseUrl }: Endpoint): Provider {
  const vendor = createOpenAI({
    apiKey: apiKey ?? '',
    baseURL: withVersionPath(baseUrl ?? 'https://api.openai.com', '/v1'),
    fetch: upstreamFetch,
  });
  return (modelId) => aiSdkModel('openai', vendor.chat(modelId), apiKey);
}
