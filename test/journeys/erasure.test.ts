import { subjects, TYPES } from '@mandate/contracts';
import { aboutEvent, DataKeys, unseal } from '@mandate/event-store';
import { mcpPrograms } from '@mandate/test-kit';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { globSync, readFileSync, statSync } from 'node:fs';
import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { connect } from 'nats';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startWorld, until, type World } from '../world.ts';

/**
 * What is erased is gone, for somebody who holds everything: both databases, the master key, every file of the bus, every
 * log. Words are looked for in clear, and in whatever any key that still exists opens.
 */
let world: World;
let folder: string;
beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'mandate-erasure-')));
  await mkdir(join(folder, 'files'));
  await writeFile(join(folder, 'files', 'letter.txt'), `Dear ${MINE.result}`);
  const toolsFile = join(folder, 'tools.json');
  await writeFile(toolsFile, JSON.stringify({ servers: [filesServer(join(folder, 'files')), slowServer()] }));
  world = await startWorld({ toolsFile, env: Object.fromEntries(SERVICES.map((name) => [name, { LOG_LEVEL: 'debug' }])) });
}, 120_000);
afterAll(async () => {
  await world?.stop();
  await rm(folder, { recursive: true, force: true });
});

const SERVICES = ['gateway', 'analyzer', 'orchestrator', 'llm-router', 'tool-runner', 'projector'] as const;
const MINE = {
  task: 'canary-task-7f3a',
  answer: 'canary-answer-91bc',
  result: 'canary-result-c2d4',
  errand: 'canary-errand-5e60',
  argument: 'canary-argument-ab12',
  running: 'canary-running-d00d',
  parked: 'canary-parked-e77e',
} as const;
const THEIRS = 'canary-theirs-3333';
const SUCCEEDED = 'canary-succeeded-4242';
const PERSON = 'maria.example@canary-person-8888.test';

const call = (tool: string, args: object): string => `tool ${tool} ${JSON.stringify(args)}`;
const LETTER = `about ${MINE.task} [[plan: ${call('files__read_text_file', { path: 'letter.txt' })} & ${call('counter__slow', {
  ms: 1,
  note: MINE.argument,
})}; ${call('delegate', { agent: 'analyst', task: `look at ${MINE.errand}` })}; say ${MINE.answer}]]`;
const about = { pattern: 'direct', dataSubject: PERSON };

