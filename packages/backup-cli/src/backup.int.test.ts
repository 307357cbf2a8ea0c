/** Backup and restore as their own processes, over logs of recorded runs in real databases. */
import { eventIdOf, Frontier, leafHash, makeSigningKey, originOf, signCheckpoint } from '@mandate/audit';
import { accountIdFor, type StoredAccountEvent, type StoredEvent, upcast } from '@mandate/contracts';
import {
  ABSENT,
  evolve,
  evolveAccount,
  isAccountId,
  isActive,
  isUnfinished,
  NO_ACCOUNT,
  partitionOf,
  type Workflow,
} from '@mandate/domain';
import { chain, EventLog, ProofStore } from '@mandate/event-store';
import { createDatabases } from '@mandate/local';
import { type FreshDatabase, freshDatabase } from '@mandate/test-kit';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { globSync, readFileSync } from 'node:fs';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { restoreLog } from './restore-log.ts';

type AnyEvent = StoredEvent | StoredAccountEvent;

const root = join(import.meta.dirname, '../../..');
const key = makeSigningKey('mandate/log');
const BODY = randomBytes(3_000);
const [{ stream: ERASED, content: ERASED_CONTENT }] = recorded<readonly [StoredEvent]>('test/histories/runs/completed-with-tools.json');
const ERASED_KEY = ERASED_CONTENT?.key ?? '';

let folder: string;
let source: Source;
const dropped: (() => Promise<void>)[] = [];
const at = (name: string): string => join(folder, name);

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

function command(program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  return new Promise((done) => {
    execFile(
      process.execPath,
      [join(root, program), ...args],
      { cwd: folder, env: { PATH: process.env['PATH'], MANDATE_HOME: at('nowhere'), ...env } },
      (error, out, err) => done({ code: error === null ? 0 : Number(error.code), out, err }),
    );
  });
}
/** With the rights that docs/operations.md asks for, and no more. */
const backup = (from: FreshDatabase, ...args: readonly string[]): Promise<Ended> =>
  command('packages/backup-cli/src/backup.ts', args, { DATABASE_URL: from.projectorUrl, KEYS_DATABASE_URL: from.orchestratorKeysUrl });
const restore = (to: Partial<Empty>, ...args: readonly string[]): Promise<Ended> =>
  command('packages/backup-cli/src/restore.ts', args, { DATABASE_URL: to.url, KEYS_DATABASE_URL: to.keysUrl });
const verify = (url: string, ...args: readonly string[]): Promise<Ended> =>
  command('packages/audit-cli/src/main.ts', ['verify', '--key', key.verifier.text, ...args], { DATABASE_URL: url });

function recorded<Recorded>(file: string): Recorded {
  return JSON.parse(readFileSync(join(root, file), 'utf8')) as Recorded;
}

/** Every decision of every recorded run, in the order in which they were taken; an account's in their midst. */
function recordedDecisions(): readonly (readonly AnyEvent[])[] {
  const runs = globSync('test/histories/runs/*.json', { cwd: root }).flatMap((file) => {
    const events = recorded<readonly StoredEvent[]>(file);
    return [...Map.groupBy(events, (event) => event.at).values()];
  });
  const [begin, finish] = [Math.min(...runs.map(timeOf)), Math.max(...runs.map(timeOf))];
  const account = accountDecisions((share) => Math.round(begin + (finish - begin) * share));
  return [...[...runs, ...account].sort((a, b) => timeOf(a) - timeOf(b)), erasure(finish + 1)];
}

/** The last thing that happens: the content of a workflow that ended long before is erased. */
function erasure(time: number): readonly AnyEvent[] {
  const { length } = recorded<readonly StoredEvent[]>('test/histories/runs/completed-with-tools.json');
  return ['erasure.requested', 'content.erased'].map((type, index) => {
    const version = length + 1 + index;
    const [sample] = recorded<readonly [StoredEvent]>(`test/histories/events/${type}.v1.json`);
    return { ...sample, id: eventIdOf(ERASED, version), stream: ERASED, version, tenant: 'acme', at: time } as StoredEvent;
  });
}

