import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  accountIdFor,
  accountPartition,
  type AccountReceipt,
  type AccountView,
  type LeaseAnswer,
  type LeaseAskMessage,
  storedAccountEvent,
  type StoredAccountEvent,
  subjects,
  TYPES,
} from '@mandate/contracts';
import { replayAccount } from '@mandate/domain';
import { chain } from '@mandate/event-store';
import { Bus } from '@mandate/messaging';
import { type RunningService, startService } from '@mandate/service-kit';
import { type FreshDatabase, freshDatabase, type FreshNats, freshNats } from '@mandate/test-kit';
import pg from 'pg';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { orchestrator } from '../service.ts';

let nats: FreshNats;
let database: FreshDatabase;
let folder: string;
let running: RunningService;
let router: Bus;
let gateway: Bus;
let sql: pg.Pool;
const answers: LeaseAnswer[] = [];
const published: StoredAccountEvent[] = [];

const bus = (user: string): Promise<Bus> => Bus.connect({ servers: nats.url, user, password: nats.password(user), name: user });
const start = (): Promise<RunningService> =>
  startService(orchestrator, {
    NATS_URL: nats.url,
    NATS_USER: 'orchestrator',
    NATS_PASSWORD: nats.password('orchestrator'),
    LOG_LEVEL: 'silent',
    DATABASE_URL: database.orchestratorUrl,
    KEYS_DATABASE_URL: database.orchestratorKeysUrl,
    MANDATE_MASTER_KEY_FILE: join(folder, 'master'),
    COMMAND_KEY_ANALYZER: 'a'.repeat(16),
    COMMAND_KEY_LLM: 'b'.repeat(16),
    COMMAND_KEY_TOOL: 'c'.repeat(16),
  });

beforeAll(async () => {
  [nats, database, folder] = await Promise.all([freshNats(), freshDatabase(), mkdtemp(join(tmpdir(), 'mandate-accounts-'))]);
  await writeFile(join(folder, 'master'), randomBytes(32).toString('hex'));
  sql = new pg.Pool({ connectionString: database.url });
  running = await start();
  [router, gateway] = await Promise.all([bus('llm-router'), bus('gateway')]);
  router.listen(subjects.lease('r1'), (message) => void answers.push(message.json<{ data: LeaseAnswer }>().data));
  gateway.listen('evt.>', (message) => {
    const { data } = message.json<{ data: StoredAccountEvent }>();
    if (data.stream.startsWith('ac_')) published.push(data);
  });
});
afterAll(async () => {
  await Promise.all([router?.close(), gateway?.close(), running?.stop()]);
  await sql?.end();
  await Promise.all([database?.drop(), nats?.stop(), rm(folder, { recursive: true, force: true })]);
});

const TENANT = 'acme';
const enveloped = (type: string, source: string, data: unknown, subject?: string): string =>
  JSON.stringify({ specversion: '1.0', id: `${Math.random()}`, source, type, subject, data });

async function command(type: string, data: object = {}, tenant = TENANT): Promise<AccountReceipt> {
  const request = `r${randomBytes(8).toString('hex')}`;
  const received = Promise.withResolvers<AccountReceipt>();
  const listening = gateway.listen(subjects.out(tenant, request), (message) =>
    received.resolve(message.json<{ data: AccountReceipt }>().data),
  );
  await gateway.publish(
    subjects.inbox(accountPartition(tenant), 'gateway', tenant),
    enveloped(type, '/mandate/gateway/g/key/op1', data, request),
  );
  return received.promise.finally(() => listening.stop());
}

const toInbox = (type: string, data: unknown): Promise<unknown> =>
  router.publish(subjects.inbox(accountPartition(TENANT), 'llm-router', TENANT), enveloped(type, '/mandate/llm-router/r1', data));

const ask = (n: number, moneyMicroUsd: number, more: Partial<LeaseAskMessage> = {}): Promise<unknown> =>
  toInbox(TYPES.leaseAsk, {
    lease: `r1_${n}`,
    holder: 'router',
    moneyMicroUsd,
    leastMicroUsd: moneyMicroUsd,
    slots: 1,
    key: 'k1',
    model: 'm',
    waitUntil: Date.now() + 60_000,
    expiresAt: Date.now() + 60_000,
    sentAt: Date.now(),
    ...more,
  });
const settle = (n: number, spentMicroUsd: number): Promise<unknown> =>
  toInbox(TYPES.leaseSettle, { lease: `r1_${n}`, spentMicroUsd, usage: { modelCalls: 1, tokens: 1 } });

/** The answers about a lease, once there are so many. */
const answered = (n: number, times = 1): Promise<readonly LeaseAnswer[]> =>
  vi.waitFor(
    () => {
      const found = answers.filter(({ lease }) => lease === `r1_${n}`);
      if (found.length < times) throw new Error(`${found.length} answers about r1_${n}`);
      return found;
    },
    { timeout: 10_000 },
  );

