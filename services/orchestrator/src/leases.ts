import { PARTITIONS } from '@mandate/domain';
import type { EventLog } from '@mandate/event-store';
import type { Logger } from '@mandate/service-kit';
import type { Shared } from './decisions.ts';
import { Partition } from './partition.ts';

const TTL_MS = 3_000;
const EVERY_MS = 700;

/**
 * Which partitions this process owns. Every 0.7 s it prolongs its leases, whatever else it is doing, and beside that
 * takes free partitions up to its fair share and gives away what it has beyond it. A lease lasts 3 s, so a dead owner's partitions move within 4 s; a stopping
 * owner gives them back at once. The epoch, not the lease, is what keeps two owners from writing.
 */
export class Leases {
  readonly owned = new Map<number, Partition>();
  /** Epoch of every owned partition: what the commit lane writes under. */
  readonly epochs = new Map<number, number>();
  readonly #log: EventLog;
  readonly #logger: Logger;
  readonly #owner: string;
  #shared: Shared | undefined;
  #timer: NodeJS.Timeout | undefined;
  #keeping: ReturnType<EventLog['keepPartitions']> | undefined;
  #balancing: Promise<void> | undefined;
  #stopped = false;
  #lastGood = -Infinity;

  constructor(log: EventLog, logger: Logger, owner: string) {
    this.#log = log;
    this.#logger = logger;
    this.#owner = owner;
  }

  /** `slot`: the place that this process was started in, when its supervisor gives places (MANDATE_SLOT). */
  async start(shared: Shared, slot: string | undefined): Promise<void> {
    this.#shared = shared;
    if (slot !== undefined) await this.#log.succeed(this.#owner, slot);
    this.#timer = setInterval(() => void this.#turn(), EVERY_MS);
    await this.#turn();
    await this.#balancing;
  }

  /** Whether the store answered lately. */
  get healthy(): boolean {
    return performance.now() - this.#lastGood < 4_000;
  }

  /** An append was fenced: some partition has another owner. The store says which. */
  fenced(): void {
    void this.#turn();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    await this.#balancing;
    await this.#giveBack([...this.owned.keys()]);
    await this.#log.leave(this.#owner).catch(() => undefined);
  }

  async #turn(): Promise<void> {
    if (this.#stopped || this.#keeping !== undefined) return;
    try {
      this.#keeping = this.#keep();
      const kept = await this.#keeping;
      this.#lastGood = performance.now();
      this.#balancing ??= this.#balance(kept)
        .catch((error: unknown) => this.#logger.warn({ problem: (error as Error).message }, 'partitions not balanced; trying again'))
        .finally(() => (this.#balancing = undefined));
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
    if (this.owned.size < share) await this.#take(share - this.owned.size);
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
    this.epochs.delete(number);
    partition.lose();
    this.#logger.warn({ partition: number }, 'partition lost to another owner');
  }

  async #take(wanted: number): Promise<void> {
    const shared = this.#shared;
    if (shared === undefined) return;
    const taken = await this.#log.takePartitions(this.#owner, TTL_MS, wanted);
    await Promise.all(
      taken.map(async (one) => {
        const partition = new Partition(shared, one);
        this.owned.set(one.partition, partition);
        this.epochs.set(one.partition, one.epoch);
        try {
          await partition.start();
        } catch (error) {
          this.#logger.warn({ partition: one.partition, problem: (error as Error).message }, 'partition not started; it is given back');
          await this.#giveBack([one.partition]);
        }
      }),
    );
  }

  /** Stops them one and all, notes how far they published, and leaves them to others. */
  async #giveBack(numbers: readonly number[]): Promise<void> {
    const partitions = numbers.flatMap((number) => this.owned.get(number) ?? []);
    await Promise.all(partitions.map((partition) => partition.stop()));
    await this.#log
      .notePublished(
        partitions.map((partition) => ({ partition: partition.number, epoch: partition.epoch, position: partition.published })),
      )
      .catch(() => undefined);
    for (const number of numbers) {
      this.owned.delete(number);
      this.epochs.delete(number);
    }
    await this.#log.releasePartitions(this.#owner, numbers).catch(() => undefined);
  }
}