function accountDecisions(timeAt: (share: number) => number): readonly (readonly AnyEvent[])[] {
  const stream = accountIdFor('acme');
  let version = 0;
  const decisions = recorded<readonly { events: readonly { type: string; data: unknown }[] }[]>(
    'test/histories/account-runs/one-account.json',
  );
  return decisions.map(({ events }, index) =>
    events.map((event) => {
      version++;
      const at = timeAt((index + 1) / (decisions.length + 1));
      return { id: eventIdOf(stream, version), ...event, schema: 1, stream, version, tenant: 'acme', at } as unknown as StoredAccountEvent;
    }),
  );
}

const timeOf = (decision: readonly AnyEvent[]): number => decision[0]?.at ?? 0;

/** Whether something is owed after the last of these events. */
function isOwed(events: readonly AnyEvent[]): boolean {
  if (isAccountId(events[0]?.stream ?? ''))
    return isActive((events as readonly StoredAccountEvent[]).reduce((state, event) => evolveAccount(state, event, event.at), NO_ACCOUNT));
  return isUnfinished(
    (events as readonly StoredEvent[]).map(upcast).reduce<Workflow>((state, event) => evolve(state, event, event.at), ABSENT),
  );
}

/** A log that is appended to as the orchestrator does. */
class Source {
  readonly database: FreshDatabase;
  readonly #log: EventLog;
  readonly #epochs: ReadonlyMap<number, number>;
  readonly #heads = new Map<string, { events: readonly AnyEvent[]; hash: Buffer }>();

  private constructor(database: FreshDatabase, log: EventLog, epochs: ReadonlyMap<number, number>) {
    [this.database, this.#log, this.#epochs] = [database, log, epochs];
  }

  static async open(): Promise<Source> {
    const database = await freshDatabase();
    dropped.push(() => database.drop());
    const log = new EventLog({ url: database.orchestratorUrl });
    const taken = await log.takePartitions('test-1', 60_000, 16);
    return new Source(database, log, new Map(taken.map(({ partition, epoch }) => [partition, epoch])));
  }

  async append(decision: readonly AnyEvent[]): Promise<void> {
    const { stream, tenant } = decision[0] as AnyEvent;
    const before = this.#heads.get(stream) ?? { events: [], hash: Buffer.alloc(32) };
    let { hash } = before;
    const events = decision.map((event) => {
      const envelope = JSON.stringify(event);
      hash = chain(hash, envelope);
      const keyId = (event as { content?: { key: string } }).content?.key;
      const content = keyId === undefined ? {} : { content: { keyId, body: BODY } };
      return { version: event.version, type: event.type, schema: event.schema, at: event.at, envelope, hash, ...content };
    });
    const partition = partitionOf(stream) ?? -1;
    const all = [...before.events, ...decision];
    const write = { partition, stream, tenant, expectedVersion: before.events.length, events, headHash: hash, open: isOwed(all) };
    await this.#log.append([write], this.#epochs);
    this.#heads.set(stream, { events: all, hash });
  }

  /** Everything that is kept beside events. */
  async keepMore(n: number): Promise<void> {
    await this.#log.saveArtifact(`hash-${n}`, 'tools', `{"n":${n}}`);
    await this.#log.park({ ...PARKED, sha256: `sha-${n}`, body: randomBytes(50) });
  }

  async close(): Promise<void> {
    await this.#log.leave('test-1');
    await this.#log.close();
  }
}

const PARKED = {
  service: 'orchestrator',
  tenant: 'acme',
  subject: 'in.3.task.acme',
  reason: 'malformed',
  detail: 'no',
  keyId: 'k_parked',
} as const;

/** What the projector does (services/projector/src/sealing). @returns the notes */
async function seal(database: FreshDatabase): Promise<readonly string[]> {
  const store = ProofStore.open({ url: database.projectorUrl });
  const notes: string[] = [];
  const { incarnation, partitions } = await store.state();
  for (const { partition, head, sealed } of partitions.filter((each) => each.head > each.sealed)) {
    const newest = await store.newest(incarnation, partition);
    const frontier = Frontier.of(sealed, newest?.frontier ?? Buffer.alloc(0));
    const leaves = (await store.rows(partition, sealed, head - sealed)).map((row) => leafHash(row.envelope));
    for (const leaf of leaves) frontier.push(leaf);
    const note = signCheckpoint({ origin: originOf(incarnation, partition), size: head, root: frontier.root() }, key);
    await store.add(incarnation, partition, { first: sealed, size: head, note, leaves: Buffer.concat(leaves), frontier: frontier.bytes() });
    notes.push(note);
  }
  await store.close();
  return notes;
}

interface Empty {
  readonly url: string;
  readonly keysUrl: string;
}

/** Databases without anything in them, as after a loss. */
async function nothing(): Promise<Empty> {
  const name = `t_${randomBytes(6).toString('hex')}`;
  const server = source.database.url.replace(/\/[^/]*$/, '');
  await createDatabases(`${server}/postgres`, [name, `${name}_keys`]);
  dropped.push(async () => {
    for (const each of [name, `${name}_keys`]) await sql(`${server}/postgres`, `drop database if exists ${each} with (force)`);
  });
  return { url: `${server}/${name}`, keysUrl: `${server}/${name}_keys` };
}

async function sql<Row extends pg.QueryResultRow>(url: string, text: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Row>(text)).rows;
  } finally {
    await client.end();
  }
}

