import { subjects, TYPES } from '@mandate/contracts';
import { PARTITIONS } from '@mandate/domain';
import type { EventLog } from '@mandate/event-store';
import type { Logger, Presence } from '@mandate/service-kit';
import type { Shared } from './decisions.ts';
import { Partition } from './partition.ts';

const TTL_MS = 2_500;
const EVERY_MS = 500;
/** After a silence everybody has prolonged what is theirs by then: only the leases of the dead are free. */
const SETTLED_AFTER_MS = 1_500;

/**
 * Which partitions this process owns. Every 0.5 s it prolongs its leases, whatever else it is doing, and beside that
 * takes free partitions up to its fair share and gives away what it has beyond it. A lease lasts 2.5 s, so a dead owner's
 * partitions move within 3 s. Whoever gives some back says so, and others take them at once.
 *
 * A process that cannot hear the bus cannot work, though Postgres still hears it: it prolongs nothing, and if there is
 * another one that can, its partitions move there. Otherwise it goes on where it was when the bus is back.
 *
 * The epoch, not the lease, is what keeps two owners from writing.
 */
export class Leases {
  readonly owned = new Map<number, Partition>();
  readonly #log: EventLog;
  readonly #logger: Logger;
  readonly #owner: string;
  readonly #presence: Pick<Presence, 'isDeaf'>;
  #shared: Shared | undefined;
  #listening: { stop(): void } | undefined;
  #timer: NodeJS.Timeout | undefined;
  #keeping: ReturnType<EventLog['keepPartitions']> | undefined;
  #balancing: Promise<void> | undefined;
  #stopped = false;
  /** Something was given back while a turn was running. */
  #again = false;
  #lastGood = -Infinity;
  #lastDeaf = -Infinity;

  constructor(log: EventLog, logger: Logger, presence: Pick<Presence, 'isDeaf'>, owner: string) {
    this.#log = log;
    this.#logger = logger;
    this.#presence = presence;
    this.#owner = owner;
  }

  /** `slot`: the place that this process was started in, when its supervisor gives places (MANDATE_SLOT). */
  async start(shared: Shared, slot: string | undefined): Promise<void> {
    this.#shared = shared;
    if (slot !== undefined) await this.#log.succeed(this.#owner, slot);
    this.#listening = shared.bus.listen(subjects.partitionsFree(), () => this.#look());
    this.#timer = setInterval(() => void this.#turn(), EVERY_MS);
    await this.#turn();
    await this.#balancing;
  }

  /** What keeps this process from working. */
  get missing(): readonly string[] {
    if (this.#presence.isDeaf) return ['nats: nothing is heard'];
    return performance.now() - this.#lastGood < 4_000 ? [] : ['postgres'];
  }

  /** An append was fenced: some partition has another owner. The store says which. */
  fenced(): void {
    void this.#turn();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    this.#listening?.stop();
    // Its answer makes this process a member: it comes before the resignation.
    await this.#keeping?.catch(() => undefined);
    await this.#balancing;
    // First, so that the others have room for what is given back.
    await this.#log.resign(this.#owner).catch(() => undefined);
    await this.#giveBack([...this.owned.keys()]);
    await this.#log.leave(this.#owner).catch(() => undefined);
  }

  #look(): void {
    this.#again = this.#keeping !== undefined || this.#balancing !== undefined;
    if (!this.#again) void this.#turn();
  }

  #lookAgain(): void {
    this.#balancing = undefined;
    if (this.#again) this.#look();
  }

  async #turn(): Promise<void> {
    if (this.#stopped || this.#keeping !== undefined) return;
    if (this.#presence.isDeaf) {
      this.#lastDeaf = performance.now();
      return;
    }
    try {
      this.#keeping = this.#keep();
      const kept = await this.#keeping;
      this.#lastGood = performance.now();
      if (this.#stopped) return;
      this.#balancing ??= this.#balance(kept)
        .catch((error: unknown) => this.#logger.warn({ problem: (error as Error).message }, 'partitions not balanced; trying again'))
        .finally(() => this.#lookAgain());
    } catch (error) {
      this.#logger.warn({ problem: (error as Error).message }, 'leases not prolonged; trying again');
    } finally {
      this.#keeping = undefined;
    }
  }

  /** Prolongs what is owned, and brings memory and store to agree. @returns what the store calls ours, and how many owners live */
  async #keep(): ReturnType<EventLog['keepPartitions']> {
    const before = new Set(this.owned.keys());
    const kept = await this.#log.keepPartitions(this.#owner, TTL_MS);
    for (const number of before) if (!kept.owned.includes(number)) this.#lose(number);
    await this.#log.notePublished(
      [...this.owned.values()].map((partition) => ({ partition: partition.number, epoch: partition.epoch, position: partition.published })),
    );
    return kept;
  }

  async #balance({ owned, members }: Awaited<ReturnType<EventLog['keepPartitions']>>): Promise<void> {
    const share = Math.ceil(PARTITIONS / Math.max(1, members));
    await this.#releaseStrays(owned);
    const isSettled = performance.now() - this.#lastDeaf > SETTLED_AFTER_MS;
    if (this.owned.size < share && isSettled) await this.#take(share - this.owned.size);
    if (this.owned.size > share) await this.#giveBack([...this.owned.keys()].slice(share));
  }

  /** What the store calls ours and nobody here works on would otherwise be kept from everybody for ever. */
  async #releaseStrays(owned: readonly number[]): Promise<void> {
    const strays = owned.filter((number) => !this.owned.has(number));
    if (strays.length > 0) await this.#log.releasePartitions(this.#owner, strays);
  }

  #lose(number: number): void {
    const partition = this.owned.get(number);
    if (partition === undefined) return;
    this.owned.delete(number);
    partition.lose();
    this.#logger.warn({ partition: number }, 'partition lost to another owner');
  }

  async #take(wanted: number): Promise<void> {
    const shared = this.#shared;
    if (shared === undefined) return;
    const taken = await this.#log.takePartitions(this.#owner, TTL_MS, wanted);
    await Promise.all(
      taken.map(async (one) => {
        // Somebody had it in between, and this process has not noticed yet.
        this.#lose(one.partition);
        const partition = new Partition(shared, one);
        this.owned.set(one.partition, partition);
        try {
          await partition.start();
        } catch (error) {
          this.#logger.warn({ partition: one.partition, problem: (error as Error).message }, 'partition not started; it is given back');
          await this.#giveBack([one.partition]);
        }
      }),
    );
  }

  /** Each is free as soon as it has finished: none is idle because another one is not done. */
  async #giveBack(numbers: readonly number[]): Promise<void> {
    await Promise.all(numbers.map((number) => this.#giveOneBack(number)));
  }

  /** Stops it, notes how far it published, leaves it to others, and says so. */
  async #giveOneBack(number: number): Promise<void> {
    const partition = this.owned.get(number);
    await partition?.stop();
    if (partition !== undefined) {
      const { epoch, published } = partition;
      await this.#log.notePublished([{ partition: number, epoch, position: published }]).catch(() => undefined);
    }
    this.owned.delete(number);
    await this.#log.releasePartitions(this.#owner, [number]).then(
      () => this.#sayFree(number),
      () => undefined,
    );
  }

  #sayFree(number: number): void {
    const source = `/mandate/orchestrator/${this.#owner}`;
    const message = {
      specversion: '1.0',
      id: `free.${this.#owner}.${number}.${Date.now().toString(36)}`,
      source,
      type: TYPES.partitionsFree,
    };
    this.#shared?.bus.tell(subjects.partitionsFree(), JSON.stringify({ ...message, data: { partitions: [number] } }));
  }
}
