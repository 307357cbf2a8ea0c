import { partitionOfRequest } from '@mandate/domain';
import { subjects, TYPES } from '@mandate/contracts';
import { EventLog, Fenced } from '@mandate/event-store';
import { Bus } from '@mandate/messaging';
import { type RunningService, startService } from '@mandate/service-kit';
import { type FreshDatabase, freshDatabase, type FreshNats, freshNats, type InstantWorkers, startInstantWorkers } from '@mandate/test-kit';
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { orchestrator } from './service.ts';

/** Postgres falls back to an older state, in which epochs and positions are given a second time, while orchestrators run on. */
let database: FreshDatabase;
let nats: FreshNats;
let folder: string;
let sql: pg.Pool;

beforeAll(async () => {
  [nats, database, folder] = await Promise.all([freshNats(), freshDatabase(), mkdtemp(join(tmpdir(), 'mandate-restored-'))]);
  await writeFile(join(folder, 'master'), randomBytes(32).toString('hex'));
  sql = new pg.Pool({ connectionString: database.url });
});
afterAll(async () => {
  await sql?.end();
  await Promise.all([database?.drop(), nats?.stop(), rm(folder, { recursive: true, force: true })]);
});

/** What docs/operations.md asks of whoever restores an older state. */
async function newIncarnation(): Promise<string> {
  const incarnation = randomUUID();
  await sql.query('update es.log set incarnation = $1', [incarnation]);
  return incarnation;
}

it('an owner of before is fenced off, though the older state gives its epoch to somebody else', async () => {
  const log = new EventLog({ url: database.orchestratorUrl });
  const [before] = await log.takePartitions('before', 3_000, 1);
  if (before === undefined) throw new Error('no partition was free');
  // The older state: nobody had taken it yet.
  await sql.query('update es.partition set epoch = $1, owner = null, lease_until = null where p = $2', [
    before.epoch - 1,
    before.partition,
  ]);
  const incarnation = await newIncarnation();
  const after = (await log.takePartitions('after', 3_000, 16)).find(({ partition }) => partition === before.partition);
  expect(after?.incarnation).toBe(incarnation);
  const write = {
    partition: before.partition,
    stream: 'wf_00_x',
    tenant: 'acme',
    expectedVersion: 0,
    events: [],
    headHash: Buffer.alloc(32),
    open: true,
  };
  const event = { version: 1, type: 'x', schema: 1, at: 0, envelope: '{}', hash: Buffer.alloc(32) };
  const stale = log.append([{ ...write, events: [event] }], new Map([[before.partition, before.epoch]]));
  await expect(stale).rejects.toBeInstanceOf(Fenced);
  expect(await log.keepPartitions('before', 3_000)).toMatchObject({ owned: [] });
  await log.releasePartitions(
    'after',
    Array.from({ length: 16 }, (_, p) => p),
  );
  await log.leave('after');
  await log.leave('before');
  await log.close();
});

it('an orchestrator that runs on says its events under the new incarnation, without a restart', async () => {
  const keys = { analyze: 'a'.repeat(32), llm: 'l'.repeat(32), tool: 't'.repeat(32) };
  const env = (user: string): NodeJS.ProcessEnv => ({
    NATS_URL: nats.url,
    NATS_USER: user,
    NATS_PASSWORD: nats.password(user),
    LOG_LEVEL: 'silent',
  });
  const workers: InstantWorkers = await startInstantWorkers(env, keys);
  const running: RunningService = await startService(orchestrator, {
    ...env('orchestrator'),
    DATABASE_URL: database.orchestratorUrl,
    KEYS_DATABASE_URL: database.orchestratorKeysUrl,
    MANDATE_MASTER_KEY_FILE: join(folder, 'master'),
    COMMAND_KEY_ANALYZER: keys.analyze,
    COMMAND_KEY_LLM: keys.llm,
    COMMAND_KEY_TOOL: keys.tool,
  });
  const gateway = await Bus.connect({ servers: nats.url, user: 'gateway', password: nats.password('gateway'), name: 'gateway' });
  const said: { readonly type: string; readonly incarnation: string }[] = [];
  gateway.listen('evt.>', (message) => said.push(message.json()));
  const submit = async (request: string): Promise<void> => {
    const inbox = subjects.inbox(partitionOfRequest('acme', request), 'gateway', 'acme');
    const head = { specversion: '1.0', id: randomUUID(), source: '/test', type: TYPES.taskSubmit, subject: request, tenant: 'acme' };
    await gateway.publish(inbox, JSON.stringify({ ...head, data: { task: 'hello', options: { pattern: 'direct' } } }));
  };
  const completed = (): readonly { readonly incarnation: string }[] => said.filter(({ type }) => type === 'mandate.task.completed.v1');
  try {
    await submit('first');
    await vi.waitFor(() => expect(completed()).toHaveLength(1), { timeout: 10_000 });
    const incarnation = await newIncarnation();
    await submit('second');
    await vi.waitFor(() => expect(completed()).toHaveLength(2), { timeout: 10_000 });
    expect(completed()[1]?.incarnation).toBe(incarnation);
  } finally {
    await Promise.all([gateway.close(), workers.stop(), running.stop()]);
  }
});
