import type { QueryAnswer, QueryAsk, QueryName, QueryReply, StoredEvent } from '@mandate/contracts';
import { subjects } from '@mandate/contracts';
import { DataKeys } from '@mandate/event-store';
import { Bus } from '@mandate/messaging';
import { createLogger, type RunningService, startService } from '@mandate/service-kit';
import { type FreshDatabase, type FreshNats, freshDatabase, freshNats } from '@mandate/test-kit';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { ExampleLog, exampleStream, exampleWorkflow, storedEvent } from './example-log.ts';
import { rebuild } from './rebuild.ts';
import { projector } from './service.ts';
import { openPool } from './store/pool.ts';

let database: FreshDatabase;
let nats: FreshNats;
let dir: string;
let log: ExampleLog;
let keys: DataKeys;
let gateway: Bus;
let orchestrator: Bus;
let service: RunningService;

const connect = (user: string): Promise<Bus> => Bus.connect({ servers: nats.url, user, password: nats.password(user), name: user });

const startProjector = (): Promise<RunningService> =>
  startService(projector, {
    NATS_URL: nats.url,
    NATS_USER: 'projector',
    NATS_PASSWORD: nats.password('projector'),
    LOG_LEVEL: 'silent',
    DATABASE_URL: database.projectorUrl,
    KEYS_DATABASE_URL: database.projectorKeysUrl,
    MANDATE_MASTER_KEY_FILE: join(dir, 'master.key'),
  });

beforeAll(async () => {
  [database, nats, dir] = await Promise.all([freshDatabase(), freshNats(), mkdtemp(join(tmpdir(), 'mandate-projector-'))]);
  await writeFile(join(dir, 'master.key'), randomBytes(32).toString('hex'));
  log = await ExampleLog.open(database.url);
  keys = await DataKeys.open({ url: database.orchestratorKeysUrl, masterKeyFile: join(dir, 'master.key') });
  [gateway, orchestrator] = await Promise.all([connect('gateway'), connect('orchestrator')]);
  service = await startProjector();
});

afterAll(async () => {
  await service?.stop();
  await Promise.all([gateway?.close(), orchestrator?.close(), keys?.close(), log?.close()]);
  await nats?.stop();
  await database?.drop();
  await rm(dir, { recursive: true, force: true });
});

const ask = async <N extends QueryName>(name: N, question: QueryAsk<N>): Promise<QueryReply<N>> =>
  (await gateway.ask(subjects.query('projector', name), JSON.stringify(question), 5_000)) as QueryReply<N>;
async function answerTo<N extends QueryName>(name: N, question: QueryAsk<N>): Promise<QueryAnswer<N>> {
  const reply = await ask(name, question);
  if (!reply.ok) throw new Error(`${reply.problem.code}: ${reply.problem.message}`);
  return reply.value;
}

/** Commits to the log and tells the bus, as the orchestrator does. */
async function commitAndTell(events: readonly StoredEvent[]): Promise<void> {
  const incarnation = await log.incarnation();
  for (const { partition, position, envelope } of await log.append(events)) {
    const message = {
      specversion: '1.0',
      id: envelope.id,
      source: '/test',
      type: `mandate.${envelope.type}.v1`,
      tenant: envelope.tenant,
      partition,
      position,
      incarnation,
      data: envelope,
    };
    await orchestrator.publish(subjects.event(partition, envelope.tenant, envelope.stream, envelope.type), JSON.stringify(message));
  }
}

test('what was committed and told is answered within milliseconds, and asking for a version waits for it', async () => {
  const events = exampleStream(1);
  const asked = answerTo('tasks.get', { tenant: 'acme', workflow: exampleWorkflow(1), minVersion: events.length });
  await commitAndTell(events);
  expect(await asked).toMatchObject({ status: 'completed', version: 11, costMicroUsd: 100, taskText: null, answer: null });
});

test('events that were never told are found in the log', async () => {
  await log.append(exampleStream(2));
  await vi.waitFor(
    async () => expect(await answerTo('tasks.get', { tenant: 'acme', workflow: exampleWorkflow(2) })).toMatchObject({ version: 11 }),
    5_000,
  );
});

test('told out of order, with gaps and twice: applied in order and once', async () => {
  const events = exampleStream(3);
  const incarnation = await log.incarnation();
  const placed = await log.append(events);
  for (const { partition, position, envelope } of [...placed.slice(4), ...placed, ...placed.slice(0, 3)]) {
    await orchestrator.publish(
      subjects.event(partition, 'acme', envelope.stream, envelope.type),
      JSON.stringify({ partition, position, incarnation, data: envelope }),
    );
  }
  const { items, ended } = await answerTo('events.list', { tenant: 'acme', workflow: exampleWorkflow(3), minVersion: 11 });
  expect(items.map((item) => item.version)).toEqual(events.map((event) => event.version));
  expect(ended).toBe(true);
});

