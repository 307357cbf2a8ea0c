import { createGoogle } from '@ai-sdk/google';
import { aiSdkModel } from '../ai-sdk/ai-sdk-model.ts';
import { upstreamFetch } from '../ai-sdk/upstream-fetch.ts';
import { type Endpoint, type Provider, withVersionPath } from '../provider.ts';

/** Google's Gemini API over generateContent. */
export function google({ apiKey, baseUrl }: Endpoint): Provider {
  const vendor = createGoogle({
    apiKey: apiKey ?? '',
    baseURL: withVersionPath(baseUrl ?? 'https://generativelanguage.googleapis.com', '/v1beta'),
    fetch: upstreamFetch,
  });
  return (modelId) => aiSdkModel('google', vendor.languageModel(modelId), apiKey);
}
