import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { type AddressInfo, createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ABSENT, partitionOf, stateOf } from '@mandate/domain';
import { CONSUMERS, parseInbox, subjects, type TaskDetail, type TimelineEvent, TYPES, workflowIdFor } from '@mandate/contracts';
import { Bus, consume, type Consumption } from '@mandate/messaging';
import { type RunningService, startService } from '@mandate/service-kit';
import { type FreshNats, freshNats } from '@mandate/test-kit';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { gateway } from './service.ts';
import { exampleAgents } from './tasks/example-agents.ts';

/** A gateway on a real bus; the orchestrator and the projector answer by script. */
let nats: FreshNats;
let service: RunningService;
let orchestrator: Bus;
let projector: Bus;
let consumptions: Consumption[];
let dir: string;
let url: string;

interface Seen {
  readonly subject: string;
  readonly event: {
    id: string;
    type: string;
    subject: string;
    tenant: string;
    traceparent: string;
    data: { task?: string; workflow?: string; options?: unknown };
  };
}
const inbox: Seen[] = [];
let pagesAsked = 0;
let receiptOf: (seen: Seen, workflow: string) => unknown;
/** What the scripted projector knows. */
const tasks = new Map<string, { tenant: string; detail: TaskDetail; events: TimelineEvent[]; ended: boolean }>();

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

beforeAll(async () => {
  nats = await freshNats();
  dir = await mkdtemp(join(tmpdir(), 'mandate-gateway-'));
  await writeFile(
    join(dir, 'keys.json'),
    JSON.stringify({
      keys: [
        ...['acme', 'globex'].map((tenant) => ({ tenant, id: tenant, sha256: sha256(`secret-${tenant}`) })),
        { tenant: 'acme', id: 'op1', role: 'operator', sha256: sha256('secret-op1') },
      ],
    }),
  );
  const connect = (user: string): Promise<Bus> => Bus.connect({ servers: nats.url, user, password: nats.password(user), name: user });
  [orchestrator, projector] = await Promise.all([connect('orchestrator'), connect('projector')]);
  consumptions = CONSUMERS.filter((each) => each.owner === 'orchestrator').map(({ stream, name, ackWaitMs }) =>
    consume(orchestrator, {
      stream,
      consumer: name,
      concurrency: 4,
      ackWaitMs,
      handle: async (delivery) => answerCommand(delivery.subject, delivery.bytes, () => delivery.ack()),
    }),
  );
  projector.answer('q.projector.>', 'projector', async (message) =>
    answerQuery(message.subject.slice('q.projector.'.length), message.json()),
  );
  const port = await freePort();
  url = `http://127.0.0.1:${port}`;
  service = await startService(gateway, {
    NATS_URL: nats.url,
    NATS_USER: 'gateway',
    NATS_PASSWORD: nats.password('gateway'),
    LOG_LEVEL: 'silent',
    GATEWAY_PORT: String(port),
    MANDATE_API_KEYS_FILE: join(dir, 'keys.json'),
  });
});

afterAll(async () => {
  await service?.stop();
  await Promise.all((consumptions ?? []).map((each) => each.stop(100)));
  await Promise.all([orchestrator?.close(), projector?.close()]);
  await nats?.stop();
  await rm(dir, { recursive: true, force: true });
});

function answerCommand(subject: string, bytes: Uint8Array, ack: () => void): void {
  const seen: Seen = { subject, event: JSON.parse(Buffer.from(bytes).toString()) };
  inbox.push(seen);
  ack();
  const { tenant, subject: request } = seen.event;
  const data = receiptOf(seen, seen.event.data.workflow ?? workflowIdFor(tenant, request));
  if (data !== undefined)
    orchestrator.tell(
      subjects.out(tenant, request),
      JSON.stringify({ specversion: '1.0', id: 'x', source: '/test', type: TYPES.taskReceipt, data }),
    );
}

const accepts = (seen: Seen, workflow: string) => ({ request: seen.event.subject, accepted: true, workflow, duplicate: false });
const problem = (code: string) => ({ ok: false, problem: { code, message: 'no', next: 'x' } });

