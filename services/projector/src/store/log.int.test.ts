import { type FreshDatabase, freshDatabase } from '@mandate/test-kit';
import pg from 'pg';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { exampleWorkflow } from '../example-log.ts';
import { readLog } from './log.ts';
import { openPool } from './pool.ts';

const P = 4;
const EVENTS = 9_500;
let database: FreshDatabase;
let sql: pg.Client;

beforeAll(async () => {
  database = await freshDatabase();
  sql = new pg.Client({ connectionString: database.url });
  await sql.connect();
  await sql.query(
    `insert into es.event (p, pos, stream_id, version, tenant_id, type, envelope, hash, at)
     select $1, n, $2, n + 1, 'acme', 'step.done', '{}', decode(repeat('00', 32), 'hex'), now() from generate_series(0, $3::int - 1) n`,
    [P, exampleWorkflow(1, P), EVENTS],
  );
});

afterAll(async () => {
  await sql?.end();
  await database?.drop();
});

test('of a log without statistics each position is read once, not again for every page before it', async () => {
  const pool = openPool(database.projectorUrl, { max: 1, timeoutMs: 5_000, name: 'pages', readsLog: true });
  let read = 0;
  for (let page = await readLog(pool, P, 0, 1_000); page.length > 0; page = await readLog(pool, P, read, 1_000)) read += page.length;
  await pool.end();
  expect(read).toBe(EVENTS);
  const entries = "select idx_tup_read::int as read from pg_stat_all_indexes where indexrelname = 'event_p4_pkey'";
  const pages = Math.ceil(EVENTS / 1_000) + 1;
  // Written when the connection ends.
  const found = await vi.waitFor(async () => {
    const { rows } = await sql.query<{ read: number }>(entries);
    expect(rows[0]?.read).toBeGreaterThanOrEqual(EVENTS);
    return rows[0]?.read ?? 0;
  }, 10_000);
  expect(found).toBeLessThanOrEqual(EVENTS + pages);
});
