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
    await applyAll(client, 'log', options.log);
  });
  await onDatabase(options.keysUrl, (client) => applyAll(client, 'keys', options.log));
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

async function role(client: pg.Client, name: string, password: string): Promise<void> {
  const known = await client.query('select 1 from pg_roles where rolname = $1', [name]);
  const verb = known.rowCount === 0 ? 'create' : 'alter';
  await client.query(`${verb} role ${pg.escapeIdentifier(name)} login password ${pg.escapeLiteral(password)}`);
}

async function applyAll(client: pg.Client, database: 'log' | 'keys', log: ((line: string) => void) | undefined): Promise<void> {
  await client.query(
    'create table if not exists public.migration (name text primary key, sha256 text not null, at timestamptz not null default now())',
  );
  const folder = new URL(`../migrations/${database}/`, import.meta.url);
  const applied = new Map(
    (await client.query<{ name: string; sha256: string }>('select name, sha256 from public.migration')).rows.map((row) => [
      row.name,
      row.sha256,
    ]),
  );
  for (const name of (await readdir(folder)).sort()) {
    const sql = await readFile(new URL(name, folder), 'utf8');
    const sha256 = createHash('sha256').update(sql).digest('hex');
    const known = applied.get(name);
    if (known !== undefined && known !== sha256)
      throw new Error(`migration ${database}/${name} was edited after it had been applied. Restore the file and add a new one.`);
    if (known !== undefined) continue;
    await client.query('begin');
    await client.query(sql);
    await client.query('insert into public.migration (name, sha256) values ($1, $2)', [name, sha256]);
    await client.query('commit');
    log?.(`migrated ${database}/${name}`);
  }
}
