import type { AccountView } from '@mandate/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startWorld, until, type World } from '../world.ts';

/** Budgets above the task over the real services; the model's own bill is the oracle. */
let world: World;
beforeAll(async () => {
  world = await startWorld({
    instances: { 'llm-router': 2, orchestrator: 2 },
    env: { 'llm-router': { LLM_CHUNK_MICRO_USD: '2000', LLM_CHUNK_MS: '1000', LLM_DIRECT_MS: '3000', LLM_CHUNK_GRACE_MS: '1000' } },
  });
}, 60_000);
afterAll(() => world?.stop());

const operator = (path: string, method: 'GET' | 'POST' | 'PUT', body: object = {}): Promise<Response> =>
  world.api(path, {
    method,
    headers: { authorization: `Bearer ${world.stack.secrets.operatorKey}` },
    ...(method === 'GET' ? {} : { body: JSON.stringify(body) }),
  });

/** As a careful client: 503 says that nobody owns the account for a moment, or that the receipt was late. */
async function viewOf(ask: () => Promise<Response>): Promise<AccountView> {
  const found = await until(20_000, async () => {
    const answer = await ask();
    return answer.status === 503 ? undefined : answer;
  });
  expect([found?.status, found?.status === 200 ? '' : await found?.text()]).toEqual([200, '']);
  if (found === undefined) throw new Error('the account did not answer');
  return ((await found.json()) as { data: AccountView }).data;
}

const account = (): Promise<AccountView> => viewOf(() => world.api('/api/v1/account'));
const define = (tenant: string, budgets: readonly object[], slots: number | null = null): Promise<AccountView> =>
  viewOf(() => operator(`/api/v1/account/budgets?tenant=${tenant}`, 'PUT', { budgets, slots }));
const total = (limitMicroUsd: number): object => ({ scope: 'tenant', period: 'total', limitMicroUsd });

const call = (text: string, headers: Record<string, string> = {}, more: object = {}): Promise<Response> =>
  world.api('/api/v1/model-calls', {
    method: 'POST',
    headers,
    body: JSON.stringify({ messages: [{ role: 'user', text }], maxOutputTokens: 60, timeoutMs: 3_000, ...more }),
  });
const codeOf = async (answer: Response): Promise<string> => ((await answer.json()) as { code?: string }).code ?? '';

/** How a task ended, by the log. */
async function ended(workflow: string): Promise<{ readonly type: string; readonly code?: string; readonly spentMicroUsd: number }> {
  const found = await until(60_000, async () => {
    const last = (await world.history(workflow)).findLast(({ type }) => /^task\.(completed|failed|cancelled)$/.test(type));
    return last?.type === 'task.completed' || last?.type === 'task.failed' ? last : undefined;
  });
  if (found === undefined)
    throw new Error(`${workflow} did not end: ${(await world.history(workflow)).map(({ type }) => type).join(', ')}`);
  const { spent } = found.data;
  return { type: found.type, ...(found.type === 'task.failed' ? { code: found.data.code } : {}), spentMicroUsd: spent.moneyMicroUsd };
}

/** Nothing is out on lease any more: everything was settled, or has run out. */
const quiet = (withinMs: number): Promise<AccountView | undefined> =>
  until(withinMs, async () => {
    const view = await account();
    return view.leases === 0 && view.waiting === 0 ? view : undefined;
  });

describe('a direct call', () => {
  it('is answered, billed as the model bills, and on the record of the account', async () => {
    const before = await account();
    const billed = world.model.bill().costMicroUsd;
    const answer = await call('a question [[plan: say an answer]]');
    const { data } = (await answer.json()) as { data: { text: string; costMicroUsd: number; model: string } };
    expect(data).toMatchObject({ text: 'an answer', model: 'stub-model' });
    expect(data.costMicroUsd).toBe(world.model.bill().costMicroUsd - billed);
    expect(before.budgets).toEqual([]);
    await quiet(10_000);
    const [settled] = await world.sql<{ data: object }>(`select envelope->'data' as data from es.event where type = 'lease.settled'`);
    expect(settled?.data).toMatchObject({ spentMicroUsd: data.costMicroUsd, usage: { modelCalls: 1 } });
    const [asked] = await world.sql<{ data: object }>(`select envelope->'data' as data from es.event where type = 'lease.asked'`);
    expect(asked?.data).toMatchObject({ holder: 'router', key: expect.stringMatching(/^acme-/), model: 'stub-model' });
  });

  it('is made once with the same Idempotency-Key', async () => {
    const requests = world.model.bill().requests;
    const answers = await Promise.all(Array.from({ length: 4 }, () => call('once', { 'idempotency-key': 'the-one' })));
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 409, 409, 409]);
    expect(world.model.bill().requests).toBe(requests + 1);
  });

  it('says what is wrong with it', async () => {
    expect((await call('x', {}, { model: 'no-such-model' })).status).toBe(422);
    expect((await call('x', {}, { maxOutputTokens: 0 })).status).toBe(400);
    expect((await call('x', {}, { surprise: 1 })).status).toBe(400);
  });
});