/** Every row that must be the same, as text. */
const ROWS = {
  events: 'select e::text as row from es.event e order by p, pos',
  contents: 'select c::text as row from es.content c order by p, stream_id, version',
  streams: 'select s::text as row from es.stream s order by p, stream_id',
  artifacts: 'select a::text as row from es.artifact a order by hash',
  parked: 'select k::text as row from es.parked k order by id',
  checkpoints: 'select c::text as row from proof.checkpoint c order by incarnation, p, size',
  heads: "select p || ' ' || next_pos || ' ' || published_pos as row from es.partition order by p",
} as const;

async function rowsOf(url: string): Promise<Record<string, readonly string[]>> {
  const found: Record<string, readonly string[]> = {};
  for (const [what, text] of Object.entries(ROWS)) found[what] = (await sql<{ row: string }>(url, text)).map(({ row }) => row);
  return found;
}

async function expectRows(url: string, wanted: Record<string, readonly string[]>): Promise<void> {
  for (const [what, rows] of Object.entries(await rowsOf(url))) expect(rows, what).toEqual(wanted[what]);
}

const incarnationOf = async (url: string): Promise<string> =>
  (await sql<{ incarnation: string }>(url, 'select incarnation from es.log'))[0]?.incarnation ?? '';

const decisions = recordedDecisions();
const HALF = Math.floor(decisions.length / 2);
/** The instant of the last decision of the first half. */
const MIDDLE = timeOf(decisions[HALF - 1] ?? []);

let notes: readonly string[];
let middle: Record<string, readonly string[]>;
let end: Record<string, readonly string[]>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mandate-backup-'));
  source = await Source.open();
  const { url, keysUrl } = source.database;
  await sql(keysUrl, "insert into keys.data_key (key_id, wrapped, master_key) values ('k_1', 'x', 'm'), ('k_2', 'y', 'm')");
  // As in a backup from before the erasure.
  await sql(keysUrl, `insert into keys.data_key (key_id, wrapped, master_key) values ('${ERASED_KEY}', 'x', 'm')`);
  await sql(keysUrl, "insert into keys.belongs values ('k_1', 'wf_00_a', 'acme', 'digest')");
  await sql(keysUrl, "insert into keys.own_key values ('digests', 'z', 'm')");
  for (const decision of decisions.slice(0, HALF)) await source.append(decision);
  await source.keepMore(1);
  await seal(source.database);
  middle = await rowsOf(url);
  // The full backup is taken while the log grows; the incremental one gets exactly the rest.
  const taking = backup(source.database, '--to', at('full'));
  for (const decision of decisions.slice(HALF)) await source.append(decision);
  const full = await taking;
  expect(full, full.err).toMatchObject({ code: 0 });
  await source.keepMore(2);
  notes = await seal(source.database);
  const rest = await backup(source.database, '--to', at('rest'), '--since', at('full'));
  expect(rest, rest.err).toMatchObject({ code: 0 });
  const whole = await backup(source.database, '--to', at('whole'));
  expect(whole, whole.err).toMatchObject({ code: 0 });
  const keys = await backup(source.database, '--keys', '--to', at('keys'));
  expect(keys, keys.err).toMatchObject({ code: 0, out: expect.stringContaining('3 keys') });
  await source.close();
  end = await rowsOf(url);
}, 60_000);
afterAll(async () => {
  for (const drop of dropped) await drop();
  await rm(folder, { recursive: true, force: true });
});

