import type { Pool, PoolClient } from 'pg';
import { readLogState } from './log.ts';
import { SHAPE, TABLES } from './tables.ts';

/** Any fixed number: whoever changes the list of generations holds this advisory lock. */
const LOCK = 0x72656164;
const SLOTS = ['read_a', 'read_b'] as const;

/** The schema that holds a generation's tables. */
export type Slot = (typeof SLOTS)[number];

/**
 * One whole set of read models. A build works with generations of its own shape only: one that serves, and at times one
 * that is being built beside it and takes its place when it has caught up. There is room for two; a build of another
 * shape may have the second one, so that two builds can serve side by side while one replaces the other.
 */
export interface Generation {
  readonly id: number;
  readonly slot: Slot;
  readonly state: 'building' | 'serving';
}

/** What there is of this build's shape. */
export interface Generations {
  readonly serving: Generation | undefined;
  readonly building: Generation | undefined;
}

/** Of what was committed since its beginning, so much may be left: readers who wait for a version wait as ever. */
const LEFT_EVENTS = 1_000;

const LIST = `
  create table if not exists read.generation (
    id int generated always as identity primary key,
    slot text not null,
    shape int not null,
    state text not null check (state in ('building', 'serving', 'gone')),
    at timestamptz not null default clock_timestamp()
  );
  create unique index if not exists one_per_slot on read.generation (slot) where state <> 'gone';
  create unique index if not exists one_per_state on read.generation (shape, state) where state <> 'gone';
  grant select on read.generation to mandate_reader`;

/** Makes the list, and this build's first generation if it has none. @throws NoRoom */
export async function prepareGenerations(pool: Pool): Promise<Generations> {
  return locked(pool, async (client) => {
    await client.query(LIST);
    const known = await listed(client);
    if (known.serving !== undefined || known.building !== undefined) return known;
    await begin(client);
    return listed(client);
  });
}

export const readGenerations = async (pool: Pool): Promise<Generations> => listed(pool);

/**
 * Begins to build this build's models anew, or returns what is being built already.
 *
 * @param owner takes the leases of a new one before anybody else can; it must renew them
 * @throws NoRoom
 */
export async function beginRebuild(pool: Pool, owner?: string): Promise<Generation> {
  return locked(pool, async (client) => (await listed(client)).building ?? begin(client, owner));
}

/** How many events a generation still has to apply until it may serve: all that there were at its beginning, and nearly all since. */
export async function behind(pool: Pool, { slot }: Generation): Promise<number> {
  const { rows } = await pool.query<{ first: number; all: number }>(
    `select coalesce(sum(greatest(0, least(c.rebuild_to, s.next_pos) - c.next)), 0)::int8 as first, coalesce(sum(greatest(0, s.next_pos - c.next)), 0)::int8 as all
     from es.log l cross join es.partition s cross join lateral (
       select coalesce(max(c.next_position), 0) as next, coalesce(max(c.rebuild_to), 0) as rebuild_to
       from ${slot}.checkpoint c where c.p = s.p and c.incarnation = l.incarnation) c`,
  );
  const { first = 0, all = 0 } = rows[0] ?? {};
  return Math.max(first, all - LEFT_EVENTS);
}

/** A generation that has caught up takes the place of the one that serves. Several may try: the first does it. */
export async function beginToServe(pool: Pool, { id }: Generation): Promise<void> {
  await locked(pool, async (client) => {
    const { rowCount } = await client.query("select 1 from read.generation where id = $1 and state = 'building'", [id]);
    if (rowCount === 0) return;
    await client.query("update read.generation set state = 'gone', at = clock_timestamp() where shape = $1 and state = 'serving'", [SHAPE]);
    await client.query("update read.generation set state = 'serving', at = clock_timestamp() where id = $1", [id]);
  });
}

/** Empties slots whose generation has been gone for half a minute: until then somebody may still read from them. */
export async function sweepSlots(pool: Pool): Promise<void> {
  const { rows } = await pool.query<{ slot: string }>(
    `select s.slot from unnest($1::text[]) s (slot) where exists (select from pg_tables where schemaname = s.slot)
       and not exists (select from read.generation g where g.slot = s.slot and (g.state <> 'gone' or g.at > clock_timestamp() - interval '30 s'))`,
    [SLOTS],
  );
  if (rows.length === 0) return;
  await locked(pool, async (client) => {
    for (const { slot } of rows) {
      const taken = await client.query("select 1 from read.generation where slot = $1 and state <> 'gone'", [slot]);
      if (taken.rowCount === 0) await empty(client, slot);
    }
  });
}

/** Both slots hold models of other builds that are alive. */
export class NoRoom extends Error {
  override readonly name = 'NoRoom';
}

async function begin(client: PoolClient, owner?: string): Promise<Generation> {
  const slot = await freeSlot(client);
  await client.query("update read.generation set state = 'gone', at = clock_timestamp() where slot = $1 and state <> 'gone'", [slot]);
  await empty(client, slot);
  await client.query(`set local search_path = ${slot}`);
  await client.query(`grant usage on schema ${slot} to mandate_reader`);
  await client.query(TABLES);
  const { incarnation, heads } = await readLogState(client);
  for (const [partition, head] of heads)
    await client.query('insert into checkpoint (p, incarnation, next_position, rebuild_to) values ($1, $2, 0, $3)', [
      partition,
      incarnation,
      head,
    ]);
  if (owner !== undefined) await client.query("update lease set owner = $1, until = clock_timestamp() + interval '3 s'", [owner]);
  const { rows } = await client.query<Generation>(
    "insert into read.generation (slot, shape, state) values ($1, $2, 'building') returning id, slot, state",
    [slot, SHAPE],
  );
  const [made] = rows;
  if (made === undefined) throw new Error('an insert that returns its row returned none');
  return made;
}

/** An unused slot, or the one of another build that nobody of that build holds any more. */
async function freeSlot(client: PoolClient): Promise<string> {
  const { rows } = await client.query<{ slot: string; shape: number }>("select slot, shape from read.generation where state <> 'gone'");
  const unused = SLOTS.find((slot) => rows.every((row) => row.slot !== slot));
  if (unused !== undefined) return unused;
  for (const { slot } of rows.filter(({ shape }) => shape !== SHAPE)) {
    const alive = await client.query(`select 1 from ${slot}.member where until > clock_timestamp()`);
    if (alive.rowCount === 0) return slot;
  }
  throw new NoRoom('Both places for read models are in use, one by projectors of another build. Stop those, then try again.');
}

async function empty(client: PoolClient, slot: string): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    "select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname = $1",
    [slot],
  );
  if (rows.length > 0) await client.query(`drop table ${rows.map(({ name }) => name).join(', ')}`);
}

async function listed(pool: Pool | PoolClient): Promise<Generations> {
  const { rows } = await pool.query<Generation>("select id, slot, state from read.generation where shape = $1 and state <> 'gone'", [
    SHAPE,
  ]);
  return { serving: rows.find(({ state }) => state === 'serving'), building: rows.find(({ state }) => state === 'building') };
}

async function locked<Result>(pool: Pool, work: (client: PoolClient) => Promise<Result>): Promise<Result> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    await client.query('select pg_advisory_xact_lock($1)', [LOCK]);
    const result = await work(client);
    await client.query('commit');
    return result;
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw error;
  } finally {
    client.release();
  }
}
