import type { RefusalCode } from '../refusals.ts';

/**
 * The mandate ledger: what an agent may spend, what it has promised, what it has spent.
 *
 *   grant ──▶ reserve (worst case, per attempt, before it) ──▶ settle (actual, or worst case when lost) ──▶ release
 *
 * Always true: `spent + reserved <= limits` in every dimension, for every agent, after every event, as long as a
 * provider charges no more than its own list price for what was asked. One that does is booked as it charged.
 */
export interface Figures {
  /** Money in millionths of a US dollar. Integer. */
  readonly moneyMicroUsd: number;
  /** Model tokens, input and output together. */
  readonly tokens: number;
  readonly modelCalls: number;
  readonly toolCalls: number;
}

export interface Limits extends Figures {
  /** Children that this agent may have: 10 at depth 0, 5 at depth 1, 0 at depth 2. */
  readonly children: number;
  /** Largest prompt of one model call, in tokens. */
  readonly contextTokens: number;
  /** Epoch milliseconds after which nothing new starts. */
  readonly deadlineAt: number;
}

export interface Mandate {
  readonly limits: Limits;
  readonly reserved: Figures;
  readonly spent: Figures;
}

/** Delegation ends here, in code: configuration may lower it, never raise it. */
export const MAX_DEPTH = 2;
export const MAX_CONTEXT_TOKENS = 100_000;
/** Children per depth (spec/sources.md, section 1). */
export const MAX_CHILDREN = [10, 5, 0] as const;

export const NONE: Figures = { moneyMicroUsd: 0, tokens: 0, modelCalls: 0, toolCalls: 0 };

/** The root mandate when the client asks for nothing else: printed by `npm start`. `deadlineMs` is from submission. */
export const DEFAULT_ROOT = {
  moneyMicroUsd: 1_000_000,
  tokens: 1_000_000,
  modelCalls: 150,
  toolCalls: 400,
  children: MAX_CHILDREN[0],
  contextTokens: MAX_CONTEXT_TOKENS,
  deadlineMs: 30 * 60_000,
} as const;

/** The first edition's root had no children to share its calls with. */
export const EDITION_1_CALLS = { modelCalls: 30, toolCalls: 100 } as const;

/** What a client may ask for at most; the operator's rules can only lower it. */
export const ROOT_CEILING = {
  moneyMicroUsd: 100_000_000,
  tokens: 50_000_000,
  modelCalls: 1_000,
  toolCalls: 5_000,
  deadlineMs: 24 * 60 * 60_000,
} as const;

/** Children of a whole workflow when the client asks for nothing else, and at most. */
export const MAX_AGENTS = { default: 20, ceiling: 60 } as const;
/** How long a child may work when its parent's own deadline is later (spec/sources.md, section 1). */
export const CHILD_DEADLINE_MS = 30 * 60_000;
/** From here on an agent is told what is left of its mandate. */
export const WARN_PERCENT = 80;

/** The closing turn of an agent whose mandate is used up: its prompt is cut to this, and so is what it may answer. */
export const CLOSING = { promptBytes: 16_384, messages: 2, outputTokens: 1_024 } as const;

export const grant = (limits: Limits): Mandate => ({ limits, reserved: NONE, spent: NONE });

export const plus = (a: Figures, b: Figures): Figures => ({
  moneyMicroUsd: a.moneyMicroUsd + b.moneyMicroUsd,
  tokens: a.tokens + b.tokens,
  modelCalls: a.modelCalls + b.modelCalls,
  toolCalls: a.toolCalls + b.toolCalls,
});

export const minus = (a: Figures, b: Figures): Figures => ({
  moneyMicroUsd: a.moneyMicroUsd - b.moneyMicroUsd,
  tokens: a.tokens - b.tokens,
  modelCalls: a.modelCalls - b.modelCalls,
  toolCalls: a.toolCalls - b.toolCalls,
});

/** What may still be reserved. */
export const available = (mandate: Mandate): Figures => minus(minus(mandate.limits, mandate.reserved), mandate.spent);

