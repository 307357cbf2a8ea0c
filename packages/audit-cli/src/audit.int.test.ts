/** The commands as their own processes, over a real log in Postgres that its superuser then tampers with. */
import { eventIdOf, Frontier, leafHash, makeSigningKey, originOf, signCheckpoint, checkLogProof } from '@mandate/audit';
import { workflowIdOf } from '@mandate/domain';
import { chain, EventLog, ProofStore } from '@mandate/event-store';
import { type FreshDatabase, freshDatabase } from '@mandate/test-kit';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const P = 3;
const key = makeSigningKey('mandate/log');
const own = makeSigningKey('witness.example', 'witness');
const workflow = (n: number): string => workflowIdOf(P, 'abcdefgh'.charAt(n).repeat(26));
const [first, second, third] = [workflow(0), workflow(1), workflow(2)] as const;

let database: FreshDatabase;
let sql: pg.Client;
let folder: string;

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

function audit(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  const main = join(import.meta.dirname, 'main.ts');
  return new Promise((done) => {
    execFile(
      process.execPath,
      [main, ...args],
      { cwd: folder, env: { PATH: process.env['PATH'], MANDATE_HOME: folder, ...env } },
      (error, out, err) => done({ code: error === null ? 0 : Number(error.code), out, err }),
    );
  });
}
const onLog = (...args: readonly string[]): Promise<Ended> =>
  audit([...args, '--key', key.verifier.text], { DATABASE_URL: database.projectorUrl });

/** Appends as the orchestrator does: two events per decision, decisions of the streams in turn. */
async function append(streams: readonly string[], decisions: number): Promise<void> {
  const log = new EventLog({ url: database.orchestratorUrl });
  const [taken] = (await log.takePartitions('test-1', 60_000, 16)).filter(({ partition }) => partition === P);
  for (let decision = 0; decision < decisions; decision++) {
    for (const stream of streams) {
      const { rows } = await sql.query<{ version: number; hash: Buffer }>(
        'select version, head_hash as hash from es.stream where stream_id = $1',
        [stream],
      );
      let { version, hash } = rows[0] ?? { version: 0, hash: Buffer.alloc(32) };
      const expectedVersion = version;
      const at = 1_760_000_000_123 + version;
      const events = ['step.begun', 'step.done'].map((type) => {
        version++;
        const envelope = JSON.stringify({
          id: eventIdOf(stream, version),
          type,
          schema: 1,
          stream,
          version,
          tenant: 'acme',
          at,
          data: { text: 'ö 🙂' },
        });
        hash = chain(hash, envelope);
        return { version, type, schema: 1, at, envelope, hash };
      });
      const write = { partition: P, stream, tenant: 'acme', expectedVersion, events, headHash: hash, open: true };
      await log.append([write], new Map([[P, taken?.epoch ?? -1]]));
    }
  }
  await log.leave('test-1');
  await log.close();
}

/** What the projector does (services/projector/src/sealing). */
async function seal(): Promise<void> {
  const store = ProofStore.open({ url: database.projectorUrl });
  const { incarnation, partitions } = await store.state();
  const { head = 0, sealed = 0 } = partitions.find(({ partition }) => partition === P) ?? {};
  const newest = await store.newest(incarnation, P);
  const frontier = Frontier.of(sealed, newest?.frontier ?? Buffer.alloc(0));
  const leaves = (await store.rows(P, sealed, head - sealed)).map((row) => leafHash(row.envelope));
  for (const leaf of leaves) frontier.push(leaf);
  const note = signCheckpoint({ origin: originOf(incarnation, P), size: head, root: frontier.root() }, key);
  await store.add(incarnation, P, { first: sealed, size: head, note, leaves: Buffer.concat(leaves), frontier: frontier.bytes() });
  await store.close();
}