async function answerQuery(
  name: string,
  ask: {
    tenant: string;
    workflow: string;
    after: number;
    limit: number;
    minVersion?: number;
    agent?: string;
    since?: number;
    types?: string[];
    moment?: { version?: number; at?: number };
    from?: object;
    to?: object;
  },
): Promise<unknown> {
  const task = tasks.get(ask.workflow);
  if (name === 'tasks.list') return { ok: true, value: { items: [], cursor: 'next' } };
  if (name === 'delegation.stats') return { ok: true, value: { ...noStats, since: ask.since } };
  if (task === undefined || task.tenant !== ask.tenant) return problem('WorkflowUnknown');
  if (name === 'agents.list')
    return { ok: true, value: { workflow: ask.workflow, status: 'completed', version: 9, agents: exampleAgents } };
  if (name === 'agents.get') {
    const agent = exampleAgents.find((each) => each.agent === ask.agent);
    if (agent === undefined) return problem('AgentUnknown');
    return { ok: true, value: { ...agent, workflow: ask.workflow, task: 'Find sources.', answerText: 'Here.', erasedAt: null } };
  }
  if (name === 'contributions.list') return { ok: true, value: { items: [], erasedAt: null } };
  if (name === 'decision.get')
    return { ok: true, value: { workflow: ask.workflow, agent: ask.agent, decision: null, fallbacks: [], analysis: null } };
  if (name === 'state.get' || name === 'state.diff') return stateAnswer(name, ask);
  if (name === 'tasks.get') return { ok: true, value: task.detail };
  pagesAsked++;
  const after = task.events.filter((event) => event.version > ask.after);
  const found = after.filter((event) => (ask.types ?? [event.type]).includes(event.type));
  const items = found.slice(0, ask.limit);
  const upTo = found.length < ask.limit ? task.events.length : (items.at(-1)?.version ?? ask.after);
  return {
    ok: true,
    value: { items, version: task.events.length, upTo, ended: task.ended, resumable: task.detail.resumable, erasedAt: null },
  };
}

/** What was asked for stands in the answer. */
function stateAnswer(
  name: string,
  { workflow, moment, from, to }: { workflow: string; moment?: Asked; from?: object; to?: object },
): unknown {
  if (name === 'state.diff') {
    const changes = [
      { path: '/asked', from, to },
      { path: '/phase', to: 'running' },
    ];
    return { ok: true, value: { workflow, newest: 9, from: 1, to: 2, changes } };
  }
  if (moment?.version === 10) return problem('VersionUnknown');
  if (moment?.version === 11) return problem('TooManyEvents');
  return { ok: true, value: { workflow, newest: 9, state: { ...stateOf(ABSENT), at: moment?.at ?? 0, version: moment?.version ?? 9 } } };
}
type Asked = { version?: number; at?: number };

const noStats = {
  tasks: 0,
  delegating: 0,
  children: 0,
  atWork: 0,
  fallbacks: 0,
  tasksByDepth: [],
  agentsByDepth: [],
  agentsByPattern: [],
  refusedSteps: [],
  refusedChildren: [],
};

function detailOf(workflow: string, change: Partial<TaskDetail> = {}): TaskDetail {
  return {
    workflow,
    request: 'r',
    status: 'running',
    task: null,
    pattern: null,
    agents: 1,
    costMicroUsd: 0,
    reservedMicroUsd: 0,
    tokens: 0,
    steps: 0,
    modelCalls: 0,
    toolCalls: 0,
    version: 1,
    submittedAt: 1,
    updatedAt: 1,
    endedAt: null,
    code: null,
    message: null,
    taskText: null,
    answer: null,
    mandate: null,
    resumable: false,
    forkedFrom: null,
    erasedAt: null,
    ...change,
  };
}

const known = (request: string, tenant = 'acme') => {
  const workflow = workflowIdFor(tenant, request);
  const task = { tenant, detail: detailOf(workflow), events: [] as TimelineEvent[], ended: false };
  tasks.set(workflow, task);
  return { workflow, task };
};
const eventOf = (version: number, type = 'retry.scheduled'): TimelineEvent => ({
  id: `e${version}`,
  type,
  version,
  at: 1,
  actor: 'a',
  causation: 'c',
  correlation: 'r',
  data: { n: version },
});

/** What answers of the gateway look like, as far as these tests look at them. */
interface Body {
  readonly data: {
    workflowId: string;
    requestId: string;
    location: string;
    state: string;
    services: { service: string }[];
    length: number;
  };
  readonly page: unknown;
  readonly errors: { path: string }[];
  readonly openapi: string;
  readonly paths: Record<string, { post: { requestBody: { content: Record<string, { schema: unknown }> } } }>;
  readonly components: { schemas: Record<string, unknown> };
}
const jsonOf = async (answer: Response | Promise<Response>): Promise<Body> => (await (await answer).json()) as Body;

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  await new Promise((closed) => server.close(closed));
  return port;
}

const call = (path: string, init: RequestInit & { tenant?: string } = {}) =>
  fetch(url + path, {
    ...init,
    headers: {
      authorization: `Bearer mk_${init.tenant ?? 'acme'}.secret-${init.tenant ?? 'acme'}`,
      ...(init.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...init.headers,
    },
  });
const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
  call(path, { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body), headers });