describe('an account', () => {
  it('is defined and frozen by operators only', async () => {
    for (const [path, method] of [
      ['/api/v1/account/budgets', 'PUT'],
      ['/api/v1/account/freeze', 'POST'],
      ['/api/v1/account/thaw', 'POST'],
      ['/api/v1/operator/freeze', 'POST'],
      ['/api/v1/account?tenant=globex', 'GET'],
    ] as const) {
      const answer = await world.api(path, { method, ...(method === 'GET' ? {} : { body: JSON.stringify({ budgets: [] }) }) });
      expect([path, answer.status, await codeOf(answer)]).toEqual([path, 403, 'NotAnOperator']);
    }
    expect((await operator('/api/v1/account?tenant=globex', 'GET')).status).toBe(200);
    const strange = await operator('/api/v1/account/budgets', 'PUT', { budgets: [total(1), total(2)] });
    expect([strange.status, await codeOf(strange)]).toEqual([422, 'BudgetsInvalid']);
  });

  it('refuses what its budget does not reach for, to direct calls and to tasks', async () => {
    // What is out on lease already may still be spent.
    await quiet(20_000);
    await define('acme', [total(0)]);
    const refused = await call('too dear');
    expect([refused.status, await codeOf(refused)]).toEqual([429, 'QuotaExceeded']);
    const task = await ended(await world.submit('too dear as well', { maxCostMicroUsd: 1_000 }));
    expect(task).toMatchObject({ type: 'task.failed', code: 'QuotaExceeded', spentMicroUsd: 0 });
    await define('acme', []);
  });

  it('leases again what a task is topped up with, and counts each of its leases once', async () => {
    await quiet(20_000);
    const before = (await define('acme', [total(1_000_000_000)])).budgets[0]?.spentMicroUsd ?? 0;
    const workflow = await world.submit('a little at first [[plan: tool counter__read {}; tool counter__read {}; say done]]', {
      pattern: 'direct',
      maxModelCalls: 1,
      maxCostMicroUsd: 100_000,
    });
    expect(await ended(workflow)).toMatchObject({ type: 'task.failed', code: 'ModelCallBudgetExceeded' });
    const topUp = await world.api(`/api/v1/tasks/${workflow}/top-up`, {
      method: 'POST',
      body: JSON.stringify({ modelCalls: 10, moneyMicroUsd: 50_000 }),
    });
    expect([topUp.status, topUp.status === 202 ? '' : await topUp.text()]).toEqual([202, '']);
    const done = await until(30_000, async () => (await world.history(workflow)).find(({ type }) => type === 'task.completed'));
    const spent = done?.type === 'task.completed' ? done.data.spent.moneyMicroUsd : 0;
    const after = await quiet(20_000);
    expect((after?.budgets[0]?.spentMicroUsd ?? 0) - before).toBe(spent);
    const leases = await world.sql(
      `select 1 from es.event where type = 'lease.settled' and envelope->'data'->>'lease' like '${workflow}%'`,
    );
    expect(leases).toHaveLength(2);
    await define('acme', []);
  });

  it('lets more tasks wait than it has slots, and does them all', async () => {
    await define('acme', [], 2);
    const workflows = await Promise.all(
      Array.from({ length: 8 }, () => world.submit('in turn [[plan: say done]] [[delay:100]]', { pattern: 'direct' })),
    );
    const ends = await Promise.all(workflows.map(ended));
    expect(ends.map(({ type }) => type)).toEqual(workflows.map(() => 'task.completed'));
    expect((await world.sql(`select 1 from es.event where type = 'lease.queued'`)).length).toBeGreaterThan(0);
    await define('acme', []);
  });
});

