import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import pg from 'pg';

export interface MigrateOptions {
  /** Superuser (or database owner) of the log's database. */
  readonly url: string;
  /** The same for the database of the data keys. */
  readonly keysUrl: string;
  /** Passwords of the two login roles; they are created, or their passwords changed. */
  readonly roles: { readonly orchestrator: string; readonly projector: string };
  readonly log?: (line: string) => void;
}

export type Database = 'log' | 'keys';

/** Arbitrary but fixed: one migrator at a time. */
const LOCK = 7_263_541;

/**
 * Brings both databases to today's schema: forward only, each file once, in one transaction each, safe to run twice and
 * by several at once. @throws when a file that was already applied has been edited
 */
export async function migrate(options: MigrateOptions): Promise<void> {
  await onDatabase(options.url, async (client) => {
    await role(client, 'mandate_orchestrator', options.roles.orchestrator);
    await role(client, 'mandate_projector', options.roles.projector);
    await readerRole(client);
    await applyAll(client, 'log', options.log);
  });
  await onDatabase(options.keysUrl, (client) => applyAll(client, 'keys', options.log));
}

/**
 * One database alone, for a restore. Roles that are missing are made, and cannot log in before `migrate` gives them passwords.
 * @param only - names of the files to apply; others are left for later @default all of them
 */
export async function migrateOne(
  url: string,
  database: Database,
  options: { readonly only?: ReadonlySet<string>; readonly log?: (line: string) => void } = {},
): Promise<void> {
  await onDatabase(url, async (client) => {
    await role(client, 'mandate_orchestrator');
    await role(client, 'mandate_projector');
    await readerRole(client);
    await applyAll(client, database, options.log, options.only);
  });
}

export interface Migration {
  readonly name: string;
  readonly sql: string;
  readonly sha256: string;
}

/** The files of this build, in their order. */
export async function migrationsOf(database: Database): Promise<readonly Migration[]> {
  const folder = new URL(`../migrations/${database}/`, import.meta.url);
  return Promise.all(
    (await readdir(folder)).sort().map(async (name) => {
      const sql = await readFile(new URL(name, folder), 'utf8');
      return { name, sql, sha256: createHash('sha256').update(sql).digest('hex') };
    }),
  );
}

async function onDatabase(url: string, work: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query('select pg_advisory_lock($1)', [LOCK]);
    await work(client);
  } finally {
    await client.end();
  }
}

/** Without a password, one that is there stays as it is. */
async function role(client: pg.Client, name: string, password?: string): Promise<void> {
  const known = await client.query('select 1 from pg_roles where rolname = $1', [name]);
  if (password === undefined) {
    if (known.rowCount === 0) await client.query(`create role ${pg.escapeIdentifier(name)} login`);
    return;
  }
  const verb = known.rowCount === 0 ? 'create' : 'alter';
  await client.query(`${verb} role ${pg.escapeIdentifier(name)} login password ${pg.escapeLiteral(password)}`);
}

/** What the projector's queries run as: it owns nothing and may not log in. */
async function readerRole(client: pg.Client): Promise<void> {
  const known = await client.query<{ granted: boolean }>(
    "select pg_has_role('mandate_projector', oid, 'member') as granted from pg_roles where rolname = 'mandate_reader'",
  );
  if (known.rowCount === 0) await client.query('create role mandate_reader nologin');
  if (known.rows[0]?.granted !== true) await client.query('grant mandate_reader to mandate_projector');
}

async function applyAll(
  client: pg.Client,
  database: Database,
  log: ((line: string) => void) | undefined,
  only?: ReadonlySet<string>,
): Promise<void> {
  await client.query(
    'create table if not exists public.migration (name text primary key, sha256 text not null, at timestamptz not null default now())',
  );
  const { missing, edited } = await compare(client, database);
  if (edited[0] !== undefined)
    throw new Error(`migration ${database}/${edited[0]} was edited after it had been applied. Restore the file and add a new one.`);
  for (const { name, sql, sha256 } of missing.filter((each) => only?.has(each.name) ?? true)) {
    await client.query('begin');
    await client.query(sql);
    await client.query('insert into public.migration (name, sha256) values ($1, $2)', [name, sha256]);
    await client.query('commit');
    log?.(`migrated ${database}/${name}`);
  }
}

interface Difference {
  readonly missing: readonly Migration[];
  /** Names of files that are not what was applied. */
  readonly edited: readonly string[];
}

async function compare(client: pg.Client, database: Database): Promise<Difference> {
  const { rows } = await client.query<{ name: string; sha256: string }>('select name, sha256 from public.migration');
  const applied = new Map(rows.map((row) => [row.name, row.sha256]));
  const files = await migrationsOf(database);
  return {
    missing: files.filter(({ name }) => !applied.has(name)),
    edited: files.filter(({ name, sha256 }) => (applied.get(name) ?? sha256) !== sha256).map(({ name }) => name),
  };
}

/** What of this build's migrations a database lacks, or has otherwise; empty when it is up to date. Changes nothing. */
export async function migrationProblems(url: string, database: Database): Promise<readonly string[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 3_000 });
  await client.connect();
  try {
    const { missing, edited } = await compare(client, database);
    return [...missing.map(({ name }) => `${database}/${name} is not applied`), ...edited.map((name) => `${database}/${name} was edited`)];
  } finally {
    await client.end();
  }
}
