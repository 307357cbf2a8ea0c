import { type Finding, verifyPartition } from '@mandate/audit';
import { migrateOne, ProofStore, type StoredRow } from '@mandate/event-store';
import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { checkFiles } from './kept-file.ts';
import { loadTable } from './load.ts';
import { type Backup, inSequence, type Manifest, readBackup } from './manifest.ts';
import { Past } from './past.ts';
import { BackupRefused } from './refused.ts';
import { isStillOpen } from './still-open.ts';
import { connect, migrateTo, requireEmpty } from './target.ts';

export interface RestoreOptions {
  /** Of the owner of the empty database. */
  readonly url: string;
  /** A full backup, and the incremental ones that continue it, in order. */
  readonly folders: readonly string[];
  /** Epoch ms: each partition ends before its first event later than this. */
  readonly until?: number;
  /** The log is known to be whole: it goes on as the same log. @default false */
  readonly isSameLog?: boolean;
  readonly say: (line: string) => void;
}

export interface RestoredLog {
  readonly incarnation: string;
  /** The log that was backed up. */
  readonly before: string;
  readonly events: number;
  /** Workflows and accounts that still owe something. */
  readonly open: number;
  /** Workflows whose content was erased after the instant that was restored to: their keys must stay destroyed. */
  readonly erasedLater: readonly string[];
  /** What was wrong with the log already when it was backed up. */
  readonly findings: readonly Finding[];
}

/**
 * Makes a log from backups: one transaction loads it, so it is there whole or not at all; then every hash chain is walked.
 * @throws BackupRefused before anything is written, when files are not right or the database is not empty
 */
export async function restoreLog(options: RestoreOptions): Promise<RestoredLog> {
  const { url, until, isSameLog = false, say } = options;
  const backups = await wholeBackups(options.folders, 'log', say);
  const { manifest: last } = lastOf(backups);
  if (until !== undefined) withinReach(until, last, isSameLog);
  const client = await connect(url);
  try {
    await requireEmpty(client, 'log');
    await migrateTo(url, 'log', last, say);
    const past = until === undefined ? undefined : await Past.upTo(until, backups);
    const before = last.incarnation ?? '';
    const incarnation = isSameLog ? before : randomUUID();
    const loaded = await inTransaction(client, () => load(client, { backups, past, incarnation, say }));
    await migrateOne(url, 'log', { log: say });
    if (!isSameLog) await rememberOrigin(client, { incarnation, before, until });
    say('every file is loaded; walking the hash chains');
    // The first queries are planned by it: better before services start than whenever the server gets to it.
    const [findings] = await Promise.all([brokenChains(url), client.query('analyze es.event, es.content, es.stream')]);
    return { incarnation, before, ...loaded, erasedLater: past?.erased ?? [], findings };
  } finally {
    await client.end();
  }
}

/** Reads manifests and every byte of every file. @throws BackupRefused */
export async function wholeBackups(
  folders: readonly string[],
  database: Manifest['database'],
  say: (line: string) => void,
): Promise<readonly Backup[]> {
  const backups: Backup[] = [];
  for (const folder of folders) backups.push(await readBackup(folder));
  inSequence(backups, database);
  for (const backup of backups) {
    await checkFiles(backup);
    say(`${backup.folder}: of ${backup.manifest.at}, every file is as it was written`);
  }
  return backups;
}

function lastOf(backups: readonly Backup[]): Backup {
  const last = backups.at(-1);
  if (last === undefined) throw new BackupRefused('NotPossible', 'no backup was given.');
  return last;
}

function withinReach(until: number, { at }: Manifest, isSameLog: boolean): void {
  if (isSameLog) throw new BackupRefused('NotPossible', 'a log that is restored to the past is another log: leave --same-incarnation out.');
  if (until > Date.parse(at))
    throw new BackupRefused(
      'NotPossible',
      `the last backup was made at ${at}, before the instant that you ask for. Give a later one too, or leave --until out.`,
    );
}

async function inTransaction<Result>(client: pg.Client, work: () => Promise<Result>): Promise<Result> {
  await client.query('begin');
  try {
    const result = await work();
    await client.query('commit');
    return result;
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw error;
  }
}

interface Loading {
  readonly backups: readonly Backup[];
  readonly past: Past | undefined;
  readonly incarnation: string;
  readonly say: (line: string) => void;
}

