import type { StoredEvent } from '@mandate/contracts';
import type { Logger } from '@mandate/service-kit';
import type { Pool } from 'pg';
import type { Generation } from '../store/generations.ts';
import type { LogState } from '../store/log.ts';
import { openPool } from '../store/pool.ts';
import { decideParked } from '../store/read-store.ts';
import { leaveLeases, renewLeases } from './leases.ts';
import { PartitionProjection } from './partition-projection.ts';

/** A statement may carry a thousand events. */
const WRITE_TIMEOUT_MS = 15_000;
/** Leases are short statements that must not wait behind batches. */
const CONTROL_TIMEOUT_MS = 2_000;

export interface GenerationOptions {
  readonly databaseUrl: string;
  readonly generation: Generation;
  readonly instance: string;
  /** Partitions that it takes at most; default: its fair share. */
  readonly most?: number;
  readonly log: Logger;
  /** Told after every committed batch. */
  readonly onApplied: (events: number) => void;
}

/** Projects one generation of read models: the partitions whose leases this instance holds in it. */
export class GenerationProjection {
  readonly generation: Generation;
  readonly #options: GenerationOptions;
  readonly #pool: Pool;
  readonly #control: Pool;
  readonly #partitions = new Map<number, PartitionProjection>();
  #stopped = false;

  constructor(options: GenerationOptions) {
    this.#options = options;
    this.generation = options.generation;
    const { databaseUrl, generation } = options;
    this.#pool = openPool(databaseUrl, { max: 3, timeoutMs: WRITE_TIMEOUT_MS, name: 'projector', slot: generation.slot, readsLog: true });
    this.#control = openPool(databaseUrl, { max: 1, timeoutMs: CONTROL_TIMEOUT_MS, name: 'projector-leases', slot: generation.slot });
  }

  /** Renews leases, takes and gives back partitions. */
  async share(): Promise<void> {
    const held = await renewLeases(this.#control, this.#options.instance, this.#options.most);
    const { log, onApplied } = this.#options;
    for (const [p, partition] of this.#partitions) {
      if (held.has(p)) continue;
      this.#partitions.delete(p);
      // Not waited for: renewing must go on, and the checkpoint settles who wrote first.
      void partition.stop();
    }
    for (const p of held) {
      if (this.#partitions.has(p) || this.#stopped) continue;
      this.#partitions.set(p, new PartitionProjection({ partition: p, pool: this.#pool, log, onApplied }));
    }
  }

  /** How far its partitions are: the next position of each, as far as it is known. */
  progress(): ReadonlyMap<number, number> {
    return new Map([...this.#partitions].flatMap(([p, { next }]) => (next === undefined ? [] : [[p, next] as const])));
  }

  /**
   * Where the log stood after the partitions were at `before`.
   * @returns events that are still to be applied, by partition
   */
  observe({ incarnation, heads }: LogState, before: ReadonlyMap<number, number>): ReadonlyMap<number, number> {
    const lags = new Map<number, number>();
    for (const [p, partition] of this.#partitions) {
      const next = before.get(p);
      if (next === undefined) continue;
      const head = heads.get(p) ?? 0;
      partition.observe(incarnation, head, next);
      lags.set(p, Math.max(0, head - next));
    }
    return lags;
  }

  /** An event as the bus told it, after its commit. */
  hear(partition: number, told: { readonly incarnation: string; readonly position: number; readonly data: StoredEvent }): void {
    this.#partitions.get(partition)?.hear(told.incarnation, told.position, told.data);
  }

  /** Somebody decides about a parked stream. Its owner, in whatever process, sees it in its next round. */
  async decideParked(workflow: string, to: 'retrying' | 'abandoned', by: string): Promise<void> {
    await decideParked(this.#control, workflow, to, by);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all([...this.#partitions.values()].map((partition) => partition.stop()));
    await leaveLeases(this.#control, this.#options.instance).catch(() => undefined);
    await Promise.all([this.#pool.end(), this.#control.end()]);
  }
}