const view = async (): Promise<AccountView> =>
  vi.waitFor(
    async () =>
      (
        (await gateway.ask(subjects.query('orchestrator', `account-${accountPartition(TENANT)}`), JSON.stringify({ tenant: TENANT }))) as {
          value: AccountView;
        }
      ).value,
    { timeout: 10_000 },
  );

const stored = async (tenant = TENANT): Promise<{ envelope: string; hash: Buffer }[]> =>
  (
    await sql.query<{ envelope: string; hash: Buffer }>('select envelope::text, hash from es.event where stream_id = $1 order by version', [
      accountIdFor(tenant),
    ])
  ).rows;

const day = (limitMicroUsd: number): object => ({ scope: 'tenant', period: 'day', limitMicroUsd });

test('budgets are defined by the gateway, leases are granted and refused, and the record says so', async () => {
  expect(await command(TYPES.accountDefine, { budgets: [day(1_000)], slots: null })).toMatchObject({
    accepted: true,
    account: { budgets: [{ limitMicroUsd: 1_000, spentMicroUsd: 0, leasedMicroUsd: 0, leftMicroUsd: 1_000 }] },
  });
  await ask(1, 600);
  expect(await answered(1)).toEqual([{ lease: 'r1_1', granted: true, moneyMicroUsd: 600, slots: null, expiresAt: expect.any(Number) }]);
  await ask(2, 600);
  expect(await answered(2)).toMatchObject([{ granted: false, code: 'QuotaExceeded' }]);
  await settle(1, 100);
  await vi.waitFor(async () => expect(await view()).toMatchObject({ leases: 0, budgets: [{ spentMicroUsd: 100, leftMicroUsd: 900 }] }));
});

test('the same ask again gets the same answer and adds nothing to the record', async () => {
  const before = (await stored()).length;
  await ask(1, 600);
  await ask(2, 600);
  const [first, again] = await answered(1, 2);
  expect(again).toEqual(first);
  const [refused, refusedAgain] = await answered(2, 2);
  expect(refusedAgain).toEqual(refused);
  expect((await stored()).length).toBe(before);
});

test('a successor goes on where its predecessor stopped: leases, queue, freeze, and what runs out meanwhile', async () => {
  await command(TYPES.accountDefine, { budgets: [day(10_000)], slots: 1 });
  await ask(10, 500, { expiresAt: Date.now() + 1_500, waitUntil: Date.now() + 1_500 });
  await ask(11, 500);
  await answered(10);
  await command(TYPES.accountFreeze);
  await running.stop();
  running = await start();
  const taken = await view();
  expect(taken).toMatchObject({ frozen: true, slots: 1, leases: 1, waiting: 1 });
  // The first runs out, in full; the second is not served before the thaw.
  await vi.waitFor(async () => expect(await view()).toMatchObject({ leases: 0, waiting: 1, budgets: [{ spentMicroUsd: 600 }] }), {
    timeout: 5_000,
  });
  expect(answers.some(({ lease }) => lease === 'r1_11')).toBe(false);
  expect(await command(TYPES.accountThaw)).toMatchObject({ accepted: true, account: { frozen: false } });
  expect(await answered(11)).toMatchObject([{ granted: true, moneyMicroUsd: 500 }]);
  await settle(10, 1);
  await settle(11, 0);
  await vi.waitFor(async () => expect(await view()).toMatchObject({ leases: 0, budgets: [{ spentMicroUsd: 600 }] }));
});

test('who is frozen and who has limits is said to every worker, again and again', async () => {
  const said: { readonly partition: number; readonly frozen: readonly string[]; readonly limited: readonly string[] }[] = [];
  const listening = router.listen(subjects.standing(), (message) => void said.push(message.json<{ data: (typeof said)[number] }>().data));
  onTestFinished(() => listening.stop());
  const ours = (): typeof said => said.filter(({ partition }) => partition === accountPartition(TENANT));
  await vi.waitFor(() => expect(ours().length).toBeGreaterThan(1), { timeout: 5_000 });
  expect(ours().at(-1)).toMatchObject({ frozen: [], limited: [TENANT] });
  await command(TYPES.accountFreeze);
  await vi.waitFor(() => expect(ours().at(-1)).toMatchObject({ frozen: [TENANT] }));
  await command(TYPES.accountFreeze, {}, 'platform');
  const ofAll = (): readonly string[] | undefined => said.findLast(({ partition }) => partition === accountPartition('platform'))?.frozen;
  await vi.waitFor(() => expect(ofAll()).toContain('platform'));
  await Promise.all([command(TYPES.accountThaw), command(TYPES.accountThaw, {}, 'platform')]);
  await vi.waitFor(() => expect(ours().at(-1)?.frozen).toEqual([]));
});