test('a task is accepted once the orchestrator has it, under an id that follows from the key', async () => {
  receiptOf = accepts;
  const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
  const answer = await post('/api/v1/tasks', { task: 'count' }, { 'idempotency-key': 'order 1', traceparent });
  expect(answer.status).toBe(202);
  const { data } = await jsonOf(answer);
  expect(data).toEqual({
    workflowId: workflowIdFor('acme', data.requestId),
    requestId: expect.stringMatching(/^k[a-z2-7]{26}$/),
    location: `/api/v1/tasks/${data.workflowId}`,
    duplicate: false,
  });
  expect(answer.headers.get('location')).toBe(data.location);
  expect(answer.headers.get('x-correlation-id')).toBe('a'.repeat(32));
  expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
  const seen = inbox.at(-1);
  expect(parseInbox(seen?.subject ?? '')).toMatchObject({ source: 'gateway', tenant: 'acme', partition: partitionOf(data.workflowId) });
  expect(seen?.event).toMatchObject({ type: TYPES.taskSubmit, subject: data.requestId, tenant: 'acme', data: { task: 'count' } });
  expect(seen?.event.traceparent).toContain('a'.repeat(32));
  const again = await jsonOf(post('/api/v1/autonomous/execute', { task: 'count' }, { 'idempotency-key': 'order 1' }));
  expect(again.data.workflowId).toBe(data.workflowId);
});

test.each([
  ['IdempotencyConflict', 409],
  ['MandateTooLarge', 422],
])('a receipt that says %s is %i', async (code, status) => {
  receiptOf = (seen) => ({ request: seen.event.subject, accepted: false, code, message: 'no', next: 'x' });
  const answer = await post('/api/v1/tasks', { task: 'x' });
  expect(answer.status).toBe(status);
  expect(answer.headers.get('content-type')).toContain('application/problem+json');
  expect(await answer.json()).toMatchObject({
    code,
    status,
    detail: 'no',
    next: 'x',
    correlationId: expect.stringMatching(/^[0-9a-f]{32}$/),
  });
});

test('without a receipt the answer is 503 with the workflow id and when to try again', async () => {
  receiptOf = () => undefined;
  const answer = await post('/api/v1/tasks', { task: 'x' }, { 'idempotency-key': 'lost' });
  expect(answer.status).toBe(503);
  expect(answer.headers.get('retry-after')).toBe('1');
  expect(await answer.json()).toMatchObject({ code: 'NoReceipt', workflowId: expect.stringMatching(/^wf_/) });
});

test('wait answers with the result as soon as it is told, or 202 when it is not', async () => {
  receiptOf = (seen, workflow) => {
    tasks.set(workflow, { tenant: 'acme', detail: detailOf(workflow), events: [], ended: false });
    if (seen.event.data.task === 'slow') return accepts(seen, workflow);
    setTimeout(() => {
      tasks.set(workflow, {
        tenant: 'acme',
        detail: detailOf(workflow, { status: 'completed', endedAt: 5, answer: '42' }),
        events: [],
        ended: true,
      });
      orchestrator.tell(
        subjects.out('acme', seen.event.subject),
        JSON.stringify({
          specversion: '1.0',
          id: 'y',
          source: '/test',
          type: TYPES.taskResult,
          data: { request: seen.event.subject, workflow, status: 'completed', costMicroUsd: 0, tokens: 0, steps: 1, endedAt: 5 },
        }),
      );
    }, 100);
    return accepts(seen, workflow);
  };
  const started = performance.now();
  const answer = await post('/api/v1/tasks?wait=10', { task: 'quick' });
  expect(answer.status).toBe(200);
  expect(await answer.json()).toMatchObject({ data: { status: 'completed', answer: '42' } });
  expect(performance.now() - started).toBeLessThan(400);
  expect((await post('/api/v1/tasks?wait=1', { task: 'slow' })).status).toBe(202);
});

test.each([
  ['no key', () => fetch(`${url}/api/v1/tasks`), 401, 'NotAuthenticated'],
  ['a wrong key', () => call('/api/v1/tasks', { headers: { authorization: 'Bearer mk_acme.wrong' } }), 401, 'NotAuthenticated'],
  ['an unknown route', () => call('/api/v2/nothing'), 404, 'RouteUnknown'],
  ['a foreign page', () => post('/api/v1/tasks', { task: 'x' }, { origin: 'http://evil.example' }), 403, 'OriginNotAllowed'],
  ['a body that is no JSON', () => post('/api/v1/tasks', '{'), 400, 'JsonInvalid'],
  ['a deep body', () => post('/api/v1/tasks', '['.repeat(1_000)), 400, 'JsonTooDeep'],
  ['no body', () => call('/api/v1/tasks', { method: 'POST' }), 400, 'RequestInvalid'],
  ['an unknown option', () => post('/api/v1/tasks', { task: 'x', options: { speed: 'max' } }), 400, 'RequestInvalid'],
  ['a blank task', () => post('/api/v1/tasks', { task: '  ' }), 400, 'RequestInvalid'],
  ['a large body', () => post('/api/v1/tasks', { task: 'x'.repeat(300_000) }), 413, 'RequestTooLarge'],
  ['a body that is too large for the bus', () => post('/api/v1/tasks', { task: '\n'.repeat(131_050) + 'x' }), 413, 'RequestTooLarge'],
  [
    'another media type',
    () => post('/api/v1/tasks', 'task=x', { 'content-type': 'application/x-www-form-urlencoded' }),
    415,
    'MediaTypeUnsupported',
  ],
  ['a bad limit', () => call('/api/v1/tasks?limit=0'), 400, 'RequestInvalid'],
  ['a bad path', () => call('/api/v1/tasks/%ff'), 400, 'UrlInvalid'],
  ['a malformed id', () => call('/api/v1/tasks/nonsense'), 404, 'WorkflowUnknown'],
  ['an unprintable key', () => post('/api/v1/tasks', { task: 'x' }, { 'idempotency-key': 'é' }), 400, 'IdempotencyKeyInvalid'],
  [
    'a bad Last-Event-ID',
    () => call(`/api/v1/tasks/${workflowIdFor('acme', 'q')}/events`, { headers: { accept: 'text/event-stream', 'last-event-id': 'x' } }),
    400,
    'LastEventIdInvalid',
  ],
])('%s is a problem with a code and what helps', async (_, send, status, code) => {
  const answer = await send();
  expect(answer.status).toBe(status);
  expect(answer.headers.get('content-type')).toContain('application/problem+json');
  const body = await answer.json();
  expect(body).toMatchObject({ status, code, detail: expect.any(String), next: expect.any(String), correlationId: expect.any(String) });
});

