import type { StoredEvent } from '@mandate/contracts';
import type { Bus } from '@mandate/messaging';
import type { Health, Logger, Presence } from '@mandate/service-kit';
import type { Pool } from 'pg';
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { beginToServe, behind, type Generation, NoRoom, prepareGenerations, readGenerations, sweepSlots } from '../store/generations.ts';
import { readLogState } from '../store/log.ts';
import { openPool } from '../store/pool.ts';
import { GenerationProjection } from './generation-projection.ts';

export interface ProjectorOptions {
  readonly instance: string;
  readonly bus: Bus;
  readonly presence: Presence;
  readonly log: Logger;
  readonly metrics: Registry;
  /** Role mandate_projector. */
  readonly databaseUrl: string;
  /** Told when other read models are to be asked from now on. */
  readonly onServing: (generation: Generation) => void;
}

const ROUND_MS = 1_000;
const POSTGRES_GONE_MS = 3_500;
const CONTROL_TIMEOUT_MS = 2_000;

/**
 * Projects the generation of read models that serves and, while there is one, the generation that is built beside it;
 * shares the partitions of both with the other instances. The one that was built takes the other's place when it has
 * caught up: every instance asks it from its next round on.
 */
export class Projector {
  readonly #options: ProjectorOptions;
  readonly #control: Pool;
  /** By their ids. */
  readonly #generations = new Map<number, GenerationProjection>();
  readonly #listening: { stop(): void };
  readonly #gauges: ReturnType<typeof gauges>;
  #prepared = false;
  #problem: string | undefined;
  /** By the clock that nobody sets. */
  #lastRound = -Infinity;
  #round: Promise<void> | undefined;
  #timer: NodeJS.Timeout;
  #stopped = false;

  constructor(options: ProjectorOptions) {
    this.#options = options;
    this.#control = openPool(options.databaseUrl, { max: 1, timeoutMs: CONTROL_TIMEOUT_MS, name: 'projector-control' });
    this.#gauges = gauges(options.metrics);
    this.#listening = options.bus.listen('evt.>', (message) => this.#heard(message.subject, message));
    // The one who leaves has freed its leases before it says so.
    options.presence.onBeat((beat) => (beat.service === 'projector' && beat.leaving ? this.#startRound() : undefined));
    this.#timer = setInterval(() => this.#startRound(), ROUND_MS);
    this.#startRound();
  }

  /** Whether Postgres answered lately. An instance without partitions stands by and is ready. */
  ready(): Health {
    const missing = [
      ...(this.#prepared ? [] : ['read schema']),
      ...(this.#problem === undefined ? [] : [this.#problem]),
      ...(performance.now() - this.#lastRound > POSTGRES_GONE_MS ? ['postgres'] : []),
    ];
    return { ok: missing.length === 0, missing };
  }

  /** Resolves after the first complete round, or after `withinMs`. */
  async started(withinMs: number): Promise<void> {
    const deadline = performance.now() + withinMs;
    while (this.#lastRound === -Infinity && performance.now() < deadline) await new Promise((done) => setTimeout(done, 20));
  }

  /** In all read models that there are: those that are built know the stream as well. */
  async decideParked(workflow: string, to: 'retrying' | 'abandoned', by: string): Promise<void> {
    await Promise.all([...this.#generations.values()].map((each) => each.decideParked(workflow, to, by)));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    this.#listening.stop();
    await this.#round;
    await Promise.all([...this.#generations.values()].map((generation) => generation.stop()));
    await this.#control.end();
  }

  #startRound(): void {
    if (this.#round !== undefined || this.#stopped) return;
    this.#round = this.#oneRound()
      .catch((error: unknown) => {
        if (error instanceof NoRoom) this.#problem = error.message;
        this.#options.log.warn({ err: error }, 'a round of leases failed; trying again');
      })
      .finally(() => (this.#round = undefined));
  }

  async #oneRound(): Promise<void> {
    const { serving, building } = this.#prepared ? await readGenerations(this.#control) : await prepareGenerations(this.#control);
    this.#prepared = true;
    // Until the first one has caught up it answers as far as it is.
    const asked = serving ?? building;
    this.#problem = asked === undefined ? 'read models: a newer build has taken their place' : undefined;
    this.#work([serving, building].filter((each) => each !== undefined));
    await Promise.all([...this.#generations.values()].map((each) => each.share()));
    if (asked !== undefined) this.#options.onServing(asked);
    await this.#observe(asked);
    if (building !== undefined) await this.#finish(building);
    await sweepSlots(this.#control);
    this.#lastRound = performance.now();
  }

  #work(wanted: readonly Generation[]): void {
    const { databaseUrl, instance, log } = this.#options;
    for (const [id, each] of this.#generations) {
      if (wanted.some((generation) => generation.id === id)) continue;
      this.#generations.delete(id);
      void each.stop();
    }
    for (const generation of wanted) {
      if (this.#generations.has(generation.id)) continue;
      const onApplied = (events: number): void => this.#applied(events);
      this.#generations.set(generation.id, new GenerationProjection({ databaseUrl, generation, instance, log, onApplied }));
    }
  }

  async #observe(asked: Generation | undefined): Promise<void> {
    const before = new Map([...this.#generations].map(([id, each]) => [id, each.progress()]));
    const state = await readLogState(this.#control);
    this.#gauges.lag.reset();
    for (const [id, each] of this.#generations) {
      const lags = each.observe(state, before.get(id) ?? new Map());
      if (id === asked?.id) for (const [partition, lag] of lags) this.#gauges.lag.set({ partition }, lag);
    }
  }

  async #finish(building: Generation): Promise<void> {
    const left = await behind(this.#control, building);
    this.#gauges.rebuild.set(left);
    if (left > 0) return;
    await beginToServe(this.#control, building);
    this.#options.log.info({ generation: building.id }, 'read models have caught up and serve from now on');
    this.#options.onServing(building);
  }

  #applied(events: number): void {
    this.#gauges.applied.inc(events);
    this.#gauges.batch.observe(events);
  }

  #heard(subject: string, message: { json<T>(): T }): void {
    const told = parseTold(message);
    if (told === undefined) return;
    for (const generation of this.#generations.values()) generation.hear(partitionIn(subject), told);
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
  rebuild: new Gauge({
    name: 'mandate_rebuild_left_events',
    help: 'Events that read models which are being built have to apply until they may serve.',
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