test('content is joined when it is asked for, and is null when it was erased', async () => {
  const events = exampleStream(4).map((event) =>
    [1, 9].includes(event.version) ? { ...event, content: { key: 'k', sha256: '0'.repeat(64) } } : event,
  );
  await log.storeContent(keys, exampleWorkflow(4), 1, { task: 'x'.repeat(300) });
  await log.storeContent(keys, exampleWorkflow(4), 9, { text: 'the answer', calls: [] });
  await commitAndTell(events);
  const detail = await answerTo('tasks.get', { tenant: 'acme', workflow: exampleWorkflow(4), minVersion: 11 });
  expect(detail).toMatchObject({ task: 'x'.repeat(200), taskText: 'x'.repeat(300), answer: 'the answer' });
  const facts = await answerTo('events.list', { tenant: 'acme', workflow: exampleWorkflow(4) });
  expect(facts.items.every((item) => !('content' in item))).toBe(true);
  const whole = await answerTo('events.list', { tenant: 'acme', workflow: exampleWorkflow(4), include: 'content', after: 8 });
  expect(whole.items.map((item) => item.content)).toEqual([{ text: 'the answer', calls: [] }, null, null]);
  await log.query('delete from es.content where stream_id = $1', [exampleWorkflow(4)]);
  expect(await answerTo('tasks.get', { tenant: 'acme', workflow: exampleWorkflow(4) })).toMatchObject({
    task: null,
    taskText: null,
    answer: null,
  });
});

test('a tenant sees nothing of another tenant', async () => {
  await commitAndTell(exampleStream(5, { tenant: 'globex' }));
  await answerTo('tasks.get', { tenant: 'globex', workflow: exampleWorkflow(5), minVersion: 11 });
  const workflow = exampleWorkflow(5);
  expect(await ask('tasks.get', { tenant: 'acme', workflow })).toMatchObject({ ok: false, problem: { code: 'WorkflowUnknown' } });
  expect(await ask('events.list', { tenant: 'acme', workflow })).toMatchObject({ ok: false, problem: { code: 'WorkflowUnknown' } });
  expect((await answerTo('llm-calls.list', { tenant: 'acme', workflow })).items).toEqual([]);
  expect((await answerTo('tool-calls.list', { tenant: 'acme', workflow })).items).toEqual([]);
  const listed = await answerTo('tasks.list', { tenant: 'acme' });
  expect(listed.items.map((item) => item.workflow)).not.toContain(workflow);
});

test('pages are complete and without repeats while new tasks arrive', async () => {
  const numbers = Array.from({ length: 25 }, (_, index) => 100 + index);
  for (const n of numbers) await log.append(exampleStream(n, { tenant: 'initech', startedAt: 5_000_000 }));
  await vi.waitFor(
    async () => expect((await answerTo('tasks.list', { tenant: 'initech', status: 'completed', limit: 200 })).items).toHaveLength(25),
    5_000,
  );
  const seen: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await answerTo('tasks.list', { tenant: 'initech', limit: 10, ...(cursor === undefined ? {} : { cursor }) });
    seen.push(...page.items.map((item) => item.workflow));
    cursor = page.cursor ?? undefined;
    await log.append(exampleStream(200 + seen.length, { tenant: 'initech', startedAt: 6_000_000 }));
  } while (cursor !== undefined);
  expect(seen.filter((workflow) => numbers.some((n) => exampleWorkflow(n) === workflow)).sort()).toEqual(
    numbers.map((n) => exampleWorkflow(n)).sort(),
  );
  expect(new Set(seen).size).toBe(seen.length);
});

test('calls of a workflow come in order; a question that does not fit is refused by name', async () => {
  const { items } = await answerTo('llm-calls.list', { tenant: 'acme', workflow: exampleWorkflow(1) });
  expect(items.map((item) => [item.attempt, item.costMicroUsd, item.inputTokens])).toEqual([
    ['a0_s1_t1', 40, 30],
    ['a0_s3_t1', 60, 50],
  ]);
  expect(await ask('tasks.list', { tenant: 'acme', cursor: 'zzz' })).toMatchObject({ ok: false, problem: { code: 'CursorInvalid' } });
  expect(await ask('tasks.list', { tenant: 'NOT A TENANT' })).toMatchObject({ ok: false, problem: { code: 'QueryInvalid' } });
});