const putBudgets = (alertAtPercent: unknown): Promise<Response> =>
  call('/api/v1/account/budgets', {
    method: 'PUT',
    tenant: 'op1',
    body: JSON.stringify({ budgets: [{ scope: 'tenant', period: 'day', limitMicroUsd: 1_000, alertAtPercent }] }),
  });

test.each([0, 101, 1.5, -1, '80', null])('a budget cannot alert at %s percent', async (alertAtPercent) => {
  const before = inbox.length;
  const answer = await putBudgets(alertAtPercent);
  expect(answer.status).toBe(400);
  expect(await answer.json()).toMatchObject({ code: 'RequestInvalid', errors: [{ path: 'budgets.0.alertAtPercent' }] });
  expect(inbox.length).toBe(before);
});

test('a budget that alerts goes to the owner of the account, and comes back with when it did', async () => {
  const budget = { scope: 'tenant', period: 'day', limitMicroUsd: 1_000, alertAtPercent: 80 };
  const stands = { ...budget, spentMicroUsd: 900, leasedMicroUsd: 0, leftMicroUsd: 100, alertedAt: 1_795_251_604_000 };
  receiptOf = ({ event }) => {
    const account = { tenant: 'acme', version: 9, frozen: false, platformFrozen: false, budgets: [stands] };
    const data = { request: event.subject, accepted: true, account: { ...account, slots: null, slotsTaken: 0, leases: 0, waiting: 0 } };
    const receipt = { specversion: '1.0', id: 'x', source: '/test', type: TYPES.accountReceipt, causationid: event.id, data };
    orchestrator.tell(subjects.out('acme', event.subject), JSON.stringify(receipt));
    return undefined;
  };
  const answer = await putBudgets(80);
  expect(await answer.json()).toMatchObject({ data: { budgets: [stands] } });
  expect(inbox.at(-1)?.event).toMatchObject({ type: TYPES.accountDefine, data: { budgets: [budget], slots: null } });
});

test('validation names the path and not the value', async () => {
  const body = await jsonOf(post('/api/v1/tasks', { task: 'x', options: { maxTokens: 'hunter2' } }));
  expect(body.errors[0]?.path).toBe('options.maxTokens');
  expect(JSON.stringify(body)).not.toContain('hunter2');
});

test('a foreign Host is refused, and what is not HTTP gets a problem', async () => {
  const status = await new Promise((resolve) =>
    httpRequest(`${url}/api/v1/tasks`, { headers: { host: 'evil.example' } }, (answer) => resolve(answer.statusCode)).end(),
  );
  expect(status).toBe(403);
  const text = await new Promise<string>((resolve) => {
    let heard = '';
    const socket = createConnection(Number(new URL(url).port), '127.0.0.1', () => socket.write('what is this\r\n\r\n'));
    socket.on('data', (chunk) => (heard += chunk)).on('close', () => resolve(heard));
  });
  expect(text).toContain('application/problem+json');
});

test('another tenant’s workflow does not exist', async () => {
  const { workflow } = known('secret-one');
  expect((await call(`/api/v1/tasks/${workflow}`)).status).toBe(200);
  for (const path of [
    '',
    '/events',
    '/llm-calls',
    '/tool-calls',
    '/agents',
    '/agents/a0',
    '/contributions',
    '/decision',
    '/state',
    '/state-diff?from=1&to=2',
  ])
    expect((await call(`/api/v1/tasks/${workflow}${path}`, { tenant: 'globex' })).status).toBe(404);
  expect((await call(`/api/v1/tasks/${workflow}/events`, { tenant: 'globex', headers: { accept: 'text/event-stream' } })).status).toBe(404);
});

