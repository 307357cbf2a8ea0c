import { partitionOfRequest } from '@mandate/domain';
import { EVENT_VERSIONS, storedEvent, subjects, type TaskReceipt, type TaskResult, TYPES, workflowIdFor } from '@mandate/contracts';
import { Bus } from '@mandate/messaging';
import { type RunningService, startService } from '@mandate/service-kit';
import { type FreshDatabase, freshDatabase, type FreshNats, freshNats, type InstantWorkers, startInstantWorkers } from '@mandate/test-kit';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { orchestrator } from './service.ts';

/** One orchestrator over real NATS and real Postgres, with workers that answer at once. */
const keys = { analyze: 'a'.repeat(32), llm: 'l'.repeat(32), tool: 't'.repeat(32) };
let nats: FreshNats;
let database: FreshDatabase;
let folder: string;
let workers: InstantWorkers;
let running: RunningService;
let gateway: Bus;
let tenant: Bus;
let sql: pg.Pool;

const env = (user: string): NodeJS.ProcessEnv => ({
  NATS_URL: nats.url,
  NATS_USER: user,
  NATS_PASSWORD: nats.password(user),
  LOG_LEVEL: 'silent',
});
const startOrchestrator = (): Promise<RunningService> =>
  startService(orchestrator, {
    ...env('orchestrator'),
    DATABASE_URL: database.orchestratorUrl,
    KEYS_DATABASE_URL: database.orchestratorKeysUrl,
    MANDATE_MASTER_KEY_FILE: join(folder, 'master'),
    COMMAND_KEY_ANALYZER: keys.analyze,
    COMMAND_KEY_LLM: keys.llm,
    COMMAND_KEY_TOOL: keys.tool,
  });
const bus = (user: string): Promise<Bus> => Bus.connect({ servers: nats.url, user, password: nats.password(user), name: user });

beforeAll(async () => {
  [nats, database, folder] = await Promise.all([freshNats(), freshDatabase(), mkdtemp(join(tmpdir(), 'mandate-orchestrator-'))]);
  await writeFile(join(folder, 'master'), randomBytes(32).toString('hex'));
  sql = new pg.Pool({ connectionString: database.url });
  workers = await startInstantWorkers(env, keys);
  running = await startOrchestrator();
  [gateway, tenant] = await Promise.all([bus('gateway'), bus('tenant-acme')]);
  await vi.waitFor(() => expect(running.ready().ok).toBe(true), { timeout: 10_000 });
});

afterAll(async () => {
  await Promise.all([gateway?.close(), tenant?.close(), workers?.stop(), running?.stop()]);
  await sql?.end();
  await Promise.all([database?.drop(), nats?.stop(), rm(folder, { recursive: true, force: true })]);
});

interface Heard {
  readonly receipt: Promise<TaskReceipt>;
  readonly result: Promise<TaskResult>;
}

function hear(listener: Bus, request: string): Heard {
  const receipt = Promise.withResolvers<TaskReceipt>();
  const result = Promise.withResolvers<TaskResult>();
  listener.listen(subjects.out('acme', request), (message) => {
    const event = message.json<{ type: string; data: never }>();
    if (event.type === TYPES.taskReceipt) receipt.resolve(event.data);
    if (event.type === TYPES.taskResult) result.resolve(event.data);
  });
  return { receipt: receipt.promise, result: result.promise };
}

const event = (type: string, data: unknown, extra: object = {}): string =>
  JSON.stringify({ specversion: '1.0', id: randomBytes(8).toString('hex'), source: '/test', type, data, ...extra });

async function submit(request: string, task: string, options: object = { pattern: 'direct' }): Promise<Heard> {
  const heard = hear(gateway, request);
  await gateway.publish(
    subjects.inbox(partitionOfRequest('acme', request), 'gateway', 'acme'),
    event(TYPES.taskSubmit, { task, options }, { subject: request, tenant: 'acme' }),
  );
  return heard;
}

const typesOf = async (workflow: string): Promise<string[]> =>
  (await sql.query<{ type: string }>('select type from es.event where stream_id = $1 order by version', [workflow])).rows.map(
    (row) => row.type,
  );

