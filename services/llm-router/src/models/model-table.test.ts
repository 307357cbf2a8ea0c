import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { buildModelTable, catalogOf, type TableOptions } from './model-table.ts';
import { type OperatorModel, readOperatorTable } from './operator-table.ts';
import { costOf, microUsdOf } from './price.ts';
import { publishedTerms } from './published-prices.ts';

const now = new Date('2026-11-21T00:00:00Z');
const options: TableOptions = { providers: ['offline'], operator: [], compatibleModel: undefined, preferred: undefined, now };
const line: OperatorModel = {
  id: 'own',
  provider: 'openai-compatible',
  tier: 'cheap',
  contextTokens: 8_000,
  maxOutputTokens: 1_000,
  inputUsdPerMillionTokens: 0.15,
  outputUsdPerMillionTokens: 0.6,
  tools: true,
};
const ids = (more: Partial<TableOptions>): string[] =>
  buildModelTable({ ...options, ...more }).models.map(({ provider, id }) => `${provider}/${id}`);
const file = (content: unknown): string => {
  const path = join(mkdtempSync(join(tmpdir(), 'models-')), 'models.json');
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
};

test('published prices are micro-USD per million tokens, of the moment asked for', () => {
  expect(publishedTerms('anthropic', 'claude-haiku-4-5', now)?.price).toEqual({
    inputMicroUsdPerMillionTokens: 1_000_000,
    outputMicroUsdPerMillionTokens: 5_000_000,
    cachedInputMicroUsdPerMillionTokens: 100_000,
    cacheWriteMicroUsdPerMillionTokens: 1_250_000,
  });
  expect(publishedTerms('openai', 'gpt-5.6-sol', new Date('2026-08-01'))?.price.inputMicroUsdPerMillionTokens).toBe(5_000_000);
  expect(publishedTerms('openai', 'gpt-5.6-sol', now)?.price.inputMicroUsdPerMillionTokens).toBe(4_000_000);
});

test('a price that depends on the length of the prompt bounds the prompt', () => {
  expect(publishedTerms('openai', 'gpt-5.6-sol', now)?.flatUpToTokens).toBe(271_999);
  const sol = buildModelTable({ ...options, providers: ['openai'] }).models.find(({ id }) => id === 'gpt-5.6-sol');
  expect(sol).toMatchObject({ contextTokens: 271_999, flatUpToTokens: 271_999 });
});

test('a model that the data does not know, or prices only in part, has no price', () => {
  expect(publishedTerms('openai', 'gpt-99', now)).toBeUndefined();
  expect(publishedTerms('google', 'gemma-3', now)).toBeUndefined();
  expect(publishedTerms('openai-compatible', 'gpt-5.4-mini', now)).toBeUndefined();
});

test('only models of configured providers are offered; rules beside them only by name', () => {
  expect(ids({})).toEqual(['offline/offline-rules']);
  const offered = buildModelTable({ ...options, providers: ['openai', 'offline'] }).models;
  expect(new Set(offered.map(({ provider }) => provider))).toEqual(new Set(['openai', 'offline']));
  expect(offered.find(({ provider }) => provider === 'offline')).toMatchObject({
    automatic: false,
    nominal: true,
    price: { inputMicroUsdPerMillionTokens: 1_000_000, outputMicroUsdPerMillionTokens: 4_000_000 },
  });
});

test('the price of rules is nominal and says so in the catalogue, unless the operator gives one', () => {
  const rules = { ...line, provider: 'offline' as const, id: 'offline-rules', inputUsdPerMillionTokens: 0, outputUsdPerMillionTokens: 0 };
  const catalogue = (operator: readonly OperatorModel[]): unknown => catalogOf(buildModelTable({ ...options, operator }), null).models;
  expect(catalogue([])).toMatchObject([{ id: 'offline-rules', priced: true, nominal: true }]);
  expect(catalogue([rules])).toEqual([expect.not.objectContaining({ nominal: expect.anything() })]);
  expect(catalogue([rules])).toMatchObject([{ inputMicroUsdPerMillionTokens: 0, outputMicroUsdPerMillionTokens: 0 }]);
});

