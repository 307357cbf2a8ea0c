import type { Logger } from '@mandate/service-kit';
import type { Pool } from 'pg';
import { leaveLeases, seizeLeases } from './partitions/leases.ts';
import { PartitionProjection } from './partitions/partition-projection.ts';
import { readLogState } from './store/log.ts';
import { migrateReadSchema } from './store/migrate.ts';
import { clearAll } from './store/read-store.ts';

const HOLD_MS = 10_000;

export interface Rebuilt {
  readonly events: number;
  readonly ms: number;
}

/**
 * Empties the read models and applies the log again, up to where it stands now. The same log makes the same rows.
 * Running projectors stand by meanwhile and go on afterwards; queries are answered from what is there.
 */
export async function rebuild(pool: Pool, log: Logger): Promise<Rebuilt> {
  const started = performance.now();
  const owner = `rebuild-${process.pid}`;
  await migrateReadSchema(pool);
  await seizeLeases(pool, owner, HOLD_MS);
  const holding = setInterval(() => void seizeLeases(pool, owner, HOLD_MS).catch(() => undefined), HOLD_MS / 4);
  const { incarnation, heads } = await readLogState(pool);
  try {
    await clearAll(pool, incarnation, heads);
    const partitions = [...heads.keys()].map((partition) => new PartitionProjection({ partition, pool, log, onApplied: () => undefined }));
    while (!partitions.every((each) => (each.next ?? -1) >= (heads.get(each.partition) ?? 0)))
      await new Promise((done) => setTimeout(done, 10));
    await Promise.all(partitions.map((each) => each.stop()));
  } finally {
    clearInterval(holding);
    await leaveLeases(pool, owner);
  }
  return { events: [...heads.values()].reduce((sum, head) => sum + head, 0), ms: Math.round(performance.now() - started) };
}
