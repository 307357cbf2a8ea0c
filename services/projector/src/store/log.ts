import type { StoredEvent } from '@mandate/contracts';
import type { Pool, PoolClient } from 'pg';
import type { LoggedEvent } from '../models/project-batch.ts';

/** Where the log stands. */
export interface LogState {
  /** A restored or failed-over log has another one. */
  readonly incarnation: string;
  /** Partition → next free position. */
  readonly heads: ReadonlyMap<number, number>;
}

export async function readLogState(pool: Pool | PoolClient): Promise<LogState> {
  const { rows } = await pool.query<{ incarnation: string; p: number | null; next_pos: number | null }>(
    'select l.incarnation, s.p, s.next_pos from es.log l left join es.partition s on true',
  );
  const incarnation = rows[0]?.incarnation;
  if (incarnation === undefined)
    throw new Error('es.log is empty: the event store was not set up (npm start does; in a cluster run the migration job).');
  return { incarnation, heads: new Map(rows.flatMap((row) => (row.p === null ? [] : [[row.p, row.next_pos ?? 0] as const]))) };
}

/** Events of one stream after a version, up to a position, in order. */
export async function readStream(
  pool: Pool,
  at: { readonly partition: number; readonly stream: string; readonly after: number; readonly before: number },
): Promise<readonly LoggedEvent[]> {
  const { rows } = await pool.query<{ pos: number; envelope: string }>({
    name: 'read-stream',
    text: `select pos, envelope::text as envelope from es.event where p = $1 and stream_id = $2 and version > $3 and pos < $4 order by version`,
    values: [at.partition, at.stream, at.after, at.before],
  });
  return rows.map((row) => ({ position: row.pos, envelope: JSON.parse(row.envelope) as StoredEvent }));
}

/** Events of one partition from a position on, in order. Envelopes are JSON as stored. */
export async function readLog(pool: Pool, partition: number, from: number, limit: number): Promise<readonly LoggedEvent[]> {
  const { rows } = await pool.query<{ pos: number; envelope: string }>({
    name: 'read-log',
    text: 'select pos, envelope::text as envelope from es.event where p = $1 and pos >= $2 order by pos limit $3',
    values: [partition, from, limit],
  });
  return rows.map((row) => ({ position: row.pos, envelope: JSON.parse(row.envelope) as StoredEvent }));
}
