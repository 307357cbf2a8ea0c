/** Recorded runs in a real log in Postgres: decided again, by today's code and by a changed one; states and diffs of them. */
import { Frontier, leafHash, makeSigningKey, originOf, signCheckpoint } from '@mandate/audit';
import type { StoredAccountEvent, StoredEvent } from '@mandate/contracts';
import { accountIdOf, decide, type Decide, partitionOf, type RecordedAccountDecision, workflowIdOf } from '@mandate/domain';
import { chain, EventLog, ProofStore } from '@mandate/event-store';
import { type FreshDatabase, freshDatabase } from '@mandate/test-kit';
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Declaration, readDeclarations } from './divergences.ts';
import { TODAY } from './replay.ts';
import { describeShadow, shadow, type ShadowReport } from './shadow.ts';

const recordings = join(import.meta.dirname, '../../../test/histories/runs');
const storedRun = (name: string): StoredEvent[] => JSON.parse(readFileSync(join(recordings, `${name}.json`), 'utf8')) as StoredEvent[];
const names = readdirSync(recordings).map((file) => file.replace(/\.json$/, ''));
const runs = names.map(storedRun);
const delegated = storedRun('delegated-to-depth-two');
const refusedTool = storedRun('completed-after-refused-tool');

const key = makeSigningKey('mandate/log');
const account = accountIdOf(5, 'a'.repeat(26));
let database: FreshDatabase;
let sql: pg.Client;
let folder: string;

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

const audit = (...args: readonly string[]): Promise<Ended> =>
  new Promise((done) => {
    const env = { PATH: process.env['PATH'], MANDATE_HOME: folder, DATABASE_URL: database.projectorUrl };
    execFile(process.execPath, [join(import.meta.dirname, 'main.ts'), ...args], { cwd: folder, env }, (error, out, err) =>
      done({ code: error === null ? 0 : Number(error.code), out, err }),
    );
  });

/** As the orchestrator stores them. */
async function store(...streams: readonly (readonly (StoredEvent | StoredAccountEvent)[])[]): Promise<void> {
  const log = new EventLog({ url: database.orchestratorUrl });
  const epochs = new Map((await log.takePartitions('test-1', 60_000, 16)).map(({ partition, epoch }) => [partition, epoch]));
  for (const stored of streams) {
    let hash: Buffer = Buffer.alloc(32);
    const events = stored.map((event) => {
      const envelope = JSON.stringify(event);
      hash = chain(hash, envelope);
      return { version: event.version, type: event.type, schema: event.schema, at: event.at, envelope, hash };
    });
    const [{ stream, tenant } = { stream: '', tenant: '' }] = stored;
    const partition = partitionOf(stream) ?? -1;
    await log.append([{ partition, stream, tenant, expectedVersion: 0, events, headHash: hash, open: false }], epochs);
  }
  await log.leave('test-1');
  await log.close();
}

/** The recorded account, in the envelopes of a stream. */
function accountEvents(): readonly StoredAccountEvent[] {
  const file = join(recordings, '../account-runs/one-account.json');
  const decisions = JSON.parse(readFileSync(file, 'utf8')) as readonly RecordedAccountDecision[];
  let version = 0;
  return decisions.flatMap(({ at, events }) => {
    const first = version + 1;
    return events.map((event): StoredAccountEvent => {
      version++;
      const causation = version === first ? `message-${first}` : `${account}-${first}`;
      const who = { tenant: 'acme', actor: 'key/op1', causation, correlation: 'd1' };
      return { id: `${account}-${version}`, schema: 1, stream: account, version, at, ...who, ...event };
    });
  });
}

/** The same run as another workflow's, with something changed. */
function copyOf(
  run: readonly StoredEvent[],
  letter: string,
  change: (event: StoredEvent) => StoredEvent = (event) => event,
): StoredEvent[] {
  const stream = workflowIdOf(2, letter.repeat(26));
  const [{ stream: old } = { stream: '' }] = run;
  return run.map((event) => change(JSON.parse(JSON.stringify(event).replaceAll(old, stream)) as StoredEvent));
}

async function everything(): Promise<string> {
  const { rows } = await sql.query<{ all: string }>(
    `select (select count(*) from es.event) || '/' || (select sum(version) from es.stream) || '/' || (select sum(next_pos) from es.partition) as all`,
  );
  return rows[0]?.all ?? '';
}

