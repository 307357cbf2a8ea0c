import type { StoredEvent } from '@mandate/contracts';
import type { Bus } from '@mandate/messaging';
import type { Health, Logger, Presence } from '@mandate/service-kit';
import type { Pool } from 'pg';
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { readLogState } from '../store/log.ts';
import { migrateReadSchema } from '../store/migrate.ts';
import { leaveLeases, renewLeases } from './leases.ts';
import { PartitionProjection } from './partition-projection.ts';

export interface ProjectorOptions {
  readonly instance: string;
  readonly bus: Bus;
  readonly presence: Presence;
  readonly log: Logger;
  readonly metrics: Registry;
  /** For reading the log and writing the read models. */
  readonly pool: Pool;
  /** For leases and the log's heads: short statements that must not wait behind batches. */
  readonly control: Pool;
}

const ROUND_MS = 1_000;
const POSTGRES_GONE_MS = 3_500;

/** Projects the partitions whose leases this instance holds, and shares them with the other instances. */
export class Projector {
  readonly #options: ProjectorOptions;
  readonly #partitions = new Map<number, PartitionProjection>();
  readonly #listening: { stop(): void };
  readonly #gauges: ReturnType<typeof gauges>;
  #prepared = false;
  #lastRound = 0;
  #round: Promise<void> | undefined;
  #timer: NodeJS.Timeout;
  #stopped = false;

  constructor(options: ProjectorOptions) {
    this.#options = options;
    this.#gauges = gauges(options.metrics);
    this.#listening = options.bus.listen('evt.>', (message) => this.#heard(message.subject, message));
    // The one who leaves has freed its leases before it says so.
    options.presence.onBeat((beat) => (beat.service === 'projector' && beat.leaving ? this.#startRound() : undefined));
    this.#timer = setInterval(() => this.#startRound(), ROUND_MS);
    this.#startRound();
  }

  /** Whether Postgres answered lately. An instance without partitions stands by and is ready. */
  ready(): Health {
    const missing = [...(this.#prepared ? [] : ['read schema']), ...(Date.now() - this.#lastRound > POSTGRES_GONE_MS ? ['postgres'] : [])];
    return { ok: missing.length === 0, missing };
  }

  /** Resolves after the first complete round, or after `withinMs`. */
  async started(withinMs: number): Promise<void> {
    const deadline = performance.now() + withinMs;
    while (this.#lastRound === 0 && performance.now() < deadline) await new Promise((done) => setTimeout(done, 20));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    this.#listening.stop();
    await this.#round;
    await Promise.all([...this.#partitions.values()].map((partition) => partition.stop()));
    await leaveLeases(this.#options.control, this.#options.instance).catch(() => undefined);
  }

  #startRound(): void {
    if (this.#round !== undefined || this.#stopped) return;
    this.#round = this.#oneRound()
      .catch((error: unknown) => this.#options.log.warn({ err: error }, 'a round of leases failed; trying again'))
      .finally(() => (this.#round = undefined));
  }

  async #oneRound(): Promise<void> {
    const { control, instance } = this.#options;
    if (!this.#prepared) await migrateReadSchema(control);
    this.#prepared = true;
    const held = await renewLeases(control, instance);
    this.#own(held);
    const before = new Map([...this.#partitions].map(([p, partition]) => [p, partition.next]));
    const state = await readLogState(control);
    this.#gauges.lag.reset();
    for (const [p, partition] of this.#partitions) {
      const next = before.get(p);
      if (next === undefined) continue;
      const head = state.heads.get(p) ?? 0;
      partition.observe(state.incarnation, head, next);
      this.#gauges.lag.set({ partition: p }, Math.max(0, head - next));
    }
    this.#lastRound = Date.now();
  }

  #own(held: ReadonlySet<number>): void {
    const { pool, log } = this.#options;
    for (const [p, partition] of this.#partitions) {
      if (held.has(p)) continue;
      this.#partitions.delete(p);
      // Not waited for: renewing must go on, and the checkpoint settles who wrote first.
      void partition.stop();
    }
    for (const p of held) {
      if (this.#partitions.has(p) || this.#stopped) continue;
      this.#partitions.set(p, new PartitionProjection({ partition: p, pool, log, onApplied: (events) => this.#applied(events) }));
    }
  }

  #applied(events: number): void {
    this.#gauges.applied.inc(events);
    this.#gauges.batch.observe(events);
  }

  #heard(subject: string, message: { json<T>(): T }): void {
    const partition = this.#partitions.get(partitionIn(subject));
    if (partition === undefined) return;
    const told = parseTold(message);
    if (told !== undefined) partition.hear(told.incarnation, told.position, told.data);
  }
}

/** `evt.<p>.…` */
const partitionIn = (subject: string): number => Number(subject.slice(4, subject.indexOf('.', 4)));

interface Told {
  readonly incarnation: string;
  readonly position: number;
  readonly data: StoredEvent;
}

/** Only the orchestrator may publish here. What cannot be read is not lost: the log has it. */
function parseTold(message: { json<T>(): T }): Told | undefined {
  try {
    const told = message.json<Told>();
    return Number.isInteger(told.position) && typeof told.data === 'object' ? told : undefined;
  } catch {
    return undefined;
  }
}

const gauges = (metrics: Registry) => ({
  lag: new Gauge({
    name: 'mandate_projection_lag_events',
    help: 'Events of the log that are not yet in the read models.',
    labelNames: ['partition'],
    registers: [metrics],
  }),
  applied: new Counter({
    name: 'mandate_projection_applied_events_total',
    help: 'Events applied to the read models.',
    registers: [metrics],
  }),
  batch: new Histogram({
    name: 'mandate_projection_batch_events',
    help: 'Events written by one statement.',
    buckets: [1, 3, 10, 30, 100, 300, 1_000],
    registers: [metrics],
  }),
});
