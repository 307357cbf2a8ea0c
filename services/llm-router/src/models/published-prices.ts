import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { calcPrice, type ModelPrice } from '@pydantic/genai-prices';
import type { ProviderName } from '../language-model.ts';
import { microUsdOf, type Price } from './price.ts';

/** A vendor's published terms, from the data of `@pydantic/genai-prices`. */
export interface PublishedTerms {
  readonly price: Price;
  /** Undefined when the data does not say. */
  readonly contextTokens: number | undefined;
  /** Above this many input tokens a dearer tier begins. A prompt that may be longer is not sent. */
  readonly flatUpToTokens: number | undefined;
}

const KNOWN: readonly ProviderName[] = ['openai', 'anthropic', 'google'];

/**
 * The terms of a model at a moment, or undefined when no complete price is published. Prices that depend on the length of
 * the prompt are used for their first tier only, and the prompt is bounded to it: so a reservation is neither too small nor
 * twice what a call can cost.
 */
export function publishedTerms(provider: ProviderName, id: string, at: Date): PublishedTerms | undefined {
  if (!KNOWN.includes(provider)) return undefined;
  const found = calcPrice({ input_tokens: 1, output_tokens: 1 }, id, { providerId: provider, timestamp: at });
  if (found === null) return undefined;
  const input = firstTier(found.model_price, 'input_mtok');
  const output = firstTier(found.model_price, 'output_mtok');
  // Free of charge is published as no price at all; an operator who wants that says 0 in the models file.
  if (input === undefined || output === undefined) return undefined;
  const starts = Object.values(found.model_price).flatMap((price) =>
    typeof price === 'object' ? price.tiers.map((tier) => tier.start) : [],
  );
  return {
    price: {
      inputMicroUsdPerMillionTokens: microUsdOf(input),
      outputMicroUsdPerMillionTokens: microUsdOf(output),
      cachedInputMicroUsdPerMillionTokens: microUsdOf(firstTier(found.model_price, 'cache_read_mtok') ?? input),
      cacheWriteMicroUsdPerMillionTokens: microUsdOf(firstTier(found.model_price, 'cache_write_mtok') ?? input),
    },
    contextTokens: found.model.context_window,
    flatUpToTokens: starts.length === 0 ? undefined : Math.min(...starts),
  };
}

function firstTier(prices: ModelPrice, key: string): number | undefined {
  const price = prices[key];
  return typeof price === 'object' ? price.base : price;
}

/** `genai-prices@<version>` of the installed data. */
export function priceDataVersion(): string {
  const entry = createRequire(import.meta.url).resolve('@pydantic/genai-prices');
  const manifest = JSON.parse(readFileSync(join(dirname(entry), '../package.json'), 'utf8')) as { readonly version: string };
  return `genai-prices@${manifest.version}`;
}