describe('a person whose data is erased', () => {
  it('leaves no word in any database, file or log; others, the record and its proof stay', async () => {
    const key = 'letter-of-maria';
    const done = await world.submit(LETTER, about, key);
    const theirs = await world.submit(`hello [[plan: say ${THEIRS}]]`, { pattern: 'direct', dataSubject: 'somebody else' });
    expect((await world.ended(done)).answer).toBe(MINE.answer);
    await world.ended(theirs);
    const running = await world.submit(`[[plan: ${call('counter__slow', { ms: 60_000, note: MINE.running })}; say never]]`, about);
    await until(10_000, async () => (await reserved(running, 'tool')) || undefined);
    await parkSomething(done);

    // This look at it finds everything that it is to miss afterwards.
    const before = await whatCanBeRead();
    for (const word of [...Object.values(MINE), THEIRS]) expect(before.opened, word).toContain(word);
    expect(before.plain).not.toMatch(/canary-/);

    const answer = await world.api('/api/v1/data-subjects/erase', { method: 'POST', body: JSON.stringify({ dataSubject: PERSON }) });
    expect(answer.status).toBe(202);
    const { data } = (await answer.json()) as { data: { workflows: string[]; total: number } };
    expect(new Set(data.workflows)).toEqual(new Set([done, running]));
    for (const workflow of [done, running])
      expect(await until(10_000, async () => ((await types(workflow)).includes('content.erased') ? true : undefined))).toBe(true);
    expect(await world.ended(running)).toMatchObject({ status: 'cancelled', code: 'ContentErased', answer: null });

    const after = await whatCanBeRead();
    for (const word of Object.values(MINE)) expect(after.opened, word).not.toContain(word);
    expect(after.opened).toContain(THEIRS);
    expect(after.plain).not.toMatch(/canary-/);
    // What was derived: nobody can try out what the task may have been.
    for (const text of [LETTER, JSON.stringify([LETTER, Object.entries(about).toSorted(([a], [b]) => (a < b ? -1 : 1))]), PERSON])
      expect(after.plain).not.toContain(createHash('sha256').update(text).digest('hex'));
    expect((await world.api(`/api/v1/tasks/${theirs}`).then((found) => found.json())) as object).toMatchObject({
      data: { answer: THEIRS, erasedAt: null },
    });
    await expectErased(done);

    const again = await world.api('/api/v1/data-subjects/erase', { method: 'POST', body: JSON.stringify({ dataSubject: PERSON }) });
    expect(await again.json()).toEqual({ data: { workflows: [], total: 0 } });
    const once = await world.api(`/api/v1/tasks/${done}/erase`, { method: 'POST' });
    expect([once.status, await once.json()]).toEqual([200, { data: { workflowId: done, duplicate: true } }]);
    const repeated = await post('/api/v1/tasks', { task: LETTER, options: about }, { 'idempotency-key': key });
    expect(repeated).toMatchObject({ status: 410, code: 'ContentErased' });
    expect(await post(`/api/v1/tasks/${done}/top-up`, { modelCalls: 1 })).toMatchObject({ status: 410, code: 'ContentErased' });
    expect((await verifyLog()).out).toContain('OK: nothing was altered');
  });

  it('is erased by a successor when the orchestrator dies after the request was recorded', async () => {
    const workflow = await world.submit(`hello [[plan: say ${SUCCEEDED}]]`, { pattern: 'direct' });
    await world.ended(workflow);
    await world.armCrash('orchestrator:after-commit:erase');
    await world.api(`/api/v1/tasks/${workflow}/erase`, { method: 'POST' }).catch(() => undefined);
    expect(world.crashHappened()).toBe(true);
    expect(await until(20_000, async () => ((await types(workflow)).includes('content.erased') ? true : undefined))).toBe(true);
    expect((await types(workflow)).filter((type) => /eras/.test(type))).toEqual(['erasure.requested', 'content.erased']);
    expect((await whatCanBeRead()).opened).not.toContain(SUCCEEDED);
  });

  it('cannot be erased by another tenant', async () => {
    const workflow = await world.submit('hello [[plan: say hello]]', { pattern: 'direct', dataSubject: PERSON });
    await world.ended(workflow);
    const foreign = { authorization: `Bearer ${world.stack.apiKey('globex')}` };
    expect(await post(`/api/v1/tasks/${workflow}/erase`, undefined, foreign)).toMatchObject({ status: 404, code: 'WorkflowUnknown' });
    expect(await post('/api/v1/data-subjects/erase', { dataSubject: PERSON }, foreign)).toMatchObject({ data: { total: 0 } });
    expect(await post('/api/v1/data-subjects/erase?tenant=acme', { dataSubject: PERSON }, foreign)).toMatchObject({ status: 403 });
    expect(await types(workflow)).not.toContain('erasure.requested');
  });
});

const types = async (workflow: string): Promise<string[]> => (await world.history(workflow)).map(({ type }) => type);

const reserved = async (workflow: string, kind: string): Promise<boolean> =>
  (await world.history(workflow)).some((event) => event.type === 'attempt.reserved' && event.data.owes.kind === kind);

