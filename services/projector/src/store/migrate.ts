import { PARTITIONS } from '@mandate/domain';
import type { Pool } from 'pg';
import { MIGRATIONS } from './migrations.ts';

/** Any fixed number: whoever migrates the read schema holds this advisory lock. */
const LOCK = 0x72656164;

/** Brings the schema `read` to this build's version. Several instances may start at once: one does it, the others wait. */
export async function migrateReadSchema(pool: Pool): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    await client.query('select pg_advisory_xact_lock($1)', [LOCK]);
    await client.query('create table if not exists read.migration (version int primary key, name text not null)');
    const { rows } = await client.query<{ version: number }>('select version from read.migration');
    const done = new Set(rows.map((row) => row.version));
    for (const step of MIGRATIONS.filter((each) => !done.has(each.version))) {
      await client.query(step.sql);
      await client.query('insert into read.migration (version, name) values ($1, $2)', [step.version, step.name]);
    }
    await client.query(
      `insert into read.lease (p, until) select p, '-infinity' from generate_series(0, $1::int - 1) p on conflict do nothing`,
      [PARTITIONS],
    );
    await client.query('commit');
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw error;
  } finally {
    client.release();
  }
}
