import type { LanguageModel, ProviderName } from '../language-model.ts';
import type { RouterConfig } from '../config.ts';
import { anthropic } from './anthropic/anthropic.ts';
import { google } from './google/google.ts';
import { offlineModel } from './offline-model.ts';
import { openai } from './openai/openai.ts';
import { openaiCompatible } from './openai-compatible/openai-compatible.ts';
import type { Provider } from './provider.ts';

export class NoProvider extends Error {
  override readonly name = 'NoProvider';
}

/** The providers that the environment configures. Offline is always there except in production, where it must be asked for. @throws NoProvider */
export function configuredProviders(config: RouterConfig & { readonly NODE_ENV: string }): ReadonlyMap<ProviderName, Provider> {
  const providers = new Map<ProviderName, Provider>();
  const { OPENAI_API_KEY, ANTHROPIC_API_KEY, GOOGLE_GENERATIVE_AI_API_KEY, OPENAI_COMPATIBLE_BASE_URL } = config;
  if (OPENAI_API_KEY !== undefined) providers.set('openai', openai({ apiKey: OPENAI_API_KEY, baseUrl: config.OPENAI_BASE_URL }));
  if (ANTHROPIC_API_KEY !== undefined) providers.set('anthropic', anthropic({ apiKey: ANTHROPIC_API_KEY, baseUrl: config.ANTHROPIC_BASE_URL }));
  if (GOOGLE_GENERATIVE_AI_API_KEY !== undefined) providers.set('google', google({ apiKey: GOOGLE_GENERATIVE_AI_API_KEY, baseUrl: config.GOOGLE_BASE_URL }));
  if (OPENAI_COMPATIBLE_BASE_URL !== undefined) providers.set('openai-compatible', openaiCompatible({ apiKey: config.OPENAI_COMPATIBLE_API_KEY, baseUrl: OPENAI_COMPATIBLE_BASE_URL }));
  const mayBeOffline = config.NODE_ENV !== 'production' || config.MANDATE_ALLOW_OFFLINE === '1';
  if (mayBeOffline) providers.set('offline', () => offlineModel);
  if (providers.size > 0) return providers;
  throw new NoProvider('no model provider is configured. Set OPENAI_API_KEY, ANTHROPIC_API_KEY, GOOGLE_GENERATIVE_AI_API_KEY or OPENAI_COMPATIBLE_BASE_URL; MANDATE_ALLOW_OFFLINE=1 lets rules without a model serve in production.');
}

/** Remembers the models that were asked for, so that each is made once. */
export function modelsOf(providers: ReadonlyMap<ProviderName, Provider>): (provider: ProviderName, id: string) => LanguageModel {
  const made = new Map<string, LanguageModel>();
  return (provider, id) => {
    const name = `${provider}/${id}`;
    const model = made.get(name) ?? providers.get(provider)?.(id);
    if (model === undefined) throw new Error(`provider ${provider} is not configured`);
    made.set(name, model);
    return model;
  };
}