beforeAll(async () => {
  [database, folder] = await Promise.all([freshDatabase(), mkdtemp(join(tmpdir(), 'mandate-replay-'))]);
  sql = new pg.Client({ connectionString: database.url });
  sql.on('error', () => undefined);
  await sql.connect();
  await store(...runs, accountEvents());
});

afterAll(async () => {
  await sql?.end().catch(() => undefined);
  await database?.drop();
  await rm(folder, { recursive: true, force: true });
});

describe('replay', () => {
  test('of a whole log: every history, of workflows and of the account, comes out as it is stored', async () => {
    const before = await everything();
    const { code, out } = await audit('replay', '--all');
    expect(out).toMatch(new RegExp(`${names.length + 1} streams, .* decisions decided again\nOK: all of them identical\\.`));
    expect(code).toBe(0);
    expect(await everything()).toBe(before);
    const { out: json } = await audit('replay', '--last', '3', '--json');
    expect(JSON.parse(json)).toMatchObject({ streams: 3, identical: 3, findings: [] });
  });

  test('of one workflow, one account, one file', async () => {
    const [{ stream } = { stream: '' }] = delegated;
    expect(await audit('replay', stream)).toMatchObject({ code: 0, out: `OK: ${stream}: 34 events, 12 decisions, identical\n` });
    expect((await audit('replay', account)).out).toMatch(/^OK: ac_05_.* identical\n$/);
    const file = join(recordings, 'delegated-to-depth-two.json');
    expect(JSON.parse((await audit('replay', file, '--json')).out)).toEqual({
      stream,
      result: 'identical',
      events: 34,
      decisions: 12,
      edition: 2,
    });
  });

  test('of a run capsule, once its proof holds', async () => {
    await seal();
    const [{ stream } = { stream: '' }] = refusedTool;
    const capsule = join(folder, 'run.ndjson');
    expect(await audit('export', stream, '--out', capsule, '--key', key.verifier.text)).toMatchObject({ code: 0 });
    expect(await audit('replay', capsule, '--key', key.verifier.text)).toMatchObject({ code: 0 });
    await writeFile(join(folder, 'bad.ndjson'), (await readFile(capsule, 'utf8')).replace('ToolNotAllowed', 'DeadlineExceeded'));
    const { code, err } = await audit('replay', join(folder, 'bad.ndjson'));
    expect(err).toMatch(/the run capsule is not right: wf_\d\d_.*-\d+: altered/);
    expect(code).toBe(1);
  });

  test('names the first event and field that today is decided otherwise, and what cannot be read', async () => {
    const place = delegated.findIndex(({ type }) => type === 'attempt.settled') + 2;
    const other = copyOf(delegated, 'b', (event) =>
      event.type === 'attempt.reserved' && event.version > place ? { ...event, data: { ...event.data, timeoutMs: 1 } } : event,
    );
    const version = other.find((event) => event.type === 'attempt.reserved' && event.data.timeoutMs === 1)?.version;
    const newer = copyOf(delegated, 'c', (event) => ({ ...event, schema: 99 }));
    await store(other, newer);
    const { code, out } = await audit('replay', '--all');
    expect(code).toBe(1);
    expect(out).toContain(`${names.length + 1} identical, 2 not:`);
    expect(out).toMatch(
      new RegExp(
        `FAILED: ${other[0]?.stream}: \\d+ of 12 decisions diverge, the first at event ${version} attempt.reserved .*/data/timeoutMs: recorded 1, decided \\d`,
      ),
    );
    expect(out).toMatch(new RegExp(`FAILED: ${newer[0]?.stream}: .*Run a newer build`));
    expect(await audit('replay', other[0]?.stream ?? '')).toMatchObject({ code: 1 });
    await forget(other, newer);
  });

  test('of what is not there says so', async () => {
    expect(await audit('replay', workflowIdOf(1, 'z'.repeat(26)))).toMatchObject({
      code: 2,
      err: expect.stringContaining('the log has no wf_01_'),
    });
    expect(await audit('replay', join(folder, 'nothing.json'))).toMatchObject({ code: 2, err: expect.stringContaining('cannot be read') });
    expect(await audit('replay')).toMatchObject({ code: 2, err: expect.stringContaining('is missing') });
  });
});