test('cancelling says what becomes of the task, and why not', async () => {
  const { workflow } = known('to-cancel');
  receiptOf = accepts;
  const answer = await post(`/api/v1/tasks/${workflow}/cancel`, { reason: 'enough' });
  expect(answer.status).toBe(202);
  expect(await answer.json()).toEqual({ data: { workflowId: workflow, status: 'ending' } });
  expect(inbox.at(-1)?.event).toMatchObject({ type: TYPES.taskCancel, data: { workflow, reason: 'enough' } });
  expect((await call(`/api/v1/tasks/${workflow}/cancel`, { method: 'POST' })).status).toBe(202);
  for (const [code, status] of [
    ['WorkflowUnknown', 404],
    ['WorkflowEnded', 409],
  ] as const) {
    receiptOf = (seen) => ({ request: seen.event.subject, accepted: false, code, message: 'no', next: 'x' });
    expect((await post(`/api/v1/tasks/${workflow}/cancel`, {})).status).toBe(status);
  }
});

test('the state of a task at a version or an instant, and what changed between two', async () => {
  const { workflow } = known('with-states');
  const get = async (query: string) => (await jsonOf(call(`/api/v1/tasks/${workflow}/${query}`))) as { data?: unknown; code?: string };
  expect(await get('state')).toMatchObject({ data: { workflowId: workflow, newest: 9, state: { version: 9, phase: 'absent' } } });
  expect(await get('state?version=4')).toMatchObject({ data: { state: { version: 4 } } });
  expect(await get('state?at=2026-11-21T14:00:00.5Z')).toMatchObject({ data: { state: { at: Date.UTC(2026, 10, 21, 14, 0, 0, 500) } } });
  const at = encodeURIComponent('2026-11-21T14:00:00+02:00');
  expect(await get(`state-diff?from=3&to=${at}`)).toEqual({
    data: {
      workflowId: workflow,
      newest: 9,
      from: 1,
      to: 2,
      changes: [
        { path: '/asked', from: { version: 3 }, to: { at: Date.UTC(2026, 10, 21, 12) } },
        { path: '/phase', to: 'running' },
      ],
    },
  });
  for (const [query, status, code] of [
    ['state?version=10', 404, 'VersionUnknown'],
    ['state?version=11', 422, 'TooManyEvents'],
    ['state?version=1&at=2026-11-21T14:00:00Z', 400, 'QueryInvalid'],
    ['state?version=0', 400, 'RequestInvalid'],
    ['state?at=yesterday', 400, 'RequestInvalid'],
    ['state-diff?from=1', 400, 'RequestInvalid'],
    ['state-diff?from=1&to=soon', 400, 'RequestInvalid'],
  ] as const) {
    const answer = await call(`/api/v1/tasks/${workflow}/${query}`);
    expect(answer.status, query).toBe(status);
    expect(await answer.json()).toMatchObject({ code });
  }
});

test('one agent can be cancelled; the task goes on', async () => {
  const { workflow } = known('agent-to-cancel');
  receiptOf = accepts;
  const answer = await post(`/api/v1/tasks/${workflow}/cancel`, { agent: 'a0-1' });
  expect(answer.status).toBe(202);
  expect(await answer.json()).toEqual({ data: { workflowId: workflow, status: 'running' } });
  expect(inbox.at(-1)?.event).toMatchObject({ type: TYPES.taskCancel, data: { workflow, agent: 'a0-1' } });
  expect((await post(`/api/v1/tasks/${workflow}/cancel`, { agent: 'a0 1' })).status).toBe(400);
});

test('a task is given more, once for each key', async () => {
  const { workflow } = known('to-top-up');
  receiptOf = accepts;
  const topUp = (body: unknown, headers: Record<string, string> = {}) => post(`/api/v1/tasks/${workflow}/top-up`, body, headers);
  const answer = await topUp({ moneyMicroUsd: 5_000, deadlineMs: 60_000 }, { 'idempotency-key': 'more 1' });
  expect(answer.status).toBe(202);
  const { data } = await jsonOf(answer);
  expect(data).toEqual({ workflowId: workflow, requestId: expect.stringMatching(/^k[a-z2-7]{26}$/), duplicate: false });
  const seen = inbox.at(-1);
  expect(parseInbox(seen?.subject ?? '')).toMatchObject({ source: 'gateway', tenant: 'acme', partition: partitionOf(workflow) });
  expect(seen?.event).toMatchObject({
    type: TYPES.taskTopUp,
    subject: data.requestId,
    data: { workflow, moneyMicroUsd: 5_000, deadlineMs: 60_000 },
  });
  expect((await jsonOf(topUp({ tokens: 1 }, { 'idempotency-key': 'more 1' }))).data.requestId).toBe(data.requestId);
  expect((await jsonOf(topUp({ tokens: 1 }))).data.requestId).not.toBe(data.requestId);
  for (const wrong of [{ tokens: -1 }, { workflow }, { dollars: 3 }]) expect((await topUp(wrong)).status).toBe(400);
  // After a freeze there may be nothing to add.
  expect((await topUp({})).status).toBe(202);
  receiptOf = (seen) => ({ request: seen.event.subject, accepted: false, code: 'NotResumable', message: 'no', next: 'x' });
  expect((await topUp({ tokens: 1 })).status).toBe(409);
  expect((await post('/api/v1/tasks/nonsense/top-up', { tokens: 1 })).status).toBe(404);
});

