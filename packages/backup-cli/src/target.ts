/** The database that a backup goes into: empty, and of the backup's schema. */
import { type Database, migrateOne, migrationsOf } from '@mandate/event-store';
import pg from 'pg';
import type { Manifest } from './manifest.ts';
import { BackupRefused } from './refused.ts';

export async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: 5_000,
    application_name: 'mandate-restore',
    options: '-c jit=off',
  });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

/** Tables that hold a row as soon as a database is used. */
const USED = {
  log: ['es.event', 'es.stream', 'es.artifact', 'es.parked', 'proof.checkpoint'],
  keys: ['keys.data_key', 'keys.own_key'],
} as const;

/** @throws BackupRefused that names the database and what it holds */
export async function requireEmpty(client: pg.Client, database: Database): Promise<void> {
  const place = `the database ${client.database ?? '?'} on ${client.host}:${client.port}`;
  const refuse = (what: string): never => {
    throw new BackupRefused('NotEmpty', `${place} is not empty: ${what}. Nothing was changed. Restore into an empty database.`);
  };
  const { rows } = await client.query<{ name: string }>(
    `select n.nspname || '.' || c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p') and n.nspname <> 'information_schema' and n.nspname !~ '^pg_' order by 1`,
  );
  const tables = new Set(rows.map((row) => row.name));
  const ours = USED[database].filter((table) => tables.has(table));
  if (tables.size > 0 && ours.length === 0) refuse(`it holds tables of something else (${rows[0]?.name})`);
  for (const table of ours) {
    const found = await client.query<{ n: string }>(`select count(*) as n from (select from ${table} limit 1000) t`);
    const n = Number(found.rows[0]?.n);
    if (n > 0) refuse(`${table} holds ${n === 1000 ? 'at least 1000' : n} rows`);
  }
  if (!tables.has('es.partition')) return;
  const owned = await client.query<{ owner: string }>('select owner from es.partition where lease_until > clock_timestamp() limit 1');
  if (owned.rows[0] !== undefined)
    throw new BackupRefused('InUse', `services run on ${place}: ${owned.rows[0].owner} owns a partition. Stop every service first.`);
}

/** Brings the database to the schema that the backup was made of; later migrations then see its rows. @throws BackupRefused */
export async function migrateTo(url: string, database: Database, { migrations }: Manifest, say: (line: string) => void): Promise<void> {
  const shipped = new Map((await migrationsOf(database)).map(({ name, sha256 }) => [name, sha256]));
  const strange = migrations.find(({ name, sha256 }) => shipped.get(name) !== sha256);
  if (strange !== undefined)
    throw new BackupRefused(
      'OtherVersion',
      `the backup was made of a schema with ${database}/${strange.name}, which this build does not have so. Restore with a build that does.`,
    );
  await migrateOne(url, database, { only: new Set(migrations.map(({ name }) => name)), log: say });
  const client = await connect(url);
  try {
    const { rows } = await client.query<{ name: string }>('select name from public.migration');
    const further = rows.find(({ name }) => !migrations.some((each) => each.name === name));
    if (further !== undefined)
      throw new BackupRefused(
        'OtherVersion',
        `${client.database ?? url} already has ${database}/${further.name}, which came after the backup. Restore into a database without any tables.`,
      );
  } finally {
    await client.end();
  }
}