describe('a destroyed log', () => {
  test('is made again from a full backup: the same rows as another log, and verify says why that is right', async () => {
    const empty = await nothing();
    const restored = await restore(empty, '--from', at('whole'), '--keys', at('keys'));
    expect(restored, restored.err).toMatchObject({ code: 0, out: expect.stringContaining('OK: every hash chain is whole') });
    expect(restored.out).toContain('empty it before you start any service');
    expect(restored.out).toContain('3 restored. 1 of them had been destroyed');
    await expectRows(empty.url, end);
    expect(await sql(empty.keysUrl, 'select key_id, subject from keys.data_key left join keys.belongs using (key_id) order by 1')).toEqual([
      { key_id: 'k_1', subject: 'digest' },
      { key_id: 'k_2', subject: null },
    ]);
    expect(await incarnationOf(empty.url)).not.toBe(await incarnationOf(source.database.url));
    // Nobody who owned a partition of the lost log may append to this one.
    expect(await sql(empty.url, 'select 1 from es.partition where epoch <= 1 or owner is not null')).toEqual([]);
    const verified = await verify(empty.url);
    expect(verified.out, verified.err).toContain('OK: nothing was altered');
    expect(verified.out).toContain(
      `are those of log ${await incarnationOf(source.database.url)}, whose signed checkpoints cover ${end['events']?.length}`,
    );
  });

  test('is made again from a full backup and the incremental one that continues it', async () => {
    const empty = await nothing();
    const restored = await restore(empty, '--from', at('full'), '--from', at('rest'));
    expect(restored, restored.err).toMatchObject({ code: 0 });
    await expectRows(empty.url, end);
  });

  test('is compared with what was signed before the loss: an end that was taken away without a trace is missed', async () => {
    const empty = await nothing();
    await restore(empty, '--from', at('whole'));
    await sql(
      empty.url,
      "set session_replication_role = 'replica'; delete from es.event where p = 2 and pos = (select max(pos) from es.event where p = 2); update es.partition set next_pos = next_pos - 1 where p = 2",
    );
    const verified = await verify(empty.url);
    expect(verified).toMatchObject({ code: 1, out: expect.stringContaining('FAILED: partition 2') });
  });

  test('can go on as the same log when it is moved', async () => {
    const empty = await nothing();
    const restored = await restore(empty, '--from', at('whole'), '--same-incarnation');
    expect(restored, restored.err).toMatchObject({ code: 0 });
    expect(restored.out).not.toContain('bus:');
    expect(await incarnationOf(empty.url)).toBe(await incarnationOf(source.database.url));
    const verified = await verify(empty.url);
    expect(verified.out).toContain(`${end['events']?.length} of them covered by`);
  });

  test('can be backed up and restored again: what was signed twice over is still known', async () => {
    const [first, second] = [await nothing(), await nothing()];
    await restore(first, '--from', at('whole'));
    expect((await command('packages/backup-cli/src/backup.ts', ['--to', at('again')], { DATABASE_URL: first.url })).code).toBe(0);
    expect((await restore(second, '--from', at('again'))).code).toBe(0);
    const verified = await verify(second.url);
    expect(verified.code, verified.out).toBe(0);
    expect(verified.out.match(/^restored: /gm)).toHaveLength(2);
  });
});