test('a stream that this build does not understand is parked and the rest of its partition goes on', async () => {
  const [unknown, next] = [exampleStream(301, { partition: 6 }), exampleStream(302, { partition: 6 })];
  await commitAndTell([
    ...unknown.slice(0, 1),
    storedEvent(exampleWorkflow(301, 6), 2, { type: 'moon.landed', data: {} } as never),
    ...next,
  ]);
  await answerTo('tasks.get', { tenant: 'acme', workflow: exampleWorkflow(302, 6), minVersion: 11 });
  expect(await log.query('select workflow, version, type from read.parked')).toEqual([
    { workflow: exampleWorkflow(301, 6), version: 2, type: 'moon.landed' },
  ]);
});

test('a value that Postgres cannot store parks its stream alone', async () => {
  const bad = exampleStream(311, { partition: 7 }).map((event) =>
    event.type === 'task.completed' ? { ...event, data: { ...event.data, steps: 5_000_000_000 } } : event,
  );
  await commitAndTell([...bad, ...exampleStream(312, { partition: 7 })]);
  await answerTo('tasks.get', { tenant: 'acme', workflow: exampleWorkflow(312, 7), minVersion: 11 });
  expect(await log.query('select version from read.parked where workflow = $1', [exampleWorkflow(311, 7)])).toEqual([{ version: 10 }]);
});

const READ_MODELS = ['tasks', 'timeline', 'llm_calls', 'tool_calls', 'parked'];
async function digest(): Promise<unknown[]> {
  const digests = [];
  for (const model of READ_MODELS)
    digests.push(await log.query(`select count(*), md5(string_agg(r::text, '|' order by r::text)) from read.${model} r`));
  return digests;
}

test('a rebuild makes the same rows again', async () => {
  const status = async () => (await answerTo('projection.status', {})).partitions;
  await vi.waitFor(async () => expect((await status()).every(({ position, head }) => position === head)).toBe(true), 5_000);
  const before = await digest();
  const pool = openPool(database.projectorUrl, { max: 4, timeoutMs: 10_000, name: 'rebuild' });
  const { events } = await rebuild(pool, createLogger('projector', 'rebuild', 'silent'));
  await pool.end();
  expect(events).toBeGreaterThan(300);
  expect(await digest()).toEqual(before);
});

test('two instances share the partitions; what one leaves the other takes at once', async () => {
  const owners = async () =>
    (await log.query<{ owner: string; n: string }>('select owner, count(*) as n from read.lease where owner is not null group by 1')).map(
      (row) => Number(row.n),
    );
  await vi.waitFor(async () => expect(await owners()).toEqual([16]), 5_000);
  const other = await startProjector();
  await vi.waitFor(async () => expect(await owners()).toEqual([8, 8]), 8_000);
  await commitAndTell(Array.from({ length: 16 }, (_, index) => exampleStream(400 + index)).flat());
  await Promise.all(
    Array.from({ length: 16 }, (_, index) =>
      answerTo('tasks.get', { tenant: 'acme', workflow: exampleWorkflow(400 + index), minVersion: 11 }),
    ),
  ).then((tasks) => expect(tasks.map((task) => task.version)).toEqual(Array(16).fill(11)));
  await other.stop();
  await vi.waitFor(async () => expect(await owners()).toEqual([16]), 1_000);
});

test('another incarnation of the log: the rows are built anew', async () => {
  const before = await digest();
  await log.query('update es.log set incarnation = gen_random_uuid()');
  const { incarnation } = (await log.query<{ incarnation: string }>('select incarnation from es.log'))[0] ?? { incarnation: '' };
  await vi.waitFor(async () => {
    expect(await log.query('select 1 from read.checkpoint where incarnation = $1 and next_pos >= rebuild_to', [incarnation])).toHaveLength(
      16,
    );
    expect(await digest()).toEqual(before);
  }, 10_000);
});

test('it survives that Postgres ends every session', async () => {
  await log.query(`select pg_terminate_backend(pid) from pg_stat_activity where usename = 'mandate_projector'`);
  await commitAndTell(exampleStream(500));
  await vi.waitFor(
    async () => expect(await answerTo('tasks.get', { tenant: 'acme', workflow: exampleWorkflow(500) })).toMatchObject({ version: 11 }),
    8_000,
  );
  expect(service.ready()).toEqual({ ok: true, missing: [] });
});
