import { workflowIdOf } from '@mandate/domain';
import type { ProofStore } from '@mandate/event-store';
import { type FreshDatabase, freshDatabase } from '@mandate/test-kit';
import pg from 'pg';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { matchingPages, onLog, partitionPages } from './log.ts';

const P = 6;
const EVENTS = 9_001;
let database: FreshDatabase;
let sql: pg.Client;

beforeAll(async () => {
  database = await freshDatabase();
  sql = new pg.Client({ connectionString: database.url });
  await sql.connect();
  await sql.query(
    `insert into es.event (p, pos, stream_id, version, tenant_id, type, envelope, hash, at)
     select $1, n, $2, n + 1, 'acme', case n % 2 when 0 then 'step.begun' else 'step.done' end, '{}', decode(repeat('00', 32), 'hex'), now()
     from generate_series(0, $3::int - 1) n`,
    [P, workflowIdOf(P, 'a'.repeat(26)), EVENTS],
  );
});

afterAll(async () => {
  await sql?.end();
  await database?.drop();
});

const positions = (read: (store: ProofStore) => AsyncIterable<readonly { readonly position: number }[]>): Promise<number[][]> =>
  onLog(database.projectorUrl, async (store) => {
    const pages: number[][] = [];
    for await (const page of read(store)) pages.push(page.map(({ position }) => position));
    return pages;
  });

test('of a log without statistics each position is read once, not again for every page before it', async () => {
  const before = await indexEntriesRead();
  await positions((store) => partitionPages(store, P));
  // Written when the connection ends.
  const read = await vi.waitFor(async () => {
    const now = await indexEntriesRead();
    expect(now).toBeGreaterThanOrEqual(before + EVENTS);
    return now - before;
  }, 10_000);
  expect(read).toBeLessThanOrEqual(EVENTS + 4);
});

async function indexEntriesRead(): Promise<number> {
  const { rows } = await sql.query<{ read: number }>(
    `select coalesce(sum(idx_tup_read), 0)::int as read from pg_stat_all_indexes where indexrelname = 'event_p${P}_pkey'`,
  );
  return rows[0]?.read ?? 0;
}

test('pages hold every event once, in order, and only those that match', async () => {
  const all = await positions((store) => partitionPages(store, P));
  expect(all.map(({ length }) => length)).toEqual([4_000, 4_000, 1_001]);
  expect(all.flat()).toEqual(Array.from({ length: EVENTS }, (_, n) => n));
  const done = await positions((store) => matchingPages(store, P, { types: ['step.done'] }));
  expect(done.map(({ length }) => length)).toEqual([4_000, 500]);
  expect(done.flat()).toEqual(Array.from({ length: 4_500 }, (_, n) => 2 * n + 1));
  expect(await positions((store) => partitionPages(store, P + 1))).toEqual([]);
});

test('a reader may stop at any page, although the next one is being read', async () => {
  const unheard: unknown[] = [];
  const hear = (reason: unknown): unknown => unheard.push(reason);
  process.on('unhandledRejection', hear);
  const first = await onLog(database.projectorUrl, async (store) => {
    const pages = partitionPages(store, P)[Symbol.asyncIterator]();
    return pages.next();
  });
  expect(first).toMatchObject({ done: false });
  expect(await positions((store) => partitionPages(store, P))).toHaveLength(3);
  process.off('unhandledRejection', hear);
  expect(unheard).toEqual([]);
});