test('how a task may delegate goes along with it', async () => {
  receiptOf = accepts;
  const options = { pattern: 'parallel', maxDepth: 1, maxAgents: 4, tuning: { mode: 'votes', votes: 3, roles: ['analyst', 'qa@1'] } };
  expect((await post('/api/v1/tasks', { task: 'vote', options })).status).toBe(202);
  expect(inbox.at(-1)?.event.data.options).toEqual(options);
  for (const wrong of [{ maxDepth: -1 }, { tuning: { votes: 1 } }, { tuning: { speed: 1 } }, { tuning: { roles: ['No Such'] } }])
    expect((await post('/api/v1/tasks', { task: 'x', options: wrong })).status).toBe(400);
});

test('the agents of a task: as data, as text and as a diagram', async () => {
  const { workflow } = known('delegated');
  const agents = `/api/v1/tasks/${workflow}/agents`;
  const { data } = await jsonOf(call(agents));
  expect(data).toMatchObject({
    workflowId: workflow,
    status: 'completed',
    root: { agent: 'a0', agents: [{ agent: 'a0-1' }, { agent: 'a0-2' }] },
  });
  for (const [path, accept, type, beginning] of [
    [agents, 'text/plain', 'text/plain; charset=utf-8', `${workflow} completed: 4 agents`],
    [`${agents}?format=text`, 'application/json', 'text/plain; charset=utf-8', `${workflow} completed: 4 agents`],
    [agents, 'text/vnd.mermaid', 'text/vnd.mermaid; charset=utf-8', 'flowchart TD\n'],
    [`${agents}?format=json`, 'text/plain', 'application/json; charset=utf-8', '{"data":{"workflowId"'],
    [agents, 'application/json, text/plain, */*', 'application/json; charset=utf-8', '{"data":{"workflowId"'],
  ] as const) {
    const answer = await call(path, { headers: { accept } });
    expect(answer.headers.get('content-type')).toBe(type);
    expect((await answer.text()).startsWith(beginning)).toBe(true);
  }
  expect((await call(`${agents}?format=xml`)).status).toBe(400);
  expect(await jsonOf(call(`${agents}/a0-1`))).toMatchObject({ data: { agent: 'a0-1', task: 'Find sources.', answerText: 'Here.' } });
  for (const unknown of ['a0-9', 'a0.1']) {
    const answer = await call(`${agents}/${unknown}`);
    expect([answer.status, ((await jsonOf(answer)) as unknown as { code: string }).code]).toEqual([404, 'AgentUnknown']);
  }
  expect(await jsonOf(call(`/api/v1/tasks/${workflow}/decision?agent=a0-1`))).toMatchObject({ data: { agent: 'a0-1', decision: null } });
  expect(await jsonOf(call(`/api/v1/tasks/${workflow}/contributions`))).toEqual({ data: [] });
});

test('delegation figures are of the last 30 days unless said otherwise', async () => {
  const since = async (query: string) =>
    ((await jsonOf(call(`/api/v1/delegation-stats${query}`))).data as unknown as { since: number }).since;
  const days = 30 * 86_400_000;
  const before = Date.now() - days;
  const asked = await since('');
  expect(asked).toBeGreaterThanOrEqual(before);
  expect(asked).toBeLessThanOrEqual(Date.now() - days);
  expect(await since('?since=5')).toBe(5);
  expect((await call('/api/v1/delegation-stats?since=x')).status).toBe(400);
});

test('roles are the same for everybody', async () => {
  const { data } = (await jsonOf(call('/api/v1/roles'))) as unknown as { data: { role: string; otherNames: string[]; latest: boolean }[] };
  expect(data.find(({ role }) => role === 'researcher@1')).toMatchObject({
    name: 'researcher',
    version: 1,
    capabilities: ['search', 'information', 'file_system'],
    tier: 'medium',
    effects: 'read_only',
    otherNames: ['research', 'search_specialist'],
  });
  expect(data.filter(({ latest }) => latest).length).toBeGreaterThan(10);
  expect(await jsonOf(call('/api/v1/roles', { tenant: 'globex' }))).toEqual({ data });
});

test('a stream ends with a failure, unless the follower stays for a top-up', async () => {
  const { workflow, task } = known('resumable');
  task.events = [eventOf(1), eventOf(2)];
  task.ended = true;
  task.detail = { ...task.detail, status: 'failed', resumable: true };
  const path = `/api/v1/tasks/${workflow}/events`;
  expect(await readStream(path)).toEqual([1, 2]);
  expect((await call(`${path}?after=2`, { headers: { accept: 'text/event-stream' } })).status).toBe(204);
  const topUp = (): void => {
    task.events.push(eventOf(3));
    task.detail = { ...task.detail, status: 'running', resumable: false };
    task.ended = false;
    void orchestrator.publish(subjects.event(0, 'acme', workflow, 'mandate.topped_up'), JSON.stringify({ data: { version: 3 } }));
  };
  const end = (): void => {
    task.events.push(eventOf(4));
    task.ended = true;
  };
  const staying = readStream(`${path}?stay=true`, {}, (id) => (id === 2 ? topUp() : id === 3 ? end() : undefined));
  expect(await staying).toEqual([1, 2, 3, 4]);
  // Whoever did not stay finds the rest by connecting again.
  expect(await readStream(path, { 'last-event-id': '2' })).toEqual([3, 4]);
  expect((await jsonOf(call(`${path}?after=4`))).page).toEqual({ after: 4, ended: true, resumable: false });
});