const DIMENSIONS: readonly (readonly [keyof Figures, RefusalCode])[] = [
  ['moneyMicroUsd', 'CostBudgetExceeded'],
  ['tokens', 'TokenBudgetExceeded'],
  ['modelCalls', 'ModelCallBudgetExceeded'],
  ['toolCalls', 'ToolCallBudgetExceeded'],
];

/** The first dimension in which `wanted` does not fit, or `undefined` when all of it fits. */
export function shortfall(
  mandate: Mandate,
  wanted: Figures,
): { readonly code: RefusalCode; readonly dimension: keyof Figures; readonly wanted: number; readonly left: number } | undefined {
  const left = available(mandate);
  for (const [dimension, code] of DIMENSIONS) {
    if (wanted[dimension] > left[dimension]) return { code, dimension, wanted: wanted[dimension], left: left[dimension] };
  }
  return undefined;
}

export const reserve = (mandate: Mandate, figures: Figures): Mandate => ({ ...mandate, reserved: plus(mandate.reserved, figures) });

/** The part of what may still be reserved that one of `of` equal heirs gets, after `kept` was put aside. Rounds down. */
export function portion(mandate: Mandate, kept: Figures, of: number): Figures {
  const left = minus(available(mandate), kept);
  const part = (figure: number): number => Math.max(0, Math.floor(figure / of));
  return {
    moneyMicroUsd: part(left.moneyMicroUsd),
    tokens: part(left.tokens),
    modelCalls: part(left.modelCalls),
    toolCalls: part(left.toolCalls),
  };
}

/** Every figure at most that of the other. */
export const fits = (figures: Figures, within: Figures): boolean =>
  DIMENSIONS.every(([dimension]) => figures[dimension] <= within[dimension]);

/** The dimensions of which at least `percent` of 100 is spent. */
export const spentTo = (mandate: Mandate, percent: number): readonly (keyof Figures)[] =>
  DIMENSIONS.map(([dimension]) => dimension).filter(
    (dimension) => mandate.limits[dimension] > 0 && mandate.spent[dimension] * 100 >= mandate.limits[dimension] * percent,
  );

/** Gives back the whole reservation and books what was really spent. */
export const settle = (mandate: Mandate, reservation: Figures, spent: Figures): Mandate => ({
  ...mandate,
  reserved: minus(mandate.reserved, reservation),
  spent: plus(mandate.spent, spent),
});

/** A price list's worst case for one call, per million tokens. */
export interface WorstPrice {
  readonly inputMicroUsdPerMillionTokens: number;
  readonly outputMicroUsdPerMillionTokens: number;
}

/** What is put aside for the closing turn; nothing when that would be more than a quarter of the mandate in some dimension. */
export function closingReserve(limits: Figures, price: WorstPrice): Figures {
  const input = mostTokens(CLOSING.promptBytes, CLOSING.messages);
  const reserved: Figures = {
    moneyMicroUsd: costMicroUsd(price, input, CLOSING.outputTokens),
    tokens: input + CLOSING.outputTokens,
    modelCalls: 1,
    toolCalls: 0,
  };
  const quarter = portion({ limits: { ...limits, children: 0, contextTokens: 0, deadlineAt: 0 }, reserved: NONE, spent: NONE }, NONE, 4);
  return fits(reserved, quarter) ? reserved : NONE;
}

/** Rounds up: a reservation may be a millionth too large, never too small. */
export const costMicroUsd = (price: WorstPrice, inputTokens: number, outputTokens: number): number =>
  Math.ceil((inputTokens * price.inputMicroUsdPerMillionTokens + outputTokens * price.outputMicroUsdPerMillionTokens) / 1_000_000);

/**
 * The most tokens that a text of this many UTF-8 bytes can be: byte-level BPE never makes more tokens than bytes.
 * `messages` adds 32 tokens of framing each.
 */
export const mostTokens = (bytes: number, messages: number): number => bytes + 32 * messages;

/** The likely tokens of a text (3.5 bytes each): for the context limit, which is about quality and not about money. */
export const likelyTokens = (bytes: number): number => Math.ceil(bytes / 3.5);