describe('a task from the gateway', () => {
  it('is accepted once it is in the log, and runs to its answer', async () => {
    const { receipt, result } = await submit('first', 'look around [[turns:3]]');
    const accepted = await receipt;
    expect(accepted).toMatchObject({ accepted: true, duplicate: false, workflow: workflowIdFor('acme', 'first') });
    expect(await result).toMatchObject({ status: 'completed', answer: 'done after 3 turns', costMicroUsd: 90, steps: 5 });
    expect(await typesOf(workflowIdFor('acme', 'first'))).toEqual([
      'task.submitted',
      'mandate.granted',
      'decision.made',
      'attempt.reserved',
      'attempt.settled',
      'attempt.reserved',
      'attempt.settled',
      'attempt.reserved',
      'attempt.settled',
      'attempt.reserved',
      'attempt.settled',
      'attempt.reserved',
      'attempt.settled',
      'task.completed',
      'mandate.released',
    ]);
  });

  it('sent twice is one workflow, and another task under the same request is refused', async () => {
    await (await submit('twice', 'once [[turns:1]]')).result;
    expect(await (await submit('twice', 'once [[turns:1]]')).receipt).toMatchObject({ accepted: true, duplicate: true });
    expect(await (await submit('twice', 'twice [[turns:1]]')).receipt).toMatchObject({ accepted: false, code: 'IdempotencyConflict' });
    expect((await typesOf(workflowIdFor('acme', 'twice'))).filter((type) => type === 'task.submitted')).toHaveLength(1);
  });

  it('starts a tool that must not be repeated only after its start is in the log', async () => {
    const { result } = await submit('send', 'send it [[turns:2]] [[tool:core__send]]');
    expect(await result).toMatchObject({ status: 'completed' });
    expect(await typesOf(workflowIdFor('acme', 'send'))).toContain('attempt.started');
    expect(workers.ran.filter((run) => run.workflow === workflowIdFor('acme', 'send') && run.tool !== undefined)).toHaveLength(1);
  });
});

describe('a task from the bus', () => {
  it('is mapped to its partition by the server, and answered to its tenant', async () => {
    const heard = hear(tenant, 'from-outside');
    await tenant.publish(
      subjects.task('acme', 'from-outside'),
      event(TYPES.taskSubmit, { task: 'hello [[turns:1]]', options: { pattern: 'direct' } }),
    );
    expect(await heard.receipt).toMatchObject({ accepted: true, workflow: workflowIdFor('acme', 'from-outside') });
    expect(await heard.result).toMatchObject({ status: 'completed' });
  });

  it.each([
    ['not JSON at all', 'nonsense', 'not_json'],
    ['no CloudEvent', '{"task":"x"}', 'not_a_cloud_event'],
    ['an unknown type', event('mandate.task.explode.v1', {}), 'unknown_type'],
    ['an unknown version', event('mandate.task.submit.v9', { task: 'x' }), 'unknown_version'],
    ['a misspelt option', event(TYPES.taskSubmit, { task: 'x', options: { modell: 'y' } }), 'invalid_data'],
    ['a NUL character', event(TYPES.taskSubmit, { task: 'a\u0000b' }), 'invalid_data'],
    ['somebody else’s tenant', event(TYPES.taskSubmit, { task: 'x' }, { tenant: 'globex' }), 'foreign_tenant'],
    ['JSON a thousand levels deep', '['.repeat(1_000) + ']'.repeat(1_000), 'too_deep'],
    ['300 KB', event(TYPES.taskSubmit, { task: 'x'.repeat(300_000) }), 'too_large'],
  ])('that is %s is parked with its reason, refused to its sender, and never comes again', async (_, body, reason) => {
    const request = `bad-${randomBytes(4).toString('hex')}`;
    const heard = hear(tenant, request);
    await tenant.publish(subjects.task('acme', request), body);
    expect(await heard.receipt).toMatchObject({ accepted: false, code: reason });
    const { rows } = await sql.query<{ sha256: string }>('select reason, tenant_id, service, sha256 from es.parked where subject like $1', [
      `%${request}`,
    ]);
    expect(rows).toMatchObject([{ reason, tenant_id: 'acme', service: 'orchestrator' }]);
    // Keyed: it tells nobody what the message may have been.
    expect(rows[0]?.sha256).not.toBe(createHash('sha256').update(body).digest('hex'));
  });
});

