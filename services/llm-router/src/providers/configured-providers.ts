import type { RouterConfig } from '../config.ts';
import type { LanguageModel, ProviderName } from '../language-model.ts';
import type { Provider } from './provider.ts';

class NoProvider extends Error {
  override readonly name = 'NoProvider';
}

/**
 * The providers that the environment configures. Rules serve beside them except in production, where they must be asked for.
 * A vendor's package is loaded when its key is there, and after the environment is made fit for it.
 * @throws NoProvider
 */
export async function configuredProviders(
  config: RouterConfig & { readonly NODE_ENV: string },
): Promise<ReadonlyMap<ProviderName, Provider>> {
  forgetEmptyVariables();
  const providers = new Map<ProviderName, Provider>();
  const { OPENAI_API_KEY, ANTHROPIC_API_KEY, GOOGLE_GENERATIVE_AI_API_KEY, OPENAI_COMPATIBLE_BASE_URL } = config;
  if (OPENAI_API_KEY !== undefined) {
    const { openai } = await import('./openai/openai.ts');
    providers.set('openai', openai({ apiKey: OPENAI_API_KEY, baseUrl: config.OPENAI_BASE_URL }));
  }
  if (ANTHROPIC_API_KEY !== undefined) {
    const { anthropic } = await import('./anthropic/anthropic.ts');
    providers.set('anthropic', anthropic({ apiKey: ANTHROPIC_API_KEY, baseUrl: config.ANTHROPIC_BASE_URL }));
  }
  if (GOOGLE_GENERATIVE_AI_API_KEY !== undefined) {
    const { google } = await import('./google/google.ts');
    providers.set('google', google({ apiKey: GOOGLE_GENERATIVE_AI_API_KEY, baseUrl: config.GOOGLE_BASE_URL }));
  }
  if (OPENAI_COMPATIBLE_BASE_URL !== undefined) {
    const { openaiCompatible } = await import('./openai-compatible/openai-compatible.ts');
    providers.set('openai-compatible', openaiCompatible({ apiKey: config.OPENAI_COMPATIBLE_API_KEY, baseUrl: OPENAI_COMPATIBLE_BASE_URL }));
  }
  if (config.NODE_ENV !== 'production' || config.MANDATE_ALLOW_OFFLINE === '1') {
    const { offlineModel } = await import('./offline-model.ts');
    providers.set('offline', () => offlineModel);
  }
  if (providers.size > 0) return providers;
  throw new NoProvider(
    'no model provider is configured. Set OPENAI_API_KEY, ANTHROPIC_API_KEY, GOOGLE_GENERATIVE_AI_API_KEY or OPENAI_COMPATIBLE_BASE_URL; MANDATE_ALLOW_OFFLINE=1 lets rules without a model serve in production.',
  );
}

/** The packages read these as soon as they are loaded, and an empty one, as compose files write it, makes them throw. */
function forgetEmptyVariables(): void {
  for (const name of ['OPENAI_BASE_URL', 'ANTHROPIC_BASE_URL', 'GOOGLE_BASE_URL'])
    if (process.env[name]?.trim() === '') delete process.env[name];
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