test('only some events are listed and followed; what lies between is passed over', async () => {
  const { workflow, task } = known('filtered');
  const typeOf = (version: number): string => (version % 100 === 0 ? 'step.refused' : 'retry.scheduled');
  task.events = Array.from({ length: 450 }, (_, index) => ({ ...eventOf(index + 1), type: typeOf(index + 1) }));
  const path = `/api/v1/tasks/${workflow}/events?type=step.refused,task.failed`;
  const page = await jsonOf(call(`${path}&limit=3`));
  expect((page.data as unknown as TimelineEvent[]).map(({ version }) => version)).toEqual([100, 200, 300]);
  expect(page.page).toMatchObject({ after: 300, ended: false });
  expect((await jsonOf(call(`${path}&limit=3&after=300`))).page).toMatchObject({ after: 450, ended: false });
  const asked = pagesAsked;
  const end = (): void => {
    task.events.push({ ...eventOf(451), type: 'task.failed' }, eventOf(452));
    task.ended = true;
  };
  expect(await readStream(path, {}, (id) => (id === 400 ? end() : undefined))).toEqual([100, 200, 300, 400, 451]);
  // It waits for news instead of asking for what it has already passed over.
  expect(pagesAsked - asked).toBeLessThan(6);
  expect((await call(`${path}&agent=a0.1`)).status).toBe(400);
});

/** Reads a stream until it ends; `onEvent` may do something in between. */
async function readStream(
  path: string,
  headers: Record<string, string> = {},
  onEvent: (id: number) => void = () => undefined,
): Promise<number[]> {
  const answer = await call(path, { headers: { accept: 'text/event-stream', ...headers } });
  expect(answer.headers.get('content-type')).toContain('text/event-stream');
  const ids: number[] = [];
  let rest = '';
  for await (const chunk of answer.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    const blocks = (rest + chunk).split('\n\n');
    rest = blocks.pop() ?? '';
    for (const block of blocks.filter((each) => each.startsWith('id: '))) {
      ids.push(Number(block.slice(4, block.indexOf('\n'))));
      onEvent(ids.at(-1) ?? 0);
    }
  }
  return ids;
}

test('a stream has every event once and in order, live and over many pages, and ends with the workflow', async () => {
  const { workflow, task } = known('followed');
  task.events = Array.from({ length: 450 }, (_, index) => eventOf(index + 1));
  const grow = (): void => {
    task.events.push(eventOf(task.events.length + 1));
    task.ended = task.events.length === 500;
    void orchestrator.publish(
      subjects.event(0, 'acme', workflow, 'retry.scheduled'),
      JSON.stringify({ data: { version: task.events.length } }),
    );
  };
  const ids = await readStream(`/api/v1/tasks/${workflow}/events`, {}, (id) => (id >= 450 && id < 500 ? grow() : undefined));
  expect(ids).toEqual(Array.from({ length: 500 }, (_, index) => index + 1));
  expect(await readStream(`/api/v1/tasks/${workflow}/events?after=3`, { 'last-event-id': '497' })).toEqual([498, 499, 500]);
  expect((await call(`/api/v1/tasks/${workflow}/events?after=500`, { headers: { accept: 'text/event-stream' } })).status).toBe(204);
  const page = await jsonOf(call(`/api/v1/tasks/${workflow}/events?after=490&limit=5`));
  expect(page.data).toHaveLength(5);
  expect(page.page).toEqual({ after: 495, ended: false, resumable: false });
});

test('news that was not heard is found within a second', async () => {
  const { workflow, task } = known('unheard');
  task.events = [eventOf(1)];
  const started = performance.now();
  const ids = await readStream(`/api/v1/tasks/${workflow}/events`, {}, (id) => {
    if (id > 1) return;
    task.events.push(eventOf(2));
    task.ended = true;
  });
  expect(ids).toEqual([1, 2]);
  expect(performance.now() - started).toBeLessThan(2_000);
});

test('a client that does not read holds back the reading, and leaves nothing behind', async () => {
  const { workflow, task } = known('slow');
  const words = 'x'.repeat(3_000);
  task.events = Array.from({ length: 5_000 }, (_, index) => ({ ...eventOf(index + 1), data: { words } }));
  const before = pagesAsked;
  const socket = createConnection(Number(new URL(url).port), '127.0.0.1');
  socket.pause();
  socket.write(
    `GET /api/v1/tasks/${workflow}/events HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer mk_acme.secret-acme\r\naccept: text/event-stream\r\n\r\n`,
  );
  await new Promise((done) => setTimeout(done, 800));
  // 15 MB in 25 pages: what does not fit into the sockets' buffers was not asked for.
  expect(pagesAsked - before).toBeGreaterThan(0);
  expect(pagesAsked - before).toBeLessThan(20);
  const open = async (): Promise<string | undefined> =>
    /^mandate_sse_streams_open.* (\d+)$/m.exec(await (await fetch(`${url}/metrics`)).text())?.[1];
  expect(await open()).toBe('1');
  socket.destroy();
  await vi.waitFor(async () => expect(await open()).toBe('0'), 3_000);
});