describe('a task with something else where its trace context should be', () => {
  it('runs all the same, and that text is nowhere in the log', async () => {
    const heard = hear(tenant, 'no-trace');
    await tenant.publish(
      subjects.task('acme', 'no-trace'),
      event(TYPES.taskSubmit, { task: 'look [[turns:2]]', options: { pattern: 'direct' } }, { traceparent: 'x","data":{"canary":1}' }),
    );
    expect(await heard.result).toMatchObject({ status: 'completed' });
    const { rows } = await sql.query('select 1 from es.event where stream_id = $1 and envelope::text like $2', [
      workflowIdFor('acme', 'no-trace'),
      '%canary%',
    ]);
    expect(rows).toEqual([]);
  });
});

describe('a cancellation on another request’s subject', () => {
  it('is refused with the next step', async () => {
    const workflow = workflowIdFor('acme', 'from-outside');
    const elsewhere =
      Array.from({ length: 50 }, (_, i) => `elsewhere-${i}`).find(
        (request) => partitionOfRequest('acme', request) !== Number(workflow.slice(3, 5)),
      ) ?? '';
    const heard = hear(tenant, elsewhere);
    await tenant.publish(subjects.task('acme', elsewhere), event(TYPES.taskCancel, { workflow }));
    expect(await heard.receipt).toMatchObject({ accepted: false, code: 'wrong_partition' });
  });
});

describe('the log', () => {
  it('names for every event its cause, up to the request, and hashes the exact bytes', async () => {
    const { result } = await submit('chain', 'look [[turns:2]]');
    await result;
    const workflow = workflowIdFor('acme', 'chain');
    const { rows } = await sql.query<{ envelope: string; hash: Buffer }>(
      'select envelope::text, hash from es.event where stream_id = $1 order by version',
      [workflow],
    );
    let head: Buffer = Buffer.alloc(32);
    const known = new Set(['chain']);
    for (const row of rows) {
      head = createHash('sha256').update(head).update(row.envelope).digest();
      expect(row.hash).toEqual(head);
      const stored = storedEvent.parse(JSON.parse(row.envelope));
      expect(stored).toMatchObject({ tenant: 'acme', correlation: 'chain', schema: EVENT_VERSIONS[stored.type] });
      expect(known).toContain(stored.causation);
      known.add(stored.id);
    }
  });

  it('holds no content: the task stands only in the encrypted table', async () => {
    await (await submit('secret', 'canary-4711 [[turns:2]]')).result;
    const workflow = workflowIdFor('acme', 'secret');
    const events = await sql.query<{ all: string }>('select string_agg(envelope::text, $2) as all from es.event where stream_id = $1', [
      workflow,
      '\n',
    ]);
    expect(events.rows[0]?.all).not.toContain('canary-4711');
    const contents = await sql.query<{ body: Buffer }>('select body from es.content where stream_id = $1', [workflow]);
    expect(contents.rows.length).toBeGreaterThan(0);
    expect(Buffer.concat(contents.rows.map((row) => row.body)).toString('latin1')).not.toContain('canary');
  });

  it('cannot be updated, deleted or truncated by the service, nor by its owner', async () => {
    const service = new pg.Client({ connectionString: database.orchestratorUrl });
    await service.connect();
    for (const change of [
      "update es.event set type = 'x'",
      'delete from es.event',
      'truncate es.event',
      'truncate es.event_p0',
      "update es.content set key_id = 'x'",
    ]) {
      await expect(service.query(change)).rejects.toThrow(/permission denied|must be owner/);
      await expect(sql.query(change)).rejects.toThrow(/append-only/);
    }
    await service.end();
  });
});

describe('cancelling', () => {
  it('reaches a running call, and ends once it is settled', async () => {
    const release = workers.hold();
    const { receipt, result } = await submit('stop-me', 'wait [[turns:1]]');
    const accepted = await receipt;
    const workflow = workflowIdFor('acme', 'stop-me');
    await vi.waitFor(() => expect(workers.ran.some((run) => run.workflow === workflow)).toBe(true));
    expect(accepted.accepted).toBe(true);
    const cancelled = hear(gateway, 'cancel-1');
    await gateway.publish(
      subjects.inbox(Number(workflow.slice(3, 5)), 'gateway', 'acme'),
      event(TYPES.taskCancel, { workflow }, { subject: 'cancel-1' }),
    );
    expect(await cancelled.receipt).toMatchObject({ accepted: true });
    expect(await result).toMatchObject({ status: 'cancelled' });
    release();
  });
});