describe('a restore to the past', () => {
  test('does not bring back what was erased later', async () => {
    const empty = await nothing();
    const restored = await restore(empty, '--from', at('whole'), '--until', new Date(MIDDLE).toISOString(), '--keys', at('keys'));
    expect(restored, restored.err).toMatchObject({ code: 0, out: expect.stringContaining(`${ERASED}. Erase it again`) });
    expect(await sql(empty.url, `select 1 from es.event where stream_id = '${ERASED}' and type ~ 'eras'`)).toEqual([]);
    expect(await sql(empty.url, `select 1 from es.content where stream_id = '${ERASED}'`)).not.toEqual([]);
    expect(await sql(empty.keysUrl, `select 1 from keys.data_key where key_id = '${ERASED_KEY}'`)).toEqual([]);
  });

  test('gives each partition up to its first later event, with what was open then, and explains held checkpoints', async () => {
    const empty = await nothing();
    const restored = await restore(empty, '--from', at('full'), '--from', at('rest'), '--until', new Date(MIDDLE).toISOString());
    expect(restored, restored.err).toMatchObject({ code: 0 });
    const found = await rowsOf(empty.url);
    for (const what of ['events', 'contents', 'streams'] as const) expect(found[what], what).toEqual(middle[what]);
    expect(found['streams']?.some((row) => row.endsWith(',t)'))).toBe(true);
    const verified = await verify(empty.url);
    expect(verified.code, verified.out).toBe(0);

    await writeFile(at('held'), notes.find((note) => note.includes('/p2\n')) ?? '');
    const held = await verify(empty.url, '--checkpoint', at('held'));
    expect(held).toMatchObject({ code: 1, out: expect.stringContaining('left behind by a restore to the past') });
    const whole = await nothing();
    await restore(whole, '--from', at('whole'));
    expect(await verify(whole.url, '--checkpoint', at('held'))).toMatchObject({ code: 0 });
  });

  test('is refused beyond the last backup, and with --same-incarnation', async () => {
    const empty = await nothing();
    expect(await restore(empty, '--from', at('whole'), '--until', '2999-01-01T00:00:00Z')).toMatchObject({
      code: 2,
      err: expect.stringContaining('before the instant that you ask for'),
    });
    expect(await restore(empty, '--from', at('whole'), '--until', 'yesterday')).toMatchObject({
      code: 2,
      err: expect.stringContaining('--until must be'),
    });
    expect(await restore(empty, '--from', at('whole'), '--until', new Date(MIDDLE).toISOString(), '--same-incarnation')).toMatchObject({
      code: 2,
    });
  });
});