describe('state and diff', () => {
  const [{ stream } = { stream: '' }] = delegated;

  test('of any version or instant, from the log and from a file', async () => {
    const now = JSON.parse((await audit('state', stream)).out);
    expect(now).toMatchObject({ version: 34, phase: 'completed', agents: { 'a0-1-1': { depth: 2, state: 'answered' } } });
    const { out } = await audit('state', stream, '--at-version', '20');
    expect(JSON.parse(out)).toMatchObject({ version: 20, phase: 'running', agents: { a0: { mandate: { spent: { tokens: 904 } } } } });
    expect((await audit('state', join(recordings, 'delegated-to-depth-two.json'), '--at-version', '20')).out).toBe(out);
    const at = new Date(delegated[19]?.at ?? 0).toISOString();
    expect(JSON.parse((await audit('state', stream, '--at', at)).out).version).toBeGreaterThanOrEqual(20);
    const { out: lines } = await audit('diff', stream, '--from', '20', '--to', '24');
    expect(lines).toContain('/agents/a0-1-1/mandate/spent/moneyMicroUsd: 366 → 749\n');
    const diff = JSON.parse((await audit('diff', stream, '--from', '20', '--to', '24', '--json')).out);
    expect(diff).toMatchObject({ stream, from: 20, to: 24, changes: expect.arrayContaining([{ path: '/version', from: 20, to: 24 }]) });
  });

  test('of what is not there says so', async () => {
    for (const [args, said] of [
      [['state', stream, '--at-version', '35'], 'has no version 35: it has events 1 to 34'],
      [['state', stream, '--at', '2001-01-01T00:00:00Z'], 'did not exist then'],
      [['state', stream, '--at', 'noon'], '--at is "noon"'],
      [['state', account], 'is an account'],
      [['diff', stream, '--from', '1'], '--to is missing'],
    ] as const)
      expect(await audit(...args)).toMatchObject({ code: 2, err: expect.stringContaining(said) });
  });
});

describe('events that match', () => {
  const taken = async (...args: readonly string[]): Promise<{ readonly ended: Ended; readonly text: string }> => {
    const file = join(folder, 'events.ndjson');
    await rm(file, { force: true });
    const ended = await audit('events', ...args, '--out', file, '--key', key.verifier.text);
    return { ended, text: await readFile(file, 'utf8').catch(() => '') };
  };
  const envelopesIn = (text: string): readonly string[] =>
    text.split('\n').flatMap((line) => (JSON.parse(line === '' ? '{}' : line) as { envelope?: string }).envelope ?? []);

  test('are taken out in the order of the log, as they are stored, the same bytes each time, and prove themselves', async () => {
    await seal();
    const { ended, text } = await taken();
    expect(ended).toMatchObject({ code: 0, err: '' });
    const { rows } = await sql.query<{ envelope: string }>('select envelope::text as envelope from es.event order by p, pos');
    expect(envelopesIn(text)).toEqual(rows.map(({ envelope }) => envelope));
    expect((await taken()).text).toBe(text);
    const { out, code } = await audit('verify', 'events', join(folder, 'events.ndjson'), '--key', key.verifier.text);
    expect(out).toContain(`OK: ${rows.length} events of `);
    expect(code).toBe(0);
    await writeFile(join(folder, 'altered.ndjson'), text.replace('ToolNotAllowed', 'DeadlineExceeded'));
    expect(await audit('verify', 'events', join(folder, 'altered.ndjson'))).toMatchObject({
      code: 1,
      out: expect.stringContaining('signed root'),
    });
  });

  test('by workflow, tenant, type and time, alone and together', async () => {
    const stored = (await sql.query<{ envelope: StoredEvent }>('select envelope from es.event order by p, pos')).rows.map(
      ({ envelope }) => envelope,
    );
    const [{ stream, at: first } = { stream: '', at: 0 }] = delegated;
    const iso = (at: number): string => new Date(at).toISOString();
    const middle = delegated[15]?.at ?? 0;
    for (const [args, matches] of [
      [['--workflow', stream], (event: StoredEvent) => event.stream === stream],
      [['--type', 'step.refused', '--type', 'task.failed'], ({ type }: StoredEvent) => type === 'step.refused' || type === 'task.failed'],
      [['--since', iso(first), '--until', iso(middle)], ({ at }: StoredEvent) => at >= first && at <= middle],
      [
        ['--workflow', stream, '--type', 'attempt.reserved', '--until', iso(middle)],
        (event: StoredEvent) => event.stream === stream && event.type === 'attempt.reserved' && event.at <= middle,
      ],
      [
        ['--tenant', 'acme', '--type', 'account.budgets_defined'],
        ({ type }: StoredEvent) => (type as string) === 'account.budgets_defined',
      ],
      [['--tenant', 'nobody'], () => false],
    ] as const) {
      const { ended, text } = await taken(...args);
      expect(ended.code, args.join(' ')).toBe(0);
      expect(envelopesIn(text).map((each) => (JSON.parse(each) as StoredEvent).id)).toEqual(stored.filter(matches).map(({ id }) => id));
    }
  });

  test('stay the same bytes when the log has grown; what is not sealed yet is refused', async () => {
    const last = Math.max(...runs.flat().map(({ at }) => at));
    const until = ['--until', new Date(last).toISOString()];
    const { text } = await taken(...until);
    const newer = copyOf(delegated, 'd', (event) => ({ ...event, at: last + event.version }));
    await store(newer);
    expect((await taken(...until)).text).toBe(text);
    expect((await taken()).ended).toMatchObject({ code: 2, err: expect.stringContaining('is not sealed yet') });
    expect((await taken()).text).toBe('');
    await forget(newer);
  });

  test('of no known type, no workflow or no time are refused', async () => {
    for (const [args, said] of [
      [['--type', 'task.done'], 'there is no type of event "task.done"'],
      [['--workflow', 'w1'], '"w1" is no workflow'],
      [['--since', 'monday'], '--since is "monday"'],
    ] as const)
      expect((await taken(...args)).ended).toMatchObject({ code: 2, err: expect.stringContaining(said) });
  });
});

