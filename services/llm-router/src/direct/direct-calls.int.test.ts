import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type DirectAnswer,
  type LeaseAnswer,
  type LeaseAskMessage,
  leaseAsk,
  leaseSettle,
  type Problem,
  subjects,
  TYPES,
} from '@mandate/contracts';
import { Bus } from '@mandate/messaging';
import { type Logger, type RunningService, Standings, startService } from '@mandate/service-kit';
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
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { llmRouter } from '../service.ts';
import { Chunks } from './chunks.ts';

/** The router's side of direct calls; the test is the account. */
let nats: FreshNats;
let account: Commander;
let stub: StubModel;
let router: RunningService;

const modelsFile = join(mkdtempSync(join(tmpdir(), 'models-')), 'models.json');
writeFileSync(
  modelsFile,
  JSON.stringify({
    models: [
      {
        id: 'stub',
        provider: 'openai',
        tier: 'cheap',
        contextTokens: 100_000,
        maxOutputTokens: 4_096,
        inputUsdPerMillionTokens: STUB_PRICE.input / 1e6,
        outputUsdPerMillionTokens: STUB_PRICE.output / 1e6,
      },
    ],
  }),
);

beforeAll(async () => {
  nats = await freshNats();
  account = await commander(nats);
});
afterAll(async () => {
  await account.stop();
  await nats.stop();
});
beforeEach(async () => {
  account.freeze();
  stub = await startStubModel();
  router = await startService(
    llmRouter,
    workerEnvironment(nats, 'llm-router', {
      OPENAI_API_KEY: 'sk-test',
      OPENAI_BASE_URL: stub.url,
      MANDATE_MODELS_FILE: modelsFile,
      MANDATE_MODEL: 'stub',
      MANDATE_SERVICE_INSTANCE: `router-${Date.now()}`,
      LLM_CHUNK_MICRO_USD: '1000',
    }),
  );
  // The server knows of its subscription.
  await vi.waitFor(() => account.bus.ask(subjects.query('llm-router', 'call'), '{}'));
});
afterEach(async () => {
  await router.stop();
  await stub.stop();
});

type Reply = { readonly ok: true; readonly value: DirectAnswer } | { readonly ok: false; readonly problem: Problem };

/** Input of a few bytes and 100 output tokens: at worst about 500 micro-USD. */
const call = (text: string, more: object = {}): Promise<Reply> =>
  account.bus.ask(
    subjects.query('llm-router', 'call'),
    JSON.stringify({
      tenant: 'acme',
      key: 'k1',
      idempotencyKey: null,
      model: null,
      system: '',
      messages: [{ role: 'user', text }],
      maxOutputTokens: 100,
      timeoutMs: 10_000,
      ...more,
    }),
    15_000,
  ) as Promise<Reply>;

const since = { inbox: 0 };
beforeEach(() => {
  since.inbox = account.inbox.length;
});
const heard = <T>(type: string, schema: { parse(data: unknown): T }): T[] =>
  account.inbox.slice(since.inbox).flatMap((event) => (event.type === type ? [schema.parse(event.data)] : []));
const asks = (): LeaseAskMessage[] => heard(TYPES.leaseAsk, leaseAsk);

async function nextAsk(n = 1): Promise<LeaseAskMessage> {
  return vi.waitFor(
    () => {
      const found = [...new Map(asks().map((ask) => [ask.lease, ask])).values()][n - 1];
      if (found === undefined) throw new Error(`no ask number ${n}`);
      return found;
    },
    { timeout: 5_000 },
  );
}

function answer(
  ask: LeaseAskMessage,
  what: { readonly money: number; readonly slots?: number } | { readonly code: 'QuotaExceeded' },
): void {
  const data: LeaseAnswer =
    'code' in what
      ? { lease: ask.lease, granted: false, code: what.code, message: 'Budget tenant (day): all spent.' }
      : { lease: ask.lease, granted: true, moneyMicroUsd: what.money, slots: what.slots ?? null, expiresAt: ask.expiresAt };
  const router = ask.lease.slice(0, ask.lease.lastIndexOf('_'));
  account.bus.tell(subjects.lease(router), JSON.stringify({ specversion: '1.0', id: 'a', source: '/test', type: TYPES.leaseAnswer, data }));
}

test('nothing is asked of the model before the account has leased a chunk; several calls share it; it is settled as spent', async () => {
  const calls = ['one', 'two'].map((text) => call(text));
  const ask = await nextAsk();
  expect(ask).toMatchObject({ holder: 'router', key: 'k1', model: 'stub', moneyMicroUsd: 1_000 });
  expect(stub.bill().requests).toBe(0);
  answer(ask, { money: 1_000 });
  const replies = await Promise.all(calls);
  expect(replies.map((reply) => reply.ok && reply.value.text)).toEqual(['done', 'done']);
  expect((await call('three')).ok).toBe(true);
  await router.stop();
  await vi.waitFor(() => expect(heard(TYPES.leaseSettle, leaseSettle)).toHaveLength(1));
  const { costMicroUsd, inputTokens, outputTokens } = stub.bill();
  expect(heard(TYPES.leaseSettle, leaseSettle)[0]).toEqual({
    lease: ask.lease,
    spentMicroUsd: costMicroUsd,
    usage: { modelCalls: 3, tokens: inputTokens + outputTokens },
  });
});

