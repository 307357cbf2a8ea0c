import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { aiSdkModel } from '../ai-sdk/ai-sdk-model.ts';
import { upstreamFetch } from '../ai-sdk/upstream-fetch.ts';
import { type Endpoint, type Provider, withVersionPath } from '../provider.ts';

/** Any server that speaks chat completions: Ollama, vLLM, DeepSeek, Groq, a proxy. The key is optional. */
export function openaiCompatible({ apiKey, baseUrl }: Endpoint & { readonly baseUrl: string }): Provider {
  const vendor = createOpenAICompatible({
    name: 'openai-compatible',
    baseURL: withVersionPath(baseUrl, '/v1'),
    fetch: upstreamFetch,
    ...(apiKey === undefined ? {} : { apiKey }),
  });
  return (modelId) => aiSdkModel('openai-compatible', vendor.chatModel(modelId), apiKey);
}
