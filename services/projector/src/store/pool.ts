import pg, { type Pool } from 'pg';
import type { Slot } from './generations.ts';

const INT8 = 20;
/** 64-bit integers come as numbers: money, times and positions of ours stay far below 2^53. */
const types = { getTypeParser: (oid: number, format?: 'text' | 'binary') => (oid === INT8 ? Number : pg.types.getTypeParser(oid, format)) };

export interface PoolOptions {
  readonly max: number;
  readonly timeoutMs: number;
  readonly name: string;
  /** Where the tables without a schema are. */
  readonly slot?: Slot;
  /** Reads the log in pages. */
  readonly readsLog?: true;
  /** Instead of the role that logs in. */
  readonly role?: 'mandate_reader';
}

/**
 * Connections that survive a Postgres that goes away: an idle one that breaks is replaced, a statement that hangs is given up.
 *
 * Commits do not wait for the disk: rows and checkpoint are one transaction, so a crash of Postgres takes both back
 * together and the log is applied again from there.
 */
export function openPool(databaseUrl: string, options: PoolOptions): Pool {
  const slot = options.slot === undefined ? '' : ` -c search_path=${options.slot}`;
  // Of a log that Postgres has no statistics of yet (a new one, a restored one) it would read and sort all the rest of a
  // partition for each page: 70 ms and more instead of 1 ms when 60,000 events are left.
  const pages = options.readsLog === true ? ' -c enable_bitmapscan=off' : '';
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: options.max,
    connectionTimeoutMillis: 2_000,
    query_timeout: options.timeoutMs,
    application_name: options.name,
    options: `-c synchronous_commit=off${slot}${pages}${options.role === undefined ? '' : ` -c role=${options.role}`}`,
    keepAlive: true,
    types: types as never,
  });
  pool.on('error', () => undefined);
  pool.on('connect', (client) => void client.on('error', () => undefined));
  return pool;
}