test('a budget alerts once, whoever owns it; the operator sees it in the account, on the bus and in a metric', async () => {
  const spent = (await view()).budgets[0]?.spentMicroUsd ?? 0;
  const limit = spent + 1_000;
  const alertAtPercent = Math.ceil(((spent + 500) * 100) / limit);
  const reached = Math.ceil((limit * alertAtPercent) / 100) - spent;
  const alerts = async (): Promise<readonly StoredAccountEvent[]> =>
    (await stored()).map(({ envelope }) => JSON.parse(envelope) as StoredAccountEvent).filter(({ type }) => type === 'budget.alerted');
  const counted = async (): Promise<number> => {
    const metrics = await (await fetch(`${running.healthUrl}/metrics`)).text();
    return Number(/^mandate_budget_alerts_total\{[^}]*scope="tenant",period="day"[^}]*\} (\d+)$/m.exec(metrics)?.[1] ?? 0);
  };
  const before = await counted();
  expect(await command(TYPES.accountDefine, { budgets: [{ ...day(limit), alertAtPercent }], slots: null })).toMatchObject({
    accepted: true,
    account: { budgets: [{ alertAtPercent }] },
  });
  await ask(20, reached - 1);
  await answered(20);
  expect((await view()).budgets[0]).not.toHaveProperty('alertedAt');
  await ask(21, 1);
  await answered(21);
  const [alert, ...others] = await alerts();
  expect(others).toEqual([]);
  expect(alert?.data).toEqual({
    scope: 'tenant',
    period: 'day',
    day: new Date(alert?.at ?? 0).toISOString().slice(0, 10),
    usedMicroUsd: spent + reached,
    limitMicroUsd: limit,
    percent: alertAtPercent,
  });
  expect((await view()).budgets).toMatchObject([{ alertAtPercent, alertedAt: alert?.at }]);
  expect(await counted()).toBe(before + 1);
  await vi.waitFor(() => expect(published.filter(({ type }) => type === 'budget.alerted').map(({ id }) => id)).toEqual([alert?.id]));
  await settle(21, 0);
  await running.stop();
  running = await start();
  expect((await view()).budgets).toMatchObject([{ alertAtPercent, alertedAt: alert?.at }]);
  // Below it, and there again, under the successor.
  await ask(22, 1);
  await answered(22);
  expect(await alerts()).toHaveLength(1);
  // Raised: it is armed again.
  await command(TYPES.accountDefine, { budgets: [{ ...day(limit + 1), alertAtPercent }], slots: null });
  await ask(23, 50);
  await answered(23);
  expect(await alerts()).toHaveLength(2);
  expect(await counted()).toBe(1);
  await Promise.all([20, 22, 23].map((n) => settle(n, 0)));
  await vi.waitFor(async () => expect((await view()).leases).toBe(0));
});

test('only the gateway defines and freezes, and nobody asks on another partition', async () => {
  const before = (await stored()).length;
  const parked = async (): Promise<number> => (await sql.query('select 1 from es.parked')).rows.length;
  const start = await parked();
  await toInbox(TYPES.accountFreeze, {});
  await router.publish(
    subjects.inbox((accountPartition(TENANT) + 1) % 16, 'llm-router', TENANT),
    enveloped(TYPES.leaseSettle, '/mandate/llm-router/r1', { lease: 'r1_1', spentMicroUsd: 0, usage: { modelCalls: 0, tokens: 0 } }),
  );
  await toInbox(TYPES.leaseAsk, { lease: 'r1_99', holder: 'router' });
  await vi.waitFor(async () => expect(await parked()).toBe(start + 3), { timeout: 10_000 });
  expect((await stored()).length).toBe(before);
  expect((await view()).frozen).toBe(false);
});

test('what is stored is whole: schemas, hash chain, decisions; and all of it was published', async () => {
  const rows = await stored();
  let head: Buffer = Buffer.alloc(32);
  for (const { envelope, hash } of rows) {
    head = chain(head, envelope);
    expect(head.equals(hash)).toBe(true);
    storedAccountEvent.parse(JSON.parse(envelope));
  }
  const events = rows.map(({ envelope }) => JSON.parse(envelope) as StoredAccountEvent);
  expect(events[0]).toMatchObject({ type: 'account.budgets_defined', actor: 'key/op1', tenant: TENANT });
  const decisions: { at: number; events: StoredAccountEvent[] }[] = [];
  for (const event of events) {
    // A consequence is caused by the input of its decision, which is an event of this stream.
    const last = decisions.at(-1);
    if (last !== undefined && event.causation === last.events[0]?.id) last.events.push(event);
    else decisions.push({ at: event.at, events: [event] });
  }
  const again = replayAccount(
    decisions.map(({ at, events: each }) => ({ at, events: each.map(({ type, data }) => ({ type, data }) as never) })),
  );
  expect(again.kind).toBe('same');
  const ids = events.map(({ id }) => id);
  await vi.waitFor(() => expect(new Set(published.filter(({ tenant }) => tenant === TENANT).map(({ id }) => id))).toEqual(new Set(ids)));
});