describe('shadow: an orchestrator that says it otherwise when a tool is not granted', () => {
  /** And that takes one more step in its count. */
  const changed: Decide = (input, workflow, circumstances) => {
    const decision = decide(input, workflow, circumstances);
    if (decision.kind !== 'events') return decision;
    const events = decision.events.map((event) =>
      event.type === 'step.refused' && event.data.code === 'ToolNotAllowed'
        ? { ...event, data: { ...event.data, message: 'Not granted.' } }
        : event,
    );
    return { ...decision, events };
  };
  const onAll = (declarations: readonly Declaration[], workflow: Decide = changed): Promise<ShadowReport> =>
    shadow(database.projectorUrl, { last: 1_000, declarations, by: { ...TODAY, workflow } });
  const declared = (over: object = {}): readonly Declaration[] =>
    readDeclarations(
      'docs/divergences/2026-11-21-words.json',
      JSON.stringify({ divergences: [{ event: 'step.refused', path: '/data/message', why: 'A shorter message for the model.', ...over }] }),
    );

  test('diverges undeclared, and writes nothing', async () => {
    const before = await everything();
    const report = await onAll([]);
    expect(report).toMatchObject({ isRight: false, declared: [], unused: [] });
    expect(report.undeclared.length).toBeGreaterThanOrEqual(1);
    expect(report.undeclared.map(({ stream }) => stream)).toContain(refusedTool[0]?.stream);
    expect(new Set(report.undeclared.map(({ type, path }) => `${type} ${path}`))).toEqual(new Set(['step.refused /data/message']));
    expect(describeShadow(report)).toMatch(
      /UNDECLARED: wf_.*: event \d+ step.refused \(input attempt.settled\), \/data\/message: recorded "This tool.*, decided "Not granted."/,
    );
    expect(await everything()).toBe(before);
  });

  test('passes once it is declared, as wide as it is declared', async () => {
    expect(await onAll(declared())).toMatchObject({ isRight: true, undeclared: [] });
    // A tool that is not granted is asked for in an answer: a live one, or one that a fork reuses.
    const byInput = (['attempt.settled', 'attempt.reused'] as const).flatMap((input) => declared({ path: '/data', input }));
    expect(await onAll(byInput)).toMatchObject({ isRight: true });
    expect(await onAll(declared({ path: '/data/code' }))).toMatchObject({ isRight: false, unused: [{ path: '/data/code' }] });
    expect(await onAll(declared({ input: 'timer.fired' }))).toMatchObject({ isRight: false });
  });

  test('of another edition is another divergence', async () => {
    const { undeclared, declared: covered } = await onAll(declared({ edition: 1 }));
    expect(new Set(covered.map(({ edition }) => edition))).toEqual(new Set([1]));
    expect(undeclared.every(({ edition }) => edition === 2)).toBe(true);
  });

  test('does not pass for what stands behind a declared divergence of the same run', async () => {
    const more: Decide = (input, workflow, circumstances) => {
      const decision = changed(input, workflow, circumstances);
      return decision.kind === 'events' && decision.events.some(({ type }) => type === 'task.completed')
        ? { ...decision, events: decision.events.filter(({ type }) => type !== 'mandate.released') }
        : decision;
    };
    const report = await onAll(declared(), more);
    expect(report.isRight).toBe(false);
    expect(report.undeclared.filter(({ stream }) => stream === refusedTool[0]?.stream)).toMatchObject([
      { type: 'mandate.released', path: '' },
    ]);
    expect(report.declared.some(({ stream }) => stream === refusedTool[0]?.stream)).toBe(true);
  });

  test('a declaration that nothing needs any more fails', async () => {
    const report = await onAll(declared(), decide);
    expect(report).toMatchObject({ isRight: false, undeclared: [], unused: [{ event: 'step.refused' }] });
    expect(describeShadow(report)).toContain('UNUSED: docs/divergences/2026-11-21-words.json: step.refused /data/message');
  });

  test('as a command: today’s code over the last streams', async () => {
    expect(
      await audit('shadow', '--last', '7', '--declared', await declaredFile('2026-11-21-none.json', { path: '/data/message' })),
    ).toMatchObject({
      code: 1,
      out: expect.stringContaining('UNUSED'),
    });
    // The files in force stand in docs/divergences; what they declare is not in these runs.
    const { out, err } = await audit('shadow', '--last', '7', '--json');
    expect(err).toBe('');
    expect(JSON.parse(out)).toMatchObject({ streams: 7, identical: 7, undeclared: [], declared: [] });
  });

  test.each([
    ['without a date', 'words.json', {}, 'is called YYYY-MM-DD-words.json'],
    ['without a reason', '2026-11-21-words.json', { why: '' }, 'divergence 1: why is missing'],
    ['with a field of its own', '2026-11-21-words.json', { until: 7 }, 'there is no field until'],
  ])('a file %s is refused', async (_, name, over, said) => {
    const { code, err } = await audit('shadow', '--last', '1', '--declared', await declaredFile(name, over));
    expect(err).toContain(said);
    expect(code).toBe(2);
  });
});

