import { PARTITIONS } from '@mandate/domain';
import type { Pool } from 'pg';

/** A lease that is not renewed for this long is free: takeover after a kill is this plus one round of renewing. */
const LEASE_MS = 3_000;

/** How many partitions each of so many live instances should hold. */
export const fairShare = (members: number, partitions: number = PARTITIONS): number => Math.ceil(partitions / Math.max(1, members));

/**
 * Renews this instance's leases, gives back what exceeds its fair share and takes free ones up to it; by Postgres's clock.
 * Leases only share the work out; that nothing is applied twice is up to the checkpoint.
 *
 * @param most instead of the fair share
 * @returns the partitions that this instance holds now
 */
export async function renewLeases(pool: Pool, instance: string, most?: number): Promise<ReadonlySet<number>> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    await client.query(
      `insert into member (instance, until) values ($1, clock_timestamp() + $2 * interval '1 ms') on conflict (instance) do update set until = excluded.until`,
      [instance, LEASE_MS],
    );
    const members = await client.query<{ live: number }>('select count(*)::int as live from member where until > clock_timestamp()');
    const share = most ?? fairShare(members.rows[0]?.live ?? 1);
    const renewed = await client.query<{ p: number }>(
      `update lease set until = clock_timestamp() + $2 * interval '1 ms' where owner = $1 returning p`,
      [instance, LEASE_MS],
    );
    const held = renewed.rows.map((row) => row.p).sort((a, b) => a - b);
    const surplus = held.splice(share);
    if (surplus.length > 0)
      await client.query(`update lease set owner = null, until = '-infinity' where owner = $1 and p = any($2)`, [instance, surplus]);
    const taken = await client.query<{ p: number }>(
      `update lease set owner = $1, until = clock_timestamp() + $2 * interval '1 ms'
       where p in (select p from lease where (owner is null or until < clock_timestamp()) and p <> all($4) order by p limit $3 for update skip locked) returning p`,
      [instance, LEASE_MS, share - held.length, surplus],
    );
    await client.query('commit');
    return new Set([...held, ...taken.rows.map((row) => row.p)]);
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw error;
  } finally {
    client.release();
  }
}

/** Frees everything that an instance holds, so that others take it at once. Also forgets instances that are long gone. */
export async function leaveLeases(pool: Pool, instance: string): Promise<void> {
  await pool.query(`update lease set owner = null, until = '-infinity' where owner = $1`, [instance]);
  await pool.query(`delete from member where instance = $1 or until < clock_timestamp() - interval '1 hour'`, [instance]);
}
