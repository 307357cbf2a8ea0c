import { createHash } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { modelCatalog, type ModelRequest } from '@mandate/contracts';
import { type RunningService, startService } from '@mandate/service-kit';
import {
  type Commander,
  commander,
  type FreshNats,
  freshNats,
  STUB_PRICE,
  type StubModel,
  startStubModel,
  workerEnvironment,
} from '@mandate/test-kit';
import { afterAll, afterEach, beforeAll, beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { llmRouter } from './service.ts';

let nats: FreshNats;
let orchestrator: Commander;
let stub: StubModel;
let router: RunningService;

beforeAll(async () => {
  nats = await freshNats();
  orchestrator = await commander(nats);
});
afterAll(async () => {
  await orchestrator.stop();
  await nats.stop();
});
beforeEach(async () => {
  stub = await startStubModel();
  router = await startService(llmRouter, environment());
});
afterEach(async () => {
  await router.stop();
  await stub.stop();
});

const modelsFile = join(mkdtempSync(join(tmpdir(), 'models-')), 'models.json');
const priced = {
  tier: 'cheap',
  contextTokens: 100_000,
  maxOutputTokens: 4_096,
  inputUsdPerMillionTokens: STUB_PRICE.input / 1e6,
  outputUsdPerMillionTokens: STUB_PRICE.output / 1e6,
  cachedInputUsdPerMillionTokens: STUB_PRICE.cachedInput / 1e6,
};
writeFileSync(modelsFile, JSON.stringify({ models: [{ ...priced, id: 'stub', provider: 'openai' }] }));

const environment = (more: Readonly<Record<string, string>> = {}): Record<string, string> =>
  workerEnvironment(nats, 'llm-router', {
    OPENAI_API_KEY: 'sk-test',
    OPENAI_BASE_URL: stub.url,
    MANDATE_MODELS_FILE: modelsFile,
    MANDATE_MODEL: 'stub',
    ...more,
  });
const request = (more: Partial<ModelRequest> = {}): ModelRequest => ({
  model: null,
  system: 'Be brief.',
  messages: [{ role: 'user', text: 'Hello' }],
  tools: [],
  maxOutputTokens: 100,
  ...more,
});
const run = async (body: ModelRequest, changes: Parameters<Commander['send']>[2] = {}) =>
  (await orchestrator.send('llm', body, changes)).result;

test('a call is answered, and costs what the vendor charges', async () => {
  stub.script({ text: 'Hi.', usage: { inputTokens: 1_000, cachedInputTokens: 300, outputTokens: 33 } });
  const result = await run(request());
  expect(result).toMatchObject({
    outcome: 'succeeded',
    answer: {
      kind: 'llm',
      provider: 'openai',
      model: 'stub',
      finishReason: 'stop',
      upstreamRequests: 1,
      content: { text: 'Hi.', calls: [] },
      usage: { inputTokens: 1_000, cachedInputTokens: 300, outputTokens: 33 },
    },
  });
  expect(result.answer).toHaveProperty('costMicroUsd', stub.bill().costMicroUsd);
});

test('over many calls of every kind the ledger and the vendor agree', async () => {
  stub.script(({ number }) =>
    number % 4 === 0
      ? { status: 429, headers: { 'retry-after': '60' } }
      : number % 4 === 1
        ? { text: 'x'.repeat(number) }
        : number % 4 === 2
          ? { toolCalls: [{ tool: 't', args: { number } }] }
          : { text: '', finishReason: 'content_filter' },
  );
  const results = await Promise.all(Array.from({ length: 40 }, () => run(request())));
  const booked = results.reduce((sum, { answer }) => sum + (answer?.kind === 'llm' ? answer.costMicroUsd : 0), 0);
  expect(stub.bill().requests).toBe(40);
  expect(booked).toBe(stub.bill().costMicroUsd);
  expect(
    results.filter(({ failure }) => failure?.code === 'rate_limit' && failure.billed === 'no' && failure.retryAfterMs === 60_000),
  ).toHaveLength(10);
  expect(results.filter(({ failure }) => failure?.code === 'content_filter')).toHaveLength(10);
});

test('a failure that provably cost nothing is tried once more, and counted', async () => {
  stub.script({ status: 500 }, { text: 'second time' });
  expect(await run(request())).toMatchObject({ outcome: 'succeeded', answer: { upstreamRequests: 2, content: { text: 'second time' } } });
});

test('twice is enough: then the orchestrator decides', async () => {
  stub.script({ status: 500 }, { status: 500 }, { text: 'never asked' });
  expect(await run(request())).toMatchObject({ outcome: 'failed', failure: { code: 'server_error', billed: 'no', retryable: true } });
  expect(stub.requests).toHaveLength(2);
});

test('a failure that may have cost something is not tried again', async () => {
  stub.script({ broken: 'in_answer' });
  expect(await run(request())).toMatchObject({ outcome: 'failed', failure: { code: 'connection', billed: 'maybe' } });
  expect(stub.requests).toHaveLength(1);
});

test('a call that could cost more than was reserved is not made', async () => {
  const result = await run(request(), { reservation: { moneyMicroUsd: 100, tokens: 1_000, modelCalls: 1, toolCalls: 0 } });
  expect(result).toMatchObject({ outcome: 'failed', failure: { code: 'reservation_exceeded', billed: 'no', retryable: false } });
  expect(stub.requests).toEqual([]);
});

test('a model that is not there, or has no price, is refused before anything is sent', async () => {
  expect(await run(request({ model: 'gpt-99' }))).toMatchObject({ failure: { code: 'no_capable_provider', billed: 'no' } });
  expect(stub.requests).toEqual([]);
});

test('no answer in time ends the attempt, and the request', async () => {
  stub.script({ never: true });
  expect(await run(request(), { timeoutMs: 150 })).toMatchObject({ outcome: 'failed', failure: { code: 'timeout', billed: 'maybe' } });
  await vi.waitFor(() => expect(stub.open).toBe(0));
});

test('usage that the vendor does not report is booked as the most that it can be', async () => {
  stub.script({ text: 'x'.repeat(10), usage: 'none' });
  const { answer } = await run(request());
  // Be brief. (9) + [] (2) + Hello (5) + 2 messages of 32
  expect(answer).toMatchObject({ usage: { inputTokens: 80, outputTokens: 10 }, costMicroUsd: 120 });
});

test('an answer that is too long is cut, and says so', async () => {
  stub.script({ text: 'ä'.repeat(200_000), usage: { inputTokens: 1, outputTokens: 1 } });
  const { answer } = await run(request());
  const text = answer?.kind === 'llm' ? answer.content.text : '';
  expect(Buffer.byteLength(text)).toBeLessThanOrEqual(256 * 1024);
  expect(text).toMatch(/\n\[truncated: \d+ of 400000 bytes shown\]$/);
});

test('arguments larger than a tool takes are not carried on', async () => {
  stub.script({
    toolCalls: [
      { tool: 'a', args: { text: 'x'.repeat(100_000) } },
      { tool: 'b', args: { ok: true } },
    ],
    usage: { inputTokens: 1, outputTokens: 1 },
  });
  const { answer } = await run(request());
  expect(answer?.kind === 'llm' ? answer.content.calls.map(({ args }) => Object.keys(args as object)) : []).toEqual([['_raw'], ['ok']]);
});

test('the catalogue has the hash that the heartbeat tells', async () => {
  const reply = (await orchestrator.ask('q.llm-router.catalog')) as { readonly ok: boolean; readonly value: unknown };
  const catalog = modelCatalog.parse(reply.value);
  expect(catalog).toMatchObject({ defaultModel: 'stub' });
  expect(catalog.models[0]).toEqual({
    id: 'stub',
    provider: 'openai',
    tier: 'cheap',
    contextTokens: 100_000,
    maxOutputTokens: 4_096,
    inputMicroUsdPerMillionTokens: 1_000_000,
    outputMicroUsdPerMillionTokens: 4_000_000,
    priced: true,
  });
  const beat = await new Promise<{ readonly catalogHash: string }>((told) =>
    orchestrator.bus.listen('hb.llm-router.*', (message) => told(message.json())),
  );
  expect(beat.catalogHash).toBe(createHash('sha256').update(JSON.stringify(catalog)).digest('hex'));
});

test('without any key rules serve, and say so', async () => {
  await router.stop();
  router = await startService(llmRouter, workerEnvironment(nats, 'llm-router'));
  const result = await run(request({ messages: [{ role: 'user', text: 'Translate this into French.' }] }), {
    reservation: { moneyMicroUsd: 50_000, tokens: 10_000, modelCalls: 1, toolCalls: 0 },
  });
  expect(result).toMatchObject({ outcome: 'succeeded', answer: { provider: 'offline', model: 'offline-rules' } });
  const { usage, costMicroUsd } = result.answer?.kind === 'llm' ? result.answer : { usage: undefined, costMicroUsd: 0 };
  // The nominal price: 1 USD in, 4 USD out per million tokens.
  expect(costMicroUsd).toBe((usage?.inputTokens ?? 0) + 4 * (usage?.outputTokens ?? 0));
  expect(result.answer?.kind === 'llm' && result.answer.usage.inputTokens).toBeGreaterThan(0);
});

test('in production there are no rules unless they are asked for', async () => {
  const production = workerEnvironment(nats, 'llm-router', { NODE_ENV: 'production' });
  await expect(startService(llmRouter, production)).rejects.toThrow('no model provider is configured');
  const allowed = await startService(llmRouter, { ...production, MANDATE_ALLOW_OFFLINE: '1' });
  onTestFinished(() => allowed.stop());
  expect(allowed.ready()).toEqual({ ok: true, missing: [] });
});

test('a preferred model that cannot serve is an error at the start, not at the first call', async () => {
  await expect(startService(llmRouter, environment({ MANDATE_MODEL: 'gpt-99' }))).rejects.toThrow(
    'MANDATE_MODEL: There is no model "gpt-99"',
  );
});

test('a command of a frozen tenant is claimed and refused: nobody runs it, and nothing is billed', async () => {
  orchestrator.freeze('acme');
  onTestFinished(() => orchestrator.freeze());
  const frozen = await orchestrator.send('llm', request());
  expect(await frozen.result).toMatchObject({ outcome: 'failed', failure: { code: 'frozen', retryable: true, billed: 'no' } });
  expect(stub.bill().requests).toBe(0);
  orchestrator.freeze();
  expect(await (await orchestrator.send('llm', request())).result).toMatchObject({ outcome: 'succeeded' });
});