describe('a fork of a run that this build cannot read', () => {
  it('is parked, and whoever it would have been about can be erased all the same', async () => {
    const origin = workflowIdFor('acme', 'newer');
    await (await submit('newer', 'look [[turns:1]]', { pattern: 'direct', dataSubject: 'maria' })).result;
    const version = (await typesOf(origin)).length + 1;
    await sql.query(
      `insert into es.event select p, -1, stream_id, $2, tenant_id, type, jsonb_set(envelope::jsonb, '{schema}', '99')::json, hash, at
       from es.event where stream_id = $1 and version = 1`,
      [origin, version],
    );
    const fork = workflowIdFor('acme', 'fork-of-newer');
    const ask = (request: string, type: string, data: object): Promise<unknown> =>
      gateway.publish(
        subjects.inbox(partitionOfRequest('acme', request), 'gateway', 'acme'),
        event(type, data, { subject: request, tenant: 'acme' }),
      );
    await ask('fork-of-newer', TYPES.taskFork, { origin, version, options: { maxCostMicroUsd: 1_000 } });
    const parked = (): Promise<pg.QueryResult> => sql.query("select 1 from es.parked where reason = 'handler_failed'");
    await vi.waitFor(async () => expect((await parked()).rows).toHaveLength(1), { timeout: 20_000 });

    const keysDatabase = new pg.Pool({ connectionString: database.keysUrl });
    const belongs = (): Promise<pg.QueryResult> => keysDatabase.query('select 1 from keys.belongs where workflow = $1', [fork]);
    // Its own, and that of the message that was parked.
    expect((await belongs()).rows).toHaveLength(2);
    await ask('forget-maria', TYPES.subjectErase, { dataSubject: 'maria' });
    await vi.waitFor(async () => expect((await belongs()).rows).toEqual([]), { timeout: 10_000 });
    await keysDatabase.end();
  }, 40_000);
});

describe('taking over', () => {
  it('dispatches what is pending and loses nothing', async () => {
    const release = workers.hold();
    const heard = await Promise.all(Array.from({ length: 40 }, (_, i) => submit(`over-${i}`, 'work [[turns:2]]')));
    await Promise.all(heard.map((each) => each.receipt));
    await running.stop();
    release();
    running = await startOrchestrator();
    const results = await Promise.all(heard.map((each) => each.result));
    expect(results.every((result) => result.status === 'completed' && result.costMicroUsd === 60)).toBe(true);
  });

  it('shares the partitions between two, and each task has one history', async () => {
    const second = await startOrchestrator();
    await vi.waitFor(
      async () => {
        const { rows } = await sql.query('select owner, count(*)::int as n from es.partition group by owner order by n');
        expect(rows.map((row: { n: number }) => row.n)).toEqual([8, 8]);
      },
      { timeout: 10_000, interval: 100 },
    );
    const heard = await Promise.all(Array.from({ length: 40 }, (_, i) => submit(`shared-${i}`, 'work [[turns:2]]')));
    const results = await Promise.all(heard.map((each) => each.result));
    expect(results.filter((result) => result.status === 'completed')).toHaveLength(40);
    await second.stop();
  });

  it('loses a partition that another took, alone; the others go on, and it comes back when that lease ends', async () => {
    const stolen = Number(workflowIdFor('acme', 'stolen-0').slice(3, 5));
    await sql.query(
      "update es.partition set owner = 'thief', epoch = epoch + 1, lease_until = clock_timestamp() + interval '2 s' where p = $1",
      [stolen],
    );
    const heard = await Promise.all(Array.from({ length: 40 }, (_, i) => submit(`stolen-${i}`, 'work [[turns:2]]')));
    const results = await Promise.all(heard.map((each) => each.result));
    expect(results.every((result) => result.status === 'completed')).toBe(true);
    await vi.waitFor(
      async () => {
        const { rows } = await sql.query<{ owner: string }>('select distinct owner from es.partition');
        expect(rows).toEqual([{ owner: running.instance }]);
      },
      { timeout: 10_000, interval: 100 },
    );
  });
});