/** Runs as the superuser with every trigger off, lets verify look at it, and takes it back. */
async function tampered(...statements: readonly string[]): Promise<Ended> {
  await sql.query('create table if not exists public.saved_event as select * from es.event');
  await sql.query('create table if not exists public.saved_partition as select p, next_pos from es.partition');
  await sql.query("set session_replication_role = 'replica'");
  for (const statement of statements) expect((await sql.query(statement)).rowCount, statement).toBeGreaterThan(0);
  const ended = await onLog('verify');
  await sql.query('delete from es.event');
  await sql.query('insert into es.event select * from public.saved_event');
  await sql.query('update es.partition l set next_pos = s.next_pos from public.saved_partition s where s.p = l.p');
  await sql.query("set session_replication_role = 'origin'");
  return ended;
}

beforeAll(async () => {
  [database, folder] = await Promise.all([freshDatabase(), mkdtemp(join(tmpdir(), 'mandate-audit-'))]);
  sql = new pg.Client({ connectionString: database.url });
  sql.on('error', () => undefined);
  await sql.connect();
  await append([first, second], 3);
  await seal();
  await append([first, third], 2);
  await seal();
  await writeFile(join(folder, 'own.key'), own.text);
});

afterAll(async () => {
  await sql?.end().catch(() => undefined);
  await database?.drop();
  await rm(folder, { recursive: true, force: true });
});

test('a log that nobody touched', async () => {
  const { code, out } = await onLog('verify');
  expect(out).toMatch(/20 events of 3 streams in 16 partitions/);
  expect(out).toMatch(/20 of them covered by 2 signed checkpoints, 0 not yet\nOK: /);
  expect(code).toBe(0);
});

describe('what a superuser does to the log is found and named', () => {
  const FAILED = `FAILED: partition ${P}, position `;

  test('one altered byte', async () => {
    const { code, out } = await tampered(
      `update es.event set envelope = replace(envelope::text, '🙂', '🙁')::json where p = ${P} and pos = 5`,
    );
    expect(out).toContain(`${FAILED}5: altered ${first}-4: `);
    expect(code).toBe(1);
  });

  test('one altered byte of a column', async () => {
    const { out } = await tampered(`update es.event set tenant_id = 'globex' where p = ${P} and pos = 5`);
    expect(out).toContain(`${FAILED}5: altered ${first}-4: its column tenant`);
  });

  test('an altered event with its whole chain computed again', async () => {
    const { out } = await tampered(
      `update es.event set envelope = replace(envelope::text, '🙂', '🙁')::json where p = ${P} and pos = 15`,
      `update es.event e set hash = n.h from (
         with recursive c as (
           select pos, version, sha256('\\x${'00'.repeat(32)}'::bytea || convert_to(envelope::text, 'UTF8')) h from es.event where stream_id = '${third}' and version = 1
           union all select e.pos, e.version, sha256(c.h || convert_to(e.envelope::text, 'UTF8')) from es.event e join c on e.version = c.version + 1 where e.stream_id = '${third}')
         select pos, h from c) n where e.p = ${P} and e.pos = n.pos`,
    );
    expect(out).toContain(`${FAILED}15: altered ${third}-2: it is not what was sealed at this position`);
  });

  test('a removed event', async () => {
    const { out } = await tampered(`delete from es.event where p = ${P} and pos = 9`);
    expect(out).toContain(`${FAILED}9: removed ${first}-6: `);
  });

  test('the last event removed, and the log\u2019s own count with it', async () => {
    const { out } = await tampered(
      `delete from es.event where p = ${P} and pos = 19`,
      `update es.partition set next_pos = 19 where p = ${P}`,
    );
    expect(out).toContain(`${FAILED}19: removed ${third}-4: the log ends here, but a signed checkpoint covers 20 events`);
  });

  test('an inserted event', async () => {
    const { out } = await tampered(
      `update es.event set pos = pos + 1000 where p = ${P} and pos >= 7`,
      `update es.event set pos = pos - 999 where p = ${P} and pos >= 1000`,
      `insert into es.event select p, 7, '${workflow(3)}', 1, tenant_id, type,
         replace(replace(envelope::text, stream_id, '${workflow(3)}'), '-1"', '-1"')::json, hash, at from es.event where p = ${P} and pos = 0`,
      `update es.partition set next_pos = next_pos + 1 where p = ${P}`,
    );
    expect(out).toContain(`${FAILED}7: inserted ${workflow(3)}-1: `);
  });

  test('two events of different streams in each other\u2019s place', async () => {
    const { out } = await tampered(
      `update es.event set pos = 1000 where p = ${P} and pos = 1`,
      `update es.event set pos = 1 where p = ${P} and pos = 2`,
      `update es.event set pos = 2 where p = ${P} and pos = 1000`,
    );
    expect(out).toContain(`${FAILED}1: reordered ${second}-1: `);
  });

  test('and after all that the log is whole again', async () => {
    expect((await onLog('verify')).code).toBe(0);
  });
});