async function declaredFile(name: string, over: object): Promise<string> {
  const file = join(folder, name);
  const divergence = { event: 'step.refused', path: '/data/message', why: 'A shorter message for the model.', ...over };
  await writeFile(file, JSON.stringify({ divergences: [divergence] }));
  return file;
}

/** What the projector does (services/projector/src/sealing). */
async function seal(): Promise<void> {
  const proofs = ProofStore.open({ url: database.projectorUrl });
  const { incarnation, partitions } = await proofs.state();
  for (const { partition, head } of partitions) {
    if (head === 0) continue;
    const frontier = Frontier.of(0, Buffer.alloc(0));
    const leaves = (await proofs.rows(partition, 0, head)).map((row) => leafHash(row.envelope));
    for (const leaf of leaves) frontier.push(leaf);
    const note = signCheckpoint({ origin: originOf(incarnation, partition), size: head, root: frontier.root() }, key);
    await proofs.add(incarnation, partition, { first: 0, size: head, note, leaves: Buffer.concat(leaves), frontier: frontier.bytes() });
  }
  await proofs.close();
}

/** As if they had never been. */
async function forget(...streams: readonly (readonly StoredEvent[])[]): Promise<void> {
  const ids = streams.map(([first]) => first?.stream);
  await sql.query("set session_replication_role = 'replica'");
  await sql.query('delete from es.event where stream_id = any($1)', [ids]);
  await sql.query('delete from es.stream where stream_id = any($1)', [ids]);
  await sql.query('update es.partition l set next_pos = (select coalesce(max(e.pos) + 1, 0) from es.event e where e.p = l.p)');
  await sql.query("set session_replication_role = 'origin'");
}
