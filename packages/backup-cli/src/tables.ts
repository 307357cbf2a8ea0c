/** What is kept of each database, and why the rest is not. */
import type { ClientBase } from 'pg';
import { BackupRefused } from './refused.ts';

/** Where a backup begins in a partition: at which event, and at which event of its signed checkpoints. */
export interface Begin {
  readonly p: number;
  readonly from: number;
  readonly sealedFrom: number;
}

export interface KeptTable {
  readonly table: string;
  readonly file: string;
  /** The rows to write: `select` of these columns. Incremental: only those of events after these. */
  readonly rows: (columns: string, begins: readonly Begin[], isIncremental: boolean) => string;
}

const whole = (table: string) => (columns: string) => `select ${columns} from ${table}`;

/** Per partition in a branch of its own, so that each finds its rows by the index. */
const perPartition = (begins: readonly Begin[], branch: (begin: Begin) => string): string =>
  begins.map((begin) => `(${branch(begin)})`).join(' union all ');

/** Content belongs to its event, so it is incremental with it. */
const LOG: readonly KeptTable[] = [
  {
    table: 'es.event',
    file: 'event.copy.zst',
    rows: (columns, begins) =>
      perPartition(begins, ({ p, from }) => `select ${columns} from es.event where p = ${p} and pos >= ${from} order by pos`),
  },
  {
    table: 'es.content',
    file: 'content.copy.zst',
    rows: (columns, begins, isIncremental) =>
      isIncremental
        ? perPartition(
            begins,
            ({ p, from }) =>
              `select ${columns} from es.content where p = ${p} and (stream_id, version) in (select stream_id, version from es.event where p = ${p} and pos >= ${from})`,
          )
        : `select ${columns} from es.content`,
  },
  // Of the streams only this: the rest is in their events.
  { table: 'es.stream', file: 'open.copy.zst', rows: () => 'select p, stream_id from es.stream where open' },
  // Small, or changed after they were written: whole in each backup.
  { table: 'es.artifact', file: 'artifact.copy.zst', rows: whole('es.artifact') },
  { table: 'es.parked', file: 'parked.copy.zst', rows: whole('es.parked') },
  {
    table: 'proof.checkpoint',
    file: 'checkpoint.copy.zst',
    rows: (columns, begins, isIncremental) =>
      isIncremental
        ? perPartition(
            begins,
            ({ p, sealedFrom }) =>
              `select ${columns} from proof.checkpoint where incarnation = (select incarnation from es.log) and p = ${p} and first_pos >= ${sealedFrom}`,
          )
        : `select ${columns} from proof.checkpoint`,
  },
  {
    table: 'proof.lineage',
    file: 'lineage.copy.zst',
    // It changes with the incarnation alone, and no incremental backup reaches over that.
    rows: (columns, _, isIncremental) => `select ${columns} from proof.lineage${isIncremental ? ' where false' : ''}`,
  },
];

const KEYS: readonly KeptTable[] = [
  { table: 'keys.data_key', file: 'data_key.copy.zst', rows: whole('keys.data_key') },
  { table: 'keys.belongs', file: 'belongs.copy.zst', rows: whole('keys.belongs') },
  { table: 'keys.own_key', file: 'own_key.copy.zst', rows: whole('keys.own_key') },
];

export const TABLES = { log: LOG, keys: KEYS } as const;

/** Not rows of a backup: in the manifest (log, partition), only true while services run (member), made again from the rest (snapshot). */
const LEFT_OUT = ['es.log', 'es.partition', 'es.member', 'es.snapshot'];
const SCHEMAS = { log: ['es', 'proof'], keys: ['keys'] } as const;

/** The tables of a database and their columns. @throws BackupRefused when there is one that nobody decided about */
export async function columnsOf(client: ClientBase, database: 'log' | 'keys'): Promise<ReadonlyMap<string, readonly string[]>> {
  const { rows } = await client.query<{ table: string; columns: string[] }>(
    `select n.nspname || '.' || c.relname as table, array_agg(a.attname::text order by a.attnum) as columns
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
     join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
     where n.nspname = any ($1) and c.relkind in ('r', 'p') and not c.relispartition group by 1`,
    [SCHEMAS[database]],
  );
  const kept = TABLES[database].map(({ table }) => table);
  const strange = rows.find(({ table }) => !kept.includes(table) && !LEFT_OUT.includes(table));
  if (strange !== undefined)
    throw new BackupRefused(
      'OtherVersion',
      `the table ${strange.table} is not known to this program: a backup would leave it out. Use the build that made it.`,
    );
  return new Map(rows.map((row) => [row.table, row.columns]));
}

/** The columns that a file of this table holds. */
export const writtenColumns = (table: string, columns: readonly string[]): readonly string[] =>
  table === 'es.stream' ? ['p', 'stream_id'] : columns;