async function load(client: pg.Client, { backups, past, incarnation, say }: Loading): Promise<Pick<RestoredLog, 'events' | 'open'>> {
  const last = lastOf(backups);
  let events = 0;
  for (const backup of backups) {
    events += await loadTable(client, backup, 'es.event', past === undefined ? {} : { wants: past.events(backup) });
    say(`${events} events loaded`);
  }
  for (const backup of backups) {
    await loadTable(client, backup, 'es.content', past === undefined ? {} : { wants: past.content(backup) });
    // Those of the log that was backed up stay what they are: its own.
    await loadTable(client, backup, 'proof.checkpoint');
    await loadTable(client, backup, 'proof.lineage');
  }
  say('content and checkpoints loaded');
  await loadTable(client, last, 'es.artifact');
  await loadTable(client, last, 'es.parked');
  await client.query("select setval(pg_get_serial_sequence('es.parked', 'id'), max(id)) from es.parked having max(id) is not null");
  const open = await makeStreams(client, last, past);
  say(`${open} streams are open`);
  await setHeads(client, last.manifest, past);
  await client.query('update es.log set incarnation = $1', [incarnation]);
  return { events, open };
}

/** Version and head hash of a stream are those of its last event. */
async function makeStreams(client: pg.Client, last: Backup, past: Past | undefined): Promise<number> {
  await client.query('create temp table still_open (p smallint, stream_id text) on commit drop');
  await loadTable(client, last, 'es.stream', { into: 'still_open' });
  await client.query(
    `insert into es.stream (p, stream_id, tenant_id, version, head_hash, open)
     select distinct on (e.p, e.stream_id) e.p, e.stream_id, e.tenant_id, e.version, e.hash, false
     from es.event e order by e.p, e.stream_id, e.version desc`,
  );
  await client.query('update es.stream s set open = true from still_open o where o.p = s.p and o.stream_id = s.stream_id');
  for (const { p, stream } of past?.shortened ?? [])
    await client.query('update es.stream set open = $3 where p = $1 and stream_id = $2', [p, stream, await isStillOpen(client, p, stream)]);
  const { rows } = await client.query<{ n: string }>('select count(*) as n from es.stream where open');
  return Number(rows[0]?.n);
}

/** Nothing is owned. Epochs go on, and what was published lately is published again: listeners know it by its id. */
async function setHeads(client: pg.Client, { partitions }: Manifest, past: Past | undefined): Promise<void> {
  const wanted = partitions.map((partition) => ({ ...partition, end: past?.ends.get(partition.p) ?? partition.next }));
  await client.query(
    `update es.partition l set next_pos = n.next, published_pos = least(n.published, n.next), epoch = n.epoch, owner = null, lease_until = null
     from unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::bigint[]) n (p, next, published, epoch) where l.p = n.p`,
    [wanted.map(({ p }) => p), wanted.map(({ end }) => end), wanted.map(({ published }) => published), wanted.map(({ epoch }) => epoch)],
  );
  const { rows } = await client.query<{ p: number; next: string; events: string; last: string | null }>(
    `select l.p, l.next_pos as next, count(e.pos) as events, max(e.pos) as last
     from es.partition l left join es.event e on e.p = l.p group by l.p, l.next_pos`,
  );
  const wrong = rows.find(({ next, events, last }) => next !== events || Number(last ?? -1) !== Number(next) - 1);
  if (wrong !== undefined)
    throw new BackupRefused(
      'Damaged',
      `partition ${wrong.p} would hold ${wrong.events} events and end at ${wrong.last}, and the backup says ${wrong.next}. Nothing was restored.`,
    );
}

async function rememberOrigin(
  client: pg.Client,
  origin: { incarnation: string; before: string; until: number | undefined },
): Promise<void> {
  await client.query('insert into proof.lineage (incarnation, p, before, kept, until) select $1, p, $2, next_pos, $3 from es.partition', [
    origin.incarnation,
    origin.before,
    origin.until === undefined ? null : new Date(origin.until),
  ]);
}

const UNSEALED = { leaves: Buffer.alloc(0), size: 0 };

/** The files are as they were written; this tells whether the log was right when they were. */
async function brokenChains(url: string): Promise<readonly Finding[]> {
  const store = await ProofStore.snapshot(url);
  try {
    const { partitions } = await store.state();
    const findings: Finding[] = [];
    for (const { partition, head } of partitions) {
      const report = await verifyPartition({ partition, pages: pages(store, partition), sealed: UNSEALED, head });
      if (report.finding !== undefined) findings.push(report.finding);
    }
    return findings;
  } finally {
    await store.close();
  }
}

const PAGE = 4_000;

/** The next page is read while one is walked. */
async function* pages(store: ProofStore, partition: number): AsyncGenerator<readonly StoredRow[]> {
  let reading = store.rows(partition, 0, PAGE);
  for (let rows = await reading; rows.length > 0; rows = await reading) {
    reading = store.rows(partition, (rows.at(-1)?.position ?? 0) + 1, PAGE);
    // Whoever stops walking does not wait for it.
    reading.catch(() => undefined);
    yield rows;
  }
}
