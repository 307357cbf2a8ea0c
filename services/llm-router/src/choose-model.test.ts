import { expect, test } from 'vitest';
import { chooseModel } from './choose-model.ts';
import type { OfferedModel } from './models/model-table.ts';

const priceOf = (input: number, output: number) => ({
  inputMicroUsdPerMillionTokens: input,
  outputMicroUsdPerMillionTokens: output,
  cachedInputMicroUsdPerMillionTokens: input,
  cacheWriteMicroUsdPerMillionTokens: input,
});
const model = (id: string, more: Partial<OfferedModel> = {}): OfferedModel => ({
  id,
  provider: 'openai',
  tier: 'cheap',
  contextTokens: 100_000,
  maxOutputTokens: 4_096,
  tools: true,
  price: priceOf(100, 1_000),
  flatUpToTokens: undefined,
  automatic: true,
  ...more,
});
const needs = { model: null, tools: true, contextTokens: 1_000 };
const chosen = (
  models: readonly OfferedModel[],
  preferred: string | undefined,
  more: Partial<Parameters<typeof chooseModel>[2]> = {},
): string => {
  const choice = chooseModel(models, preferred, { ...needs, ...more });
  return 'model' in choice ? `${choice.model.provider}/${choice.model.id}` : choice.refused;
};

const dear = model('dear', { price: priceOf(1_000, 1_000) });
const cheap = model('cheap', { price: priceOf(10, 5_000) });
const wordy = model('wordy', { price: priceOf(300, 600) });

test('the cheapest that can do it serves a request that names no model; input weighs ten times output', () => {
  expect(chosen([dear, wordy, cheap], undefined)).toBe('openai/wordy');
  expect(chosen([dear, cheap], undefined)).toBe('openai/cheap');
});

test('a request gets the model that it names, by id or by provider and id', () => {
  expect(chosen([dear, cheap], 'cheap', { model: 'dear' })).toBe('openai/dear');
  const twin = model('dear', { provider: 'anthropic' });
  expect(chosen([dear, twin], undefined, { model: 'openai/dear' })).toBe('openai/dear');
  expect(chosen([dear, twin], undefined, { model: 'dear' })).toBe('anthropic/dear');
});

test('the preferred model serves requests that name none', () => {
  expect(chosen([dear, cheap], 'dear')).toBe('openai/dear');
});

test('a model without a known price is refused, and never chosen on its own', () => {
  const unpriced = model('free-maybe', { price: undefined });
  expect(chosen([unpriced], undefined, { model: 'free-maybe' })).toContain('price of model "free-maybe" is unknown');
  expect(chosen([unpriced, dear], undefined)).toBe('openai/dear');
  expect(chosen([unpriced], undefined)).toContain('No model here can do it');
});

test('a model that cannot call tools serves only requests without tools', () => {
  const talker = model('talker', { tools: false, price: priceOf(1, 1) });
  expect(chosen([talker, dear], undefined)).toBe('openai/dear');
  expect(chosen([talker, dear], undefined, { tools: false })).toBe('openai/talker');
  expect(chosen([talker], undefined, { model: 'talker' })).toContain('cannot call tools');
});

test('a prompt that is too long for the cheapest goes to one that takes it', () => {
  const small = model('small', { contextTokens: 500, price: priceOf(1, 1) });
  expect(chosen([small, dear], undefined)).toBe('openai/dear');
});

test('a model that must be asked for by name is not chosen on its own', () => {
  const rules = model('offline-rules', { provider: 'offline', automatic: false, price: priceOf(0, 0) });
  expect(chosen([rules, dear], undefined)).toBe('openai/dear');
  expect(chosen([rules, dear], undefined, { model: 'offline-rules' })).toBe('offline/offline-rules');
});

test('an unknown model is refused, and the refusal says what there is', () => {
  expect(chosen([dear, cheap], undefined, { model: 'gpt-9' })).toBe('There is no model "gpt-9" here; there are dear, cheap.');
});

test('equal prices are decided by name, whatever the order', () => {
  expect(chosen([model('b'), model('a')], undefined)).toBe(chosen([model('a'), model('b')], undefined));
});