describe('200 callers, two routers, two orchestrators, several tasks, one budget', () => {
  it('are never billed beyond it, though a router is killed in the middle', async () => {
    await quiet(30_000);
    const BUDGET = 250_000;
    const [spentBefore] = (await define('acme', [total(1_000_000_000)])).budgets.map(({ spentMicroUsd }) => spentMicroUsd);
    const billedBefore = world.model.bill().costMicroUsd;
    const limitMicroUsd = (spentBefore ?? 0) + BUDGET;
    await define('acme', [{ ...total(limitMicroUsd), alertAtPercent: 50 }]);

    const words = 'word '.repeat(60);
    const statuses = new Map<number, number>();
    const caller = async (): Promise<void> => {
      for (let refused = 0, turn = 0; refused < 3 && turn < 40; turn++) {
        const answer = await call(`${words} [[plan: say ${words}]] [[delay:60]]`, {}, { maxOutputTokens: 100 }).catch(() => undefined);
        statuses.set(answer?.status ?? 0, (statuses.get(answer?.status ?? 0) ?? 0) + 1);
        if (answer?.status === 429) refused += 1;
      }
    };
    const tasks = Array.from({ length: 6 }, (_, n) =>
      world
        .submit(`task ${n} [[plan: tool counter__read {}; tool counter__read {}; say done]] [[delay:80]]`, {
          pattern: 'direct',
          maxCostMicroUsd: 80_000,
        })
        .then(ended),
    );
    const callers = Array.from({ length: 200 }, caller);
    await world.model.arrived(world.model.bill().requests + 60);
    await world.stack.service('llm-router', 1).kill();
    await Promise.all(callers);
    const ends = await Promise.all(tasks);
    await world.stack.service('llm-router', 1).restart();

    expect(statuses.get(200) ?? 0).toBeGreaterThan(50);
    expect(statuses.get(429) ?? 0).toBeGreaterThan(200);
    // The budget lets three of the tasks in at once; who is refused depends on who asks when.
    const outcomes = ends.map(({ type, code }) => code ?? type);
    expect(outcomes).toContain('task.completed');
    expect(outcomes.filter((outcome) => outcome !== 'task.completed' && outcome !== 'QuotaExceeded')).toEqual([]);
    const billed = world.model.bill().costMicroUsd - billedBefore;
    expect(billed).toBeLessThanOrEqual(BUDGET);
    // How much of it is used before the callers give up is up to the machine.
    expect(billed).toBeGreaterThan(BUDGET / 10);
    // The dead router's chunks run out, and count in full: the account never says less than the model.
    const view = await quiet(60_000);
    const spent = (view?.budgets[0]?.spentMicroUsd ?? 0) - (spentBefore ?? 0);
    expect(spent).toBeGreaterThanOrEqual(billed);
    expect(spent).toBeLessThanOrEqual(BUDGET);
    expect((await world.sql(`select 1 from es.event where type = 'lease.expired'`)).length).toBeGreaterThan(0);
    const alerts = await world.sql<{ at: number; data: object }>(
      `select envelope->'at' as at, envelope->'data' as data from es.event where type = 'budget.alerted'`,
    );
    expect(alerts).toMatchObject([
      { at: view?.budgets[0]?.alertedAt, data: { scope: 'tenant', period: 'total', limitMicroUsd, percent: 50 } },
    ]);
    await define('acme', []);
  });
});

describe('a process that dies in between', () => {
  it.each([
    'orchestrator:before-commit:account-ask',
    'orchestrator:after-commit:account-ask',
    'orchestrator:before-commit:account-settle',
    'orchestrator:after-commit:account-settle',
    'orchestrator:before-ack:account',
    'orchestrator:before-commit:allowance',
    'orchestrator:after-commit:allowance',
  ])('%s: the task completes, and its lease becomes what it spent', async (point) => {
    await quiet(30_000);
    const before = (await define('acme', [total(1_000_000_000)])).budgets[0]?.spentMicroUsd ?? 0;
    const billed = world.model.bill().costMicroUsd;
    await world.armCrash(point);
    const task = await ended(await world.submit('one step [[plan: say done]]', { pattern: 'direct' }));
    expect(task).toMatchObject({ type: 'task.completed', spentMicroUsd: world.model.bill().costMicroUsd - billed });
    const after = await quiet(30_000);
    expect(world.crashHappened()).toBe(true);
    expect((after?.budgets[0]?.spentMicroUsd ?? 0) - before).toBe(task.spentMicroUsd);
    await define('acme', []);
  });

  it.each([
    ['direct:after-reserve', 0],
    ['direct:after-call', 1],
  ] as const)('%s: the chunk runs out and counts in full; the model was asked %i times', async (point, asked) => {
    await quiet(30_000);
    const before = (await define('acme', [total(1_000_000_000)])).budgets[0]?.spentMicroUsd ?? 0;
    const { requests } = world.model.bill();
    await world.armCrash(point);
    expect((await call('gone', {}, { timeoutMs: 1_000 })).status).toBe(503);
    expect(world.crashHappened()).toBe(true);
    expect(world.model.bill().requests).toBe(requests + asked);
    const after = await quiet(30_000);
    expect((after?.budgets[0]?.spentMicroUsd ?? 0) - before).toBe(2_000);
    await define('acme', []);
  });
});