test('checkpoints can be added by their writer and changed by nobody', async () => {
  await expect(sql.query('update proof.checkpoint set note = note')).rejects.toThrow(/append-only/);
  await expect(sql.query('truncate proof.checkpoint')).rejects.toThrow(/append-only/);
  const projector = new pg.Client({ connectionString: database.projectorUrl });
  await projector.connect();
  await expect(projector.query('delete from proof.checkpoint')).rejects.toThrow(/permission denied/);
  await projector.end();
});

test('two exports are the same bytes, also when the log has grown', async () => {
  expect(await onLog('export', second, '--out', 'a.ndjson')).toMatchObject({ code: 0, out: 'a.ndjson: 6 events, verified\n' });
  await append([second, third], 1);
  await seal();
  expect(await onLog('export', second, '--to', '6', '--out', 'b.ndjson')).toMatchObject({ code: 0 });
  expect(await readFile(join(folder, 'b.ndjson'), 'utf8')).toBe(await readFile(join(folder, 'a.ndjson'), 'utf8'));
  expect(await onLog('export', second, '--out', 'c.ndjson')).toMatchObject({ code: 0, out: 'c.ndjson: 8 events, verified\n' });
});

test('what is not sealed yet is not exported, and what is not there is said', async () => {
  await append([first], 1);
  expect(await onLog('export', first)).toMatchObject({
    code: 2,
    err: expect.stringContaining('is not sealed yet: the newest checkpoint covers 24 events'),
  });
  expect(await onLog('export', workflow(7))).toMatchObject({ code: 2, err: `audit: the log has no ${workflow(7)}\n` });
  expect(await onLog('export', 'wf_1')).toMatchObject({ code: 2, err: expect.stringContaining('is no workflow') });
  await seal();
});

test('one event is proven in the format that others read', async () => {
  expect(await onLog('prove', `${third}-2`, '--out', 'one.tlog-proof')).toMatchObject({ code: 0 });
  const [proof, envelope] = await Promise.all(
    ['one.tlog-proof', 'one.tlog-proof.json'].map((file) => readFile(join(folder, file), 'utf8')),
  );
  expect(checkLogProof(proof ?? '', envelope ?? '', key.verifier)).toMatchObject({ index: 15 });
  expect(() => checkLogProof(proof ?? '', `${envelope} `, key.verifier)).toThrow(/not at position 15/);
});