async function post(path: string, body?: object, headers: Record<string, string> = {}): Promise<unknown> {
  const answer = await world.api(path, { method: 'POST', headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
  return answer.json();
}

/** A message about the workflow that nobody understands, with somebody's words in it. */
async function parkSomething(workflow: string): Promise<void> {
  const { nats } = world.stack;
  const client = await connect({ servers: nats.url, user: 'tenant-acme', pass: nats.password('tenant-acme') });
  const { causation } = (await world.history(workflow))[0] ?? {};
  const data = { workflow, reason: MINE.parked, misspelt: true };
  const message = { specversion: '1.0', id: 'broken', source: '/test', type: TYPES.taskCancel, data };
  await client.request(subjects.task('acme', causation ?? ''), JSON.stringify(message), { timeout: 5_000 });
  await client.close();
  await until(5_000, async () => ((await world.sql('select 1 from es.parked')).length > 0 ? true : undefined));
}

/** What a thief of everything reads: `plain` as it lies there, `opened` with every key that there is. */
async function whatCanBeRead(): Promise<{ readonly plain: string; readonly opened: string }> {
  const home = dirname(world.crashFile);
  const files = ['nats', 'logs'].flatMap((name) => globSync(`${name}/**/*`, { cwd: home }).map((file) => join(home, file)));
  const texts = files.filter((file) => statSync(file).isFile()).map((file) => readFileSync(file).toString('latin1'));
  expect(texts.length).toBeGreaterThan(10);
  const dumps = await Promise.all([dump('mandate'), dump('mandate_keys')]);
  return { plain: [...texts, ...dumps].join('\n'), opened: await openAll() };
}

/** Every value of every table; bytes as they are. */
async function dump(database: string): Promise<string> {
  const client = new pg.Client({ connectionString: world.stack.postgres.url(database) });
  await client.connect();
  try {
    const { rows: tables } = await client.query<{ name: string }>(
      `select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname not in ('pg_catalog', 'information_schema')`,
    );
    expect(tables.length).toBeGreaterThan(1);
    const found: string[] = [];
    for (const { name } of tables)
      for (const row of (await client.query<Record<string, unknown>>(`select * from ${name}`)).rows)
        found.push(...Object.values(row).map((value) => (Buffer.isBuffer(value) ? value.toString('latin1') : JSON.stringify(value))));
    return found.join('\n');
  } finally {
    await client.end();
  }
}

async function openAll(): Promise<string> {
  const keys = await DataKeys.open({
    url: world.stack.postgres.url('mandate_keys'),
    masterKeyFile: world.stack.secrets.masterKeyFile,
  });
  try {
    const sealed = await world.sql<{ about: string; key_id: string; body: Buffer }>(
      `select stream_id || '/' || version as about, key_id, body from es.content
       union all select 'parked/' || sha256, key_id, body from es.parked`,
    );
    const found = await keys.get(sealed.map((row) => row.key_id));
    return sealed
      .flatMap(({ about: what, key_id, body }) => {
        const key = found.get(key_id);
        const [stream = '', version] = what.split('/');
        const bound = what.startsWith('parked/') ? what : aboutEvent(stream, Number(version));
        return key === undefined ? [] : [unseal(key, bound, body).toString('utf8')];
      })
      .join('\n');
  } finally {
    await keys.close();
  }
}

/** Every way to ask for its content answers, says that it was erased, and gives none. */
async function expectErased(workflow: string): Promise<void> {
  const get = async (path: string): Promise<{ status: number; body: string; json: Record<string, unknown> }> => {
    const answer = await world.api(`/api/v1/tasks/${workflow}${path}`);
    const body = await answer.text();
    return { status: answer.status, body, json: JSON.parse(body) as Record<string, unknown> };
  };
  // The read model follows the log within milliseconds.
  const seen = await until(10_000, async () => {
    const found = await get('');
    return (found.json['data'] as { erasedAt: unknown }).erasedAt === null ? undefined : found;
  });
  const task = seen ?? (await get(''));
  expect(task.json['data']).toMatchObject({ status: 'completed', task: null, taskText: null, answer: null, erasedAt: expect.any(Number) });
  const pages = [
    task,
    await get('/events?include=content&limit=200'),
    await get('/agents/a0'),
    await get('/agents/a0-1'),
    await get('/contributions'),
  ];
  for (const { status, body } of pages) {
    expect(status).toBe(200);
    expect(body).not.toMatch(/canary-/);
  }
  expect(pages[2]?.json['data']).toMatchObject({ task: null, answerText: null, erasedAt: expect.any(Number) });
  const list = await world.api('/api/v1/tasks').then((answer) => answer.text());
  expect(list).toContain(workflow);
  for (const word of Object.values(MINE)) expect(list).not.toContain(word);
}

function verifyLog(): Promise<{ readonly code: number; readonly out: string }> {
  const main = join(import.meta.dirname, '../../packages/audit-cli/src/main.ts');
  const { secrets, postgres } = world.stack;
  const env = { PATH: process.env['PATH'], DATABASE_URL: postgres.url('mandate') };
  return new Promise((done) => {
    execFile(process.execPath, [main, 'verify', '--key', secrets.checkpointPublicKeyFile], { env }, (error, out, err) =>
      done({ code: error === null ? 0 : Number(error.code), out: out + err }),
    );
  });
}

function filesServer(root: string): object {
  const fromLocal = createRequire(new URL('../../infra/local/package.json', import.meta.url));
  const program = join(dirname(fromLocal.resolve('@modelcontextprotocol/server-filesystem/package.json')), 'dist/index.js');
  return {
    name: 'files',
    transport: 'stdio',
    command: process.execPath,
    args: [program, root],
    cwd: root,
    tenants: ['acme', 'globex'],
    grants: [{ tools: ['read_text_file'], effect: 'read_only' }],
  };
}

function slowServer(): object {
  return {
    name: 'counter',
    transport: 'stdio',
    command: process.execPath,
    args: [mcpPrograms.counter],
    env: { COUNTER_FILE: join(folder, 'counter.txt') },
    tenants: ['acme', 'globex'],
    grants: [{ tools: ['slow'], effect: 'read_only' }],
  };
}