describe('a freeze', () => {
  it.each([
    ['of a tenant', '/api/v1/account/freeze?tenant=acme', '/api/v1/account/thaw?tenant=acme'],
    ['of all', '/api/v1/operator/freeze', '/api/v1/operator/thaw'],
  ])('%s stops new requests to the model at once; after the thaw they go on', async (_, freeze, thaw) => {
    let frozenAt = Infinity;
    const outcomes: { readonly startedAt: number; readonly status: number }[] = [];
    const caller = async (): Promise<void> => {
      while (performance.now() < frozenAt + 200) {
        const startedAt = performance.now();
        outcomes.push({ startedAt, status: (await call('again and again [[delay:20]]')).status });
      }
    };
    const callers = Array.from({ length: 20 }, caller);
    await world.model.arrived(world.model.bill().requests + 100);
    await viewOf(() => operator(freeze, 'POST'));
    frozenAt = performance.now();
    await Promise.all(callers);
    const after = outcomes.filter(({ startedAt }) => startedAt > frozenAt);
    expect(after.length).toBeGreaterThan(20);
    expect(after.filter(({ status }) => status !== 403)).toEqual([]);

    const requests = world.model.bill().requests;
    const task = await ended(await world.submit('not now', { pattern: 'direct' }));
    expect(task).toMatchObject({ type: 'task.failed', code: 'SpendingFrozen', spentMicroUsd: 0 });
    expect(world.model.bill().requests).toBe(requests);
    expect(await account()).toMatchObject(freeze.includes('operator') ? { platformFrozen: true } : { frozen: true });

    await viewOf(() => operator(thaw, 'POST'));
    expect((await call('go on')).status).toBe(200);
  });

  it('reaches what was queued before it: nobody runs it, and a top-up after the thaw goes on there', async () => {
    const routers = [1, 2].map((n) => world.stack.service('llm-router', n));
    await Promise.all(routers.map((router) => router.kill()));
    const workflow = await world.submit('queued [[plan: tool counter__read {}; say done]]', { pattern: 'direct' });
    const queued = (): Promise<true | undefined> =>
      world.history(workflow).then((events) => (events.some(({ type }) => type === 'attempt.reserved') ? true : undefined));
    expect(await until(20_000, queued)).toBe(true);
    await viewOf(() => operator('/api/v1/account/freeze?tenant=acme', 'POST'));
    const requests = world.model.bill().requests;
    await Promise.all(routers.map((router) => router.restart()));
    expect(await ended(workflow)).toMatchObject({ type: 'task.failed', code: 'SpendingFrozen', spentMicroUsd: 0 });
    const codes = (await world.history(workflow)).flatMap((event) => (event.type === 'attempt.settled' ? [event.data.failure?.code] : []));
    expect(codes).toEqual(['frozen']);
    expect(world.model.bill().requests).toBe(requests);

    await viewOf(() => operator('/api/v1/account/thaw?tenant=acme', 'POST'));
    const resumed = await until(20_000, async () => {
      const answer = await world.api(`/api/v1/tasks/${workflow}/top-up`, { method: 'POST', body: JSON.stringify({ modelCalls: 1 }) });
      return answer.status === 503 ? undefined : answer;
    });
    expect([resumed?.status, resumed?.status === 202 ? '' : await resumed?.text()]).toEqual([202, '']);
    const done = await until(30_000, async () => (await world.history(workflow)).find(({ type }) => type === 'task.completed'));
    expect(done?.type).toBe('task.completed');
  });

  it('is known to a router that is started in it', async () => {
    await viewOf(() => operator('/api/v1/account/freeze?tenant=acme', 'POST'));
    const requests = world.model.bill().requests;
    await world.stack.service('llm-router', 2).stop();
    await world.stack.service('llm-router', 1).kill();
    await world.stack.service('llm-router', 1).restart();
    const answers = await Promise.all(Array.from({ length: 10 }, () => call('not yet')));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 403));
    expect(world.model.bill().requests).toBe(requests);
    await world.stack.service('llm-router', 2).restart();
    await viewOf(() => operator('/api/v1/account/thaw?tenant=acme', 'POST'));
  });

  it('holds over the death of whoever announced it', async () => {
    await viewOf(() => operator('/api/v1/account/freeze?tenant=acme', 'POST'));
    await Promise.all([1, 2].map((n) => world.stack.service('orchestrator', n).kill()));
    expect((await call('nobody is watching')).status).toBe(403);
    await Promise.all([1, 2].map((n) => world.stack.service('orchestrator', n).restart()));
    expect((await account()).frozen).toBe(true);
    expect((await call('still')).status).toBe(403);
    await viewOf(() => operator('/api/v1/account/thaw?tenant=acme', 'POST'));
    expect((await call('go on')).status).toBe(200);
  });
});