test('the environment’s own models are offered too, priced or not', () => {
  expect(ids({ providers: ['openai-compatible'], compatibleModel: 'llama-5' })).toEqual(['openai-compatible/llama-5']);
  expect(ids({ providers: ['openai'], preferred: 'gpt-4.1-mini' })).toContain('openai/gpt-4.1-mini');
  expect(ids({ providers: ['openai'], preferred: 'openai/gpt-4.1-mini' })).toContain('openai/gpt-4.1-mini');
});

test('the operator’s line replaces what is known of a model', () => {
  const { models } = buildModelTable({
    ...options,
    providers: ['openai'],
    operator: [{ ...line, provider: 'openai', id: 'gpt-5.4-mini' }],
  });
  expect(models.filter(({ id }) => id === 'gpt-5.4-mini')).toMatchObject([
    { contextTokens: 8_000, price: { inputMicroUsdPerMillionTokens: 150_000, cachedInputMicroUsdPerMillionTokens: 150_000 } },
  ]);
});

test('the price version names the data and changes with every price', () => {
  const version = (operator: readonly OperatorModel[]): string =>
    buildModelTable({ ...options, providers: ['openai-compatible'], operator }).priceVersion;
  expect(version([line])).toMatch(/^genai-prices@\d+\.\d+\.\d+\+[0-9a-f]{12}$/);
  expect(version([line])).toBe(version([line]));
  expect(version([line])).not.toBe(version([{ ...line, outputUsdPerMillionTokens: 0.61 }]));
});

test('an unpriced model stands in the catalogue as unpriced, not as free', () => {
  const table = buildModelTable({ ...options, providers: ['openai-compatible'], compatibleModel: 'llama-5' });
  expect(catalogOf(table, null).models).toMatchObject([{ id: 'llama-5', priced: false }]);
});

test.each([
  [0.15, 150_000],
  [0.0000001, 1],
  [30, 30_000_000],
  [0, 0],
  [1.1, 1_100_000],
])('%d USD per million tokens is %d micro-USD', (usd, expected) => {
  expect(microUsdOf(usd)).toBe(expected);
});

test('a cost is whole micro-USD, rounded up once, with cached input and cache writes at their own prices', () => {
  const price = {
    inputMicroUsdPerMillionTokens: 1_000_000,
    outputMicroUsdPerMillionTokens: 4_000_000,
    cachedInputMicroUsdPerMillionTokens: 100_000,
    cacheWriteMicroUsdPerMillionTokens: 1_250_000,
  };
  const usage = { inputTokens: 0, outputTokens: 0, cachedInputTokens: 0, cacheWriteTokens: 0, reasoningTokens: 0 };
  expect(costOf(price, usage)).toBe(0);
  expect(costOf(price, { ...usage, inputTokens: 100, outputTokens: 10 })).toBe(140);
  expect(costOf(price, { ...usage, inputTokens: 100, cachedInputTokens: 100 })).toBe(10);
  expect(costOf(price, { ...usage, inputTokens: 1, cachedInputTokens: 1 })).toBe(1);
  expect(costOf(price, { ...usage, inputTokens: 100, cacheWriteTokens: 100 })).toBe(125);
});

test.each([
  ['{', 'is not readable JSON'],
  [{ models: [{ ...line, tier: 'huge' }] }, 'models.0.tier'],
  [{ models: [{ ...line, inputUsdPerMillionTokens: -1 }] }, 'models.0.inputUsdPerMillionTokens'],
  [{ models: [{ ...line, price: 1 }] }, 'models.0: Unrecognized key: "price"'],
  [[line], 'file: '],
])('a wrong models file is refused with its path: %j', (content, expected) => {
  const path = file(content);
  expect(() => readOperatorTable(path)).toThrow(expected);
  expect(() => readOperatorTable(path)).toThrow(path);
});

test('a right models file is read; no file is no models', () => {
  expect(readOperatorTable(file({ models: [line] }))).toEqual([line]);
  expect(readOperatorTable(undefined)).toEqual([]);
});
