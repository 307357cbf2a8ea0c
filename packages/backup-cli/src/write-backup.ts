import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { writeCompressed } from './kept-file.ts';
import { type Backup, FORMAT, type KeptFile, type KeptPartition, type Manifest, writeManifest } from './manifest.ts';
import { BackupRefused } from './refused.ts';
import { type Begin, columnsOf, type KeptTable, TABLES, writtenColumns } from './tables.ts';

export interface BackupOptions {
  readonly url: string;
  readonly database: Manifest['database'];
  /** Made when missing; must be empty. */
  readonly folder: string;
  /** Only what was written after it. */
  readonly since?: Backup;
  readonly say: (line: string) => void;
}

/**
 * Writes what a database holds at one instant, while everything goes on: one snapshot, one COPY per table. Other sessions wait
 * for nothing. @throws BackupRefused
 */
export async function writeBackup(options: BackupOptions): Promise<Manifest> {
  const { url, database, folder, since, say } = options;
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: 5_000,
    application_name: 'mandate-backup',
    // One branch after the other, in order.
    options: '-c jit=off -c max_parallel_workers_per_gather=0',
  });
  client.on('error', () => undefined);
  await client.connect();
  try {
    await client.query('begin isolation level repeatable read read only');
    const columns = await columnsOf(client, database);
    if (columns.size === 0)
      throw new BackupRefused(
        'NotPossible',
        `${client.database ?? url} holds no ${database === 'log' ? 'log' : 'keys'}: which database is it?`,
      );
    const at = await snapshotTime(client);
    const migrations = (await client.query<{ name: string; sha256: string }>('select name, sha256 from public.migration order by name'))
      .rows;
    const { incarnation, partitions } = database === 'log' ? await standing(client, since) : { incarnation: null, partitions: [] };
    const begins = beginsOf(partitions, since);
    await emptyFolder(folder);
    const files: KeptFile[] = [];
    for (const kept of TABLES[database]) {
      const found = columns.get(kept.table);
      if (found === undefined) continue;
      const written = await writeTable(client, kept, { folder, columns: found, begins, isIncremental: since !== undefined });
      files.push(written);
      say(`${written.file}: ${written.rows} rows, ${megabytes(written.bytes)}`);
    }
    wholeOrNothing(files, partitions);
    return await writeManifest(folder, {
      format: FORMAT,
      database,
      at,
      migrations,
      incarnation,
      partitions,
      since: since?.manifest.sha256 ?? null,
      files,
    });
  } finally {
    await client.end();
  }
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

/** Whatever was committed before it is in the snapshot, for that is taken by the first statement after it. */
async function snapshotTime(client: pg.Client): Promise<string> {
  const { rows } = await client.query<{ at: Date }>('select transaction_timestamp() as at');
  return (rows[0]?.at ?? new Date()).toISOString();
}

/** Where log and partitions stand, and where the backup begins in each. */
async function standing(client: pg.Client, since: Backup | undefined): Promise<{ incarnation: string; partitions: KeptPartition[] }> {
  const { rows } = await client.query<{ incarnation: string; p: number; next: string; epoch: string; published: string; sealed: string }>(
    `select l.incarnation, s.p, s.next_pos as next, s.epoch, s.published_pos as published,
            coalesce((select max(c.size) from proof.checkpoint c where c.incarnation = l.incarnation and c.p = s.p), 0) as sealed
     from es.log l cross join es.partition s order by s.p`,
  );
  const [first] = rows;
  if (first === undefined) throw new BackupRefused('NotPossible', 'es.log is empty: run the migrations.');
  if (since !== undefined && since.manifest.incarnation !== first.incarnation)
    throw new BackupRefused(
      'NotContinued',
      `${since.folder} is of the log ${since.manifest.incarnation ?? 'of keys'}, and this is ${first.incarnation}: it was restored or replaced since. Make a full backup.`,
    );
  const before = new Map(since?.manifest.partitions.map((partition) => [partition.p, partition]));
  const shorter = rows.find((row) => Number(row.next) < (before.get(row.p)?.next ?? 0));
  if (since !== undefined && shorter !== undefined)
    throw new BackupRefused(
      'NotContinued',
      `partition ${shorter.p} ends at ${shorter.next}, before ${since.folder} does: this is not the log that was backed up. Make a full backup, and run audit verify.`,
    );
  return {
    incarnation: first.incarnation,
    partitions: rows.map((row) => ({
      p: row.p,
      from: before.get(row.p)?.next ?? 0,
      next: Number(row.next),
      epoch: Number(row.epoch),
      published: Number(row.published),
      sealed: Number(row.sealed),
    })),
  };
}

function beginsOf(partitions: readonly KeptPartition[], since: Backup | undefined): readonly Begin[] {
  const sealed = new Map(since?.manifest.partitions.map((partition) => [partition.p, partition.sealed]));
  return partitions.map(({ p, from }) => ({ p, from, sealedFrom: sealed.get(p) ?? 0 }));
}

async function emptyFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  if ((await readdir(folder)).length > 0)
    throw new BackupRefused('NotPossible', `${folder} is not empty. Every backup has a folder of its own, and none is written over.`);
}

interface Writing {
  readonly folder: string;
  readonly columns: readonly string[];
  readonly begins: readonly Begin[];
  readonly isIncremental: boolean;
}

async function writeTable(client: pg.Client, { table, file, rows }: KeptTable, writing: Writing): Promise<KeptFile> {
  const columns = writtenColumns(table, writing.columns);
  const select = rows(columns.map((name) => pg.escapeIdentifier(name)).join(', '), writing.begins, writing.isIncremental);
  const copy = client.query(copyTo(`copy (${select}) to stdout (format binary)`, { highWaterMark: 1024 * 1024 }));
  const written = await writeCompressed(join(writing.folder, file), copy);
  return { file, table, columns: [...columns], rows: copy.rowCount, ...written };
}

/** Positions are dense, so the number of events is known beforehand. */
function wholeOrNothing(files: readonly KeptFile[], partitions: readonly KeptPartition[]): void {
  const wanted = partitions.reduce((sum, { from, next }) => sum + next - from, 0);
  const written = files.find(({ table }) => table === 'es.event')?.rows ?? 0;
  if (written !== wanted)
    throw new BackupRefused(
      'Damaged',
      `the log says that it holds ${wanted} events here, and ${written} are there. Nothing was sealed; run audit verify.`,
    );
}