test('a call reserves its worst case: what does not fit waits for another chunk', async () => {
  const slow = call('slow [[delay:600]]');
  answer(await nextAsk(), { money: 600 });
  await stub.arrived(1);
  const second = call('second');
  const ask = await nextAsk(2);
  expect(stub.bill().requests).toBe(1);
  answer(ask, { code: 'QuotaExceeded' });
  expect(await second).toMatchObject({ ok: false, problem: { code: 'QuotaExceeded', message: 'Budget tenant (day): all spent.' } });
  expect((await slow).ok).toBe(true);
  expect(stub.bill().requests).toBe(1);
});

test('no more calls run on a chunk than it has slots', async () => {
  const first = call('first [[delay:300]]');
  answer(await nextAsk(), { money: 100_000, slots: 1 });
  await stub.arrived(1);
  const second = call('second');
  const ask = await nextAsk(2);
  expect([stub.bill().requests, stub.open]).toEqual([1, 1]);
  expect((await first).ok).toBe(true);
  // The slot is free again, and the call does not wait for the other chunk any longer.
  expect((await second).ok).toBe(true);
  answer(ask, { money: 1_000, slots: 1 });
  await vi.waitFor(() => expect(heard(TYPES.leaseSettle, leaseSettle).map(({ lease }) => lease)).toContain(ask.lease), { timeout: 6_000 });
});

test('an account that does not answer is asked again for the same lease, and a call that gets nothing says so', async () => {
  const waiting = await call('in vain', { timeoutMs: 2_500 });
  expect(waiting).toMatchObject({ ok: false, problem: { code: 'QuotaExceeded' } });
  expect(asks().length).toBeGreaterThan(1);
  expect(new Set(asks().map(({ lease }) => lease)).size).toBe(1);
  expect(new Set(asks().map(({ sentAt }) => sentAt)).size).toBe(asks().length);
  expect(stub.bill().requests).toBe(0);
});

test('a frozen tenant is refused at once, and so is whoever was waiting; others are not', async () => {
  const waiting = call('waiting');
  await nextAsk();
  account.freeze('acme');
  expect(await waiting).toMatchObject({ ok: false, problem: { code: 'SpendingFrozen' } });
  expect(await call('too late')).toMatchObject({ ok: false, problem: { code: 'SpendingFrozen' } });
  const other = call('not me', { tenant: 'globex' });
  answer(await nextAsk(2), { money: 1_000 });
  expect((await other).ok).toBe(true);
  account.freeze('platform');
  expect(await call('nobody', { tenant: 'globex' })).toMatchObject({ ok: false, problem: { code: 'SpendingFrozen' } });
  expect(stub.bill().requests).toBe(1);
});

test('a failure that provably cost nothing gives the money back; one that may have cost something counts at its worst', async () => {
  stub.script({ status: 401 }, { broken: 'in_answer' });
  const first = call('not let in');
  const ask = await nextAsk();
  answer(ask, { money: 10_000 });
  expect(await first).toMatchObject({ ok: false, problem: { code: 'authentication' } });
  expect(await call('broken off')).toMatchObject({ ok: false });
  await router.stop();
  await vi.waitFor(() => expect(heard(TYPES.leaseSettle, leaseSettle)).toHaveLength(1));
  const [settled] = heard(TYPES.leaseSettle, leaseSettle);
  expect(settled?.spentMicroUsd).toBeGreaterThanOrEqual(stub.bill().costMicroUsd);
  expect(settled?.spentMicroUsd).toBe(asks()[0]?.leastMicroUsd);
});

test('a call that has not ended when its router must stop counts at its worst', async () => {
  const bus = await Bus.connect({ servers: nats.url, user: 'llm-router', password: nats.password('llm-router'), name: 'stopping' });
  const standings = new Standings(bus);
  const log = { warn: () => undefined } as unknown as Logger;
  const chunks = new Chunks(
    { bus, log, instance: `stopping-${Date.now()}`, standings },
    { chunkMicroUsd: 1_000, chunkMs: 30_000, callMs: 10_000, graceMs: 1_000 },
  );
  const payer = { tenant: 'acme', key: 'k1', model: 'stub' };
  const until = Date.now() + 10_000;
  const both = Promise.all([chunks.reserve(payer, 300, until), chunks.reserve(payer, 400, until)]);
  // The first of them asks alone; both are served by what it gets.
  answer(await nextAsk(), { money: 1_000 });
  const [ended, running] = await both;
  ended.settle(50, 5);
  await chunks.stop();
  running.settle(100, 10);
  await vi.waitFor(() => expect(heard(TYPES.leaseSettle, leaseSettle).map(({ spentMicroUsd }) => spentMicroUsd)).toEqual([50 + 400]));
  standings.stop();
  await bus.close();
});

test('what is no JSON is answered, and the router goes on', async () => {
  expect(await account.bus.ask(subjects.query('llm-router', 'call'), '{')).toMatchObject({ ok: false });
  const after = call('after it');
  answer(await nextAsk(), { money: 1_000 });
  expect((await after).ok).toBe(true);
});