describe('a witness', () => {
  const cosign = (file: string): Promise<Ended> =>
    audit(['witness', '--log-key', key.verifier.text, '--key', 'own.key', '--state', 'state.json', '--checkpoint', file]);
  const checkpoint = async (file: string, ...since: readonly string[]): Promise<void> =>
    writeFile(join(folder, file), (await onLog('checkpoint', String(P), ...since)).out);

  test('follows a log that grows', async () => {
    await checkpoint('w1');
    const { code, out } = await cosign('w1');
    expect(out).toContain('— witness.example ');
    expect(code).toBe(0);
    await append([second], 1);
    await seal();
    await checkpoint('w2', '--since', '26');
    expect(await cosign('w2')).toMatchObject({ code: 0, out: expect.stringContaining('\n28\n') });
    expect(await cosign('w1')).toMatchObject({ code: 1, err: expect.stringContaining('has 28 events by what was witnessed') });
  });

  test('refuses a log that was rewritten and signed again, and an auditor who holds its note sees it too', async () => {
    const { out: held } = await cosign('w2');
    await writeFile(join(folder, 'held.note'), held);
    expect(await onLog('verify', '--checkpoint', 'held.note')).toMatchObject({ code: 0, err: '' });
    await sql.query("set session_replication_role = 'replica'");
    await sql.query(`delete from es.event where p = ${P} and pos >= 26`);
    await sql.query(`update es.partition set next_pos = 26 where p = ${P}`);
    await sql.query(`delete from es.stream where stream_id = '${second}'`);
    await sql.query(
      `insert into es.stream select p, stream_id, tenant_id, 8, hash, true from es.event where stream_id = '${second}' and version = 8`,
    );
    await sql.query('delete from proof.checkpoint where size > 26');
    await sql.query("set session_replication_role = 'origin'");
    await append([first], 2);
    await seal();
    expect((await onLog('verify')).code).toBe(0);
    await checkpoint('w3', '--since', '28');
    expect(await cosign('w3')).toMatchObject({
      code: 1,
      err: expect.stringMatching(/does not continue the 28 that were witnessed: the log was rewritten/),
    });
    expect(await onLog('verify', '--checkpoint', 'held.note')).toMatchObject({
      code: 1,
      out: expect.stringContaining('position 28: forked'),
    });
  });
});

describe('without a database', () => {
  test('a capsule verifies, and every kind of change to it is found', async () => {
    await sql.end();
    await database.drop();
    expect(await onLog('verify')).toMatchObject({ code: 2, err: expect.stringMatching(/^audit: database .* does not exist/) });
    const ok = await audit(['verify', 'capsule', 'a.ndjson', '--key', key.verifier.text]);
    expect(ok).toMatchObject({ code: 0, out: expect.stringContaining(`OK: events 1 to 6 of ${second} are in mandate/`) });
    expect((await audit(['verify', 'capsule', 'a.ndjson'])).out).toContain('The key is the one in the file.');
    const lines = (await readFile(join(folder, 'a.ndjson'), 'utf8')).split('\n');
    await writeFile(join(folder, 'bad.ndjson'), lines.map((line, i) => (i === 4 ? line.replace('🙂', '🙁') : line)).join('\n'));
    expect(await audit(['verify', 'capsule', 'bad.ndjson'])).toMatchObject({
      code: 1,
      out: expect.stringContaining(`FAILED: ${second}-3: altered`),
    });
    const other = makeSigningKey('mandate/log').verifier.text;
    expect(await audit(['verify', 'capsule', 'a.ndjson', '--key', other])).toMatchObject({
      code: 1,
      out: expect.stringContaining('not with the key that you trust'),
    });
  });

  test('what is missing is said', async () => {
    expect(await audit([])).toMatchObject({ code: 2, out: expect.stringContaining('audit verify') });
    expect(await audit(['--help'])).toMatchObject({ code: 0 });
    expect(await audit(['verify'])).toMatchObject({ code: 2, err: expect.stringContaining('whose signature? Give --key') });
    expect(await audit(['verify', '--key', key.verifier.text])).toMatchObject({
      code: 2,
      err: expect.stringContaining('which log? Set DATABASE_URL'),
    });
    expect(await audit(['verify', '--key', 'a+b+c'])).toMatchObject({ code: 2, err: expect.stringContaining('this is not a public key') });
    expect(await audit(['verify', 'capsule', 'nowhere'])).toMatchObject({
      code: 2,
      err: expect.stringContaining('nowhere cannot be read'),
    });
    expect(await audit(['explain'])).toMatchObject({ code: 2, err: expect.stringContaining('no command "explain"') });
    expect(await audit(['witness', '--checkpoint', 'w1'])).toMatchObject({ code: 2, err: expect.stringContaining('--log-key is missing') });
  });

  test('a key is made once and never written over', async () => {
    expect(await audit(['key', 'example.org/log', '--out', 'my.key'])).toMatchObject({ code: 0 });
    expect(await audit(['key', 'example.org/log', '--out', 'my.key'])).toMatchObject({ code: 2, err: expect.stringContaining('EEXIST') });
  });
});