test('the document of the doors is OpenAPI 3.1 and names every route', async () => {
  const document = await jsonOf(fetch(`${url}/api/v1/openapi.json`));
  expect(document.openapi).toBe('3.1.0');
  expect(Object.keys(document.paths).sort()).toEqual([
    '/api/v1/account',
    '/api/v1/account/budgets',
    '/api/v1/account/freeze',
    '/api/v1/account/thaw',
    '/api/v1/autonomous/execute',
    '/api/v1/data-subjects/erase',
    '/api/v1/delegation-stats',
    '/api/v1/model-calls',
    '/api/v1/models',
    '/api/v1/operator/freeze',
    '/api/v1/operator/thaw',
    '/api/v1/parked',
    '/api/v1/parked/{id}',
    '/api/v1/parked/{id}/abandon',
    '/api/v1/parked/{id}/retry',
    '/api/v1/roles',
    '/api/v1/status',
    '/api/v1/tasks',
    '/api/v1/tasks/{id}',
    '/api/v1/tasks/{id}/agents',
    '/api/v1/tasks/{id}/agents/{agent}',
    '/api/v1/tasks/{id}/cancel',
    '/api/v1/tasks/{id}/contributions',
    '/api/v1/tasks/{id}/decision',
    '/api/v1/tasks/{id}/erase',
    '/api/v1/tasks/{id}/events',
    '/api/v1/tasks/{id}/fork',
    '/api/v1/tasks/{id}/llm-calls',
    '/api/v1/tasks/{id}/state',
    '/api/v1/tasks/{id}/state-diff',
    '/api/v1/tasks/{id}/tool-calls',
    '/api/v1/tasks/{id}/top-up',
    '/api/v1/tools',
  ]);
  expect(document.paths['/api/v1/tasks']?.post.requestBody.content['application/json']?.schema).toBeDefined();
  expect(document.components.schemas['Problem']).toBeDefined();
});

test('status, probes and metrics', async () => {
  await vi.waitFor(async () => {
    const { data } = await jsonOf(call('/api/v1/status'));
    expect(data.state).toBe('degraded');
    expect(data.services.find((each) => each.service === 'gateway')).toMatchObject({
      state: 'healthy',
      instances: [{ version: '0.1.0', state: 'ready' }],
    });
  }, 3_000);
  expect((await fetch(`${url}/livez`)).status).toBe(200);
  expect((await fetch(`${url}/readyz`)).status).toBe(200);
  const metrics = await (await fetch(`${url}/metrics`)).text();
  expect(metrics).toContain('mandate_http_requests_total{method="POST",route="/api/v1/tasks",status="202"');
  expect(metrics).toMatch(/mandate_sse_streams_open(\{.*\})? 0/);
  expect(metrics).toContain('route="/api/v1/tasks/:id/events"');
});

test('without a bus it says so at once, and works again when the bus is back', async () => {
  const { workflow, task } = known('outlives');
  task.events = [eventOf(1)];
  const ids = readStream(`/api/v1/tasks/${workflow}/events`);
  await new Promise((done) => setTimeout(done, 100));
  await nats.kill();
  await vi.waitFor(async () => expect((await fetch(`${url}/readyz`)).status).toBe(503), 3_000);
  const started = performance.now();
  const answer = await post('/api/v1/tasks', { task: 'x' });
  expect(answer.status).toBe(503);
  expect(await answer.json()).toMatchObject({ code: 'BusUnavailable' });
  expect(performance.now() - started).toBeLessThan(1_000);
  await nats.restart();
  task.events.push(eventOf(2));
  task.ended = true;
  expect(await ids).toEqual([1, 2]);
  receiptOf = accepts;
  await vi.waitFor(async () => expect((await post('/api/v1/tasks', { task: 'x' })).status).toBe(202), 10_000);
});

test('stopping ends streams with a hint and finishes requests', async () => {
  const { workflow, task } = known('cut');
  task.events = [eventOf(1)];
  const answer = await call(`/api/v1/tasks/${workflow}/events`, { headers: { accept: 'text/event-stream' } });
  receiptOf = accepts;
  const waiting = post('/api/v1/tasks?wait=60', { task: 'long' });
  await new Promise((done) => setTimeout(done, 200));
  const started = performance.now();
  await service.stop();
  expect(performance.now() - started).toBeLessThan(2_000);
  expect((await waiting).status).toBe(202);
  expect((await answer.text()).trimEnd().endsWith('retry: 1000')).toBe(true);
});