describe('nothing is written', () => {
  const refusal = (to: Empty, ...folders: readonly string[]): Promise<unknown> =>
    restoreLog({ url: to.url, folders, say: () => undefined }).then(
      () => 'restored',
      (error: unknown) => error,
    );
  const copyOf = async (name: string, of: string): Promise<string> => {
    await cp(at(of), at(name), { recursive: true });
    return at(name);
  };
  const tables = (url: string): Promise<unknown[]> =>
    sql(url, "select 1 from information_schema.tables where table_schema not in ('pg_catalog', 'information_schema')");

  test('when one byte of any file is another: it is named', async () => {
    const empty = await nothing();
    for (const file of await readdir(at('whole'))) {
      const damaged = await copyOf(`flipped-${file}`, 'whole');
      const bytes = await readFile(join(damaged, file));
      const middleByte = Math.floor(bytes.length / 2);
      bytes[middleByte] = (bytes[middleByte] ?? 0) ^ 1;
      await writeFile(join(damaged, file), bytes);
      await expect(refusal(empty, damaged), file).resolves.toMatchObject({
        code: 'Damaged',
        message: expect.stringContaining(join(damaged, file)),
      });
    }
    expect(await tables(empty.url)).toEqual([]);
    expect(await restore(empty, '--from', at('flipped-event.copy.zst'))).toMatchObject({ code: 1 });
    expect(await backup(source.database, '--check', at('flipped-event.copy.zst'))).toMatchObject({ code: 1 });
    expect(await backup(source.database, '--check', at('full'), '--check', at('rest'))).toMatchObject({ code: 0 });
  });

  test('when the backup was broken off', async () => {
    const broken = await copyOf('broken', 'whole');
    await rm(join(broken, 'manifest.json'));
    expect(await refusal(await nothing(), broken)).toMatchObject({
      code: 'Damaged',
      message: expect.stringContaining('is no whole backup'),
    });
    const cut = await copyOf('cut', 'whole');
    const bytes = await readFile(join(cut, 'event.copy.zst'));
    await writeFile(join(cut, 'event.copy.zst'), bytes.subarray(0, bytes.length - 100));
    expect(await refusal(await nothing(), cut)).toMatchObject({
      code: 'Damaged',
      message: expect.stringContaining('event.copy.zst is damaged'),
    });
  });

  test('into a database that holds something: it is named', async () => {
    const { database } = source;
    const name = database.url.slice(database.url.lastIndexOf('/') + 1);
    const used = await restore({ url: database.url }, '--from', at('whole'));
    expect(used).toMatchObject({ code: 2, err: expect.stringContaining(`the database ${name} on 127.0.0.1`) });
    expect(used.err).toContain('es.event holds');
    await expectRows(database.url, end);
    const keys = await restore({ keysUrl: database.keysUrl }, '--keys', at('keys'));
    expect(keys).toMatchObject({ code: 2, err: expect.stringContaining('keys.data_key holds 3 rows') });
    const others = await nothing();
    await sql(others.url, 'create table public.customer (id int)');
    expect(await refusal(others, at('whole'))).toMatchObject({ code: 'NotEmpty', message: expect.stringContaining('public.customer') });
  });

  test('under running services', async () => {
    const fresh = await Source.open();
    const { url } = fresh.database;
    const to = { url, keysUrl: '' };
    expect(await refusal(to, at('whole'))).toMatchObject({ code: 'InUse', message: expect.stringContaining('Stop every service first') });
    await fresh.close();
    expect(await refusal(to, at('whole'))).toBe('restored');
  });

  test('from backups that do not continue each other', async () => {
    const empty = await nothing();
    expect(await refusal(empty, at('rest'))).toMatchObject({ code: 'NotContinued' });
    expect(await refusal(empty, at('full'), at('whole'))).toMatchObject({ code: 'NotContinued' });
    expect(await refusal(empty, at('whole'), at('rest'))).toMatchObject({ code: 'NotContinued' });
    expect(await refusal(empty, at('keys'))).toMatchObject({ code: 'NotPossible' });
    expect(await tables(empty.url)).toEqual([]);
  });
});

describe('a backup', () => {
  test('of the log has no key in it, and none of the keys has a word of the log', async () => {
    expect((await readdir(at('keys'))).sort()).toEqual(['belongs.copy.zst', 'data_key.copy.zst', 'manifest.json', 'own_key.copy.zst']);
    expect((await readdir(at('whole'))).some((file) => file.includes('key'))).toBe(false);
  });

  test('does not continue one of another log, and writes over none', async () => {
    const other = await Source.open();
    await other.close();
    // A copy of the same template, and so of the same incarnation.
    expect(await backup(other.database, '--to', at('shorter'), '--since', at('full'))).toMatchObject({
      code: 2,
      err: expect.stringContaining('this is not the log that was backed up'),
    });
    await sql(other.database.url, 'update es.log set incarnation = gen_random_uuid()');
    expect(await backup(other.database, '--to', at('foreign'), '--since', at('full'))).toMatchObject({
      code: 2,
      err: expect.stringContaining('Make a full backup'),
    });
    expect(await backup(source.database, '--to', at('full'))).toMatchObject({ code: 2, err: expect.stringContaining('is not empty') });
  });

  test('is refused when there is a table that nobody decided about', async () => {
    const other = await Source.open();
    await other.close();
    await sql(other.database.url, 'create table es.news (id int)');
    expect(await backup(other.database, '--to', at('strange'))).toMatchObject({ code: 2, err: expect.stringContaining('es.news') });
  });
});
