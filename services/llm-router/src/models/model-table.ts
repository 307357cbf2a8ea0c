import { createHash } from 'node:crypto';
import { type ModelCatalog, modelCatalog } from '@mandate/contracts';
import type { ProviderName } from '../language-model.ts';
import { CAUTIOUS_CONTEXT_TOKENS, KNOWN_MODELS, MAX_OUTPUT_TOKENS } from './known-models.ts';
import type { OperatorModel } from './operator-table.ts';
import { microUsdOf, type Price } from './price.ts';
import { priceDataVersion, publishedTerms } from './published-prices.ts';

export type ModelTier = 'cheap' | 'medium' | 'powerful';

/** A model that this router can call. */
export interface OfferedModel {
  readonly id: string;
  readonly provider: ProviderName;
  readonly tier: ModelTier;
  readonly contextTokens: number;
  readonly maxOutputTokens: number;
  readonly tools: boolean;
  /** Undefined: unknown. Such a model is refused. */
  readonly price: Price | undefined;
  /** The price is a figure of ours that nobody charges. */
  readonly nominal?: true;
  /** Prompts that may be longer cost more than `price` says, and are refused. */
  readonly flatUpToTokens: number | undefined;
  /** Whether it may be chosen when nobody asked for it. */
  readonly automatic: boolean;
}

/** The models of one router, and the version of what they cost. */
export interface ModelTable {
  readonly models: readonly OfferedModel[];
  /** Version of the price data, and a hash of every price in force: equal tables, equal versions. */
  readonly priceVersion: string;
  /** What serves a request that names no model: MANDATE_MODEL. */
  readonly preferred: string | undefined;
}

export interface TableOptions {
  readonly providers: readonly ProviderName[];
  readonly operator: readonly OperatorModel[];
  /** OPENAI_COMPATIBLE_MODEL */
  readonly compatibleModel: string | undefined;
  /** MANDATE_MODEL */
  readonly preferred: string | undefined;
  /** Prices are those in force at this moment. */
  readonly now: Date;
}

/** The operator's lines first, then what we know of each configured provider; the first entry of a model wins. */
export function buildModelTable(options: TableOptions): ModelTable {
  const isOnly = options.providers.length === 1;
  const known = KNOWN_MODELS.map(({ provider, id, tier }) => published(provider, id, tier, options.now));
  const named = namedModels(options).map(({ provider, id }) => published(provider, id, 'medium', options.now));
  const offline = offlineModel(isOnly);
  const all = [...options.operator.map(fromOperator), ...known.filter(({ price }) => price !== undefined), ...named, offline];
  const models = firstOfEach(all).filter(({ provider }) => options.providers.includes(provider));
  return { models, priceVersion: versionOf(models), preferred: options.preferred };
}

function published(provider: ProviderName, id: string, tier: ModelTier, now: Date): OfferedModel {
  const terms = publishedTerms(provider, id, now);
  const contextTokens = Math.min(terms?.contextTokens ?? CAUTIOUS_CONTEXT_TOKENS, terms?.flatUpToTokens ?? Infinity);
  return {
    id,
    provider,
    tier,
    contextTokens,
    maxOutputTokens: MAX_OUTPUT_TOKENS,
    tools: true,
    price: terms?.price,
    flatUpToTokens: terms?.flatUpToTokens,
    automatic: true,
  };
}

/** Models that the environment names: they are offered even when we do not know them, so that the refusal can say why. */
function namedModels({
  preferred,
  compatibleModel,
  providers,
}: TableOptions): readonly { readonly provider: ProviderName; readonly id: string }[] {
  const compatible = compatibleModel === undefined ? [] : [{ provider: 'openai-compatible' as const, id: compatibleModel }];
  if (preferred === undefined) return compatible;
  const explicit = providers.find((provider) => preferred.startsWith(`${provider}/`));
  if (explicit !== undefined) return [...compatible, { provider: explicit, id: preferred.slice(explicit.length + 1) }];
  const byPrice = providers.filter((provider) => provider !== 'offline' && publishedTerms(provider, preferred, new Date()) !== undefined);
  return [...compatible, ...byPrice.map((provider) => ({ provider, id: preferred }))];
}

function fromOperator(line: OperatorModel): OfferedModel {
  const { id, provider, tier, contextTokens, maxOutputTokens, tools } = line;
  const input = microUsdOf(line.inputUsdPerMillionTokens);
  const price: Price = {
    inputMicroUsdPerMillionTokens: input,
    outputMicroUsdPerMillionTokens: microUsdOf(line.outputUsdPerMillionTokens),
    cachedInputMicroUsdPerMillionTokens:
      line.cachedInputUsdPerMillionTokens === undefined ? input : microUsdOf(line.cachedInputUsdPerMillionTokens),
    cacheWriteMicroUsdPerMillionTokens: input,
  };
  return { id, provider, tier, contextTokens, maxOutputTokens, tools, price, flatUpToTokens: undefined, automatic: true };
}

/**
 * What rules of ours are reckoned at: 1 USD in and 4 USD out per million tokens. Nobody charges it; it is there so that a run
 * without a model shows budgets and costs as one with a model does. An operator's line replaces it, also by 0.
 */
const NOMINAL: Price = {
  inputMicroUsdPerMillionTokens: 1_000_000,
  outputMicroUsdPerMillionTokens: 4_000_000,
  cachedInputMicroUsdPerMillionTokens: 1_000_000,
  cacheWriteMicroUsdPerMillionTokens: 1_000_000,
};

/** Rules of ours. Beside a real provider they serve only those who ask for them by name. */
function offlineModel(automatic: boolean): OfferedModel {
  return {
    id: 'offline-rules',
    provider: 'offline',
    tier: 'cheap',
    contextTokens: 1_000_000,
    maxOutputTokens: MAX_OUTPUT_TOKENS,
    tools: true,
    price: NOMINAL,
    nominal: true,
    flatUpToTokens: undefined,
    automatic,
  };
}

const nameOf = ({ provider, id }: OfferedModel): string => `${provider}/${id}`;
const firstOfEach = (models: readonly OfferedModel[]): OfferedModel[] =>
  [...new Map(models.toReversed().map((model) => [nameOf(model), model])).values()].toReversed();

function versionOf(models: readonly OfferedModel[]): string {
  const prices = models
    .map((model) => [nameOf(model), model.price ?? null, model.flatUpToTokens ?? null] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return `${priceDataVersion()}+${createHash('sha256').update(JSON.stringify(prices)).digest('hex').slice(0, 12)}`;
}

/** The table as others may see it. Parsed by its own schema, so that its JSON has one form and one hash. */
export function catalogOf(table: ModelTable, defaultModel: string | null): ModelCatalog {
  const models = table.models.map(({ id, provider, tier, contextTokens, maxOutputTokens, price, nominal }) => ({
    id,
    provider,
    tier,
    contextTokens,
    maxOutputTokens,
    inputMicroUsdPerMillionTokens: price?.inputMicroUsdPerMillionTokens ?? 0,
    outputMicroUsdPerMillionTokens: price?.outputMicroUsdPerMillionTokens ?? 0,
    priced: price !== undefined,
    ...(nominal && { nominal }),
  }));
  return modelCatalog.parse({ priceVersion: table.priceVersion, defaultModel, models });
}
