import type { OfferedModel } from './models/model-table.ts';
import type { Price } from './models/price.ts';

/** What a call needs of its model. */
export interface Needs {
  /** Exact id or `provider/id`; null: whatever can do it. */
  readonly model: string | null;
  readonly tools: boolean;
  /** Likely tokens of prompt and answer together. */
  readonly contextTokens: number;
}

export type PricedModel = OfferedModel & { readonly price: Price };
export type Choice = { readonly model: PricedModel } | { readonly refused: string };

/** The model asked for, else the preferred one, else the cheapest that can do it. Never one without a known price. */
export function chooseModel(models: readonly OfferedModel[], preferred: string | undefined, needs: Needs): Choice {
  const name = needs.model ?? preferred;
  return name === undefined ? cheapest(models, needs) : named(models, name, needs);
}

function named(models: readonly OfferedModel[], name: string, needs: Needs): Choice {
  const found = models.filter((model) => model.id === name || `${model.provider}/${model.id}` === name);
  if (found.length === 0)
    return { refused: `There is no model "${name}" here; there are ${models.map(({ id }) => id).join(', ') || 'none'}.` };
  const priced = found.filter(isPriced);
  if (priced.length === 0)
    return { refused: `The price of model "${name}" is unknown: give one in MANDATE_MODELS_FILE (0 if it is free).` };
  const [model] = priced.filter((each) => each.tools || !needs.tools).sort(byPrice);
  return model === undefined ? { refused: `Model "${name}" cannot call tools.` } : { model };
}

function cheapest(models: readonly OfferedModel[], needs: Needs): Choice {
  const able = models.filter((model) => model.automatic && (model.tools || !needs.tools) && needs.contextTokens <= model.contextTokens);
  const [model] = able.filter(isPriced).sort(byPrice);
  return model === undefined
    ? {
        refused: `No model here can do it: ${needs.tools ? 'with tools, ' : ''}about ${needs.contextTokens} tokens, and with a known price.`,
      }
    : { model };
}

const isPriced = (model: OfferedModel): model is PricedModel => model.price !== undefined;

/** A call of an agent reads about ten tokens for each that it writes. Equal prices: by name, so that every replica agrees. */
function byPrice(a: PricedModel, b: PricedModel): number {
  return blended(a.price) - blended(b.price) || (`${a.provider}/${a.id}` < `${b.provider}/${b.id}` ? -1 : 1);
}

const blended = (price: Price): number => 10 * price.inputMicroUsdPerMillionTokens + price.outputMicroUsdPerMillionTokens;
