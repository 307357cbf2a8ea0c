import {
  accountPartition,
  accountsStanding,
  type AccountsStanding,
  parseCloudEvent,
  parseMessage,
  PLATFORM,
  subjects,
  TYPES,
} from '@mandate/contracts';
import type { Bus } from '@mandate/messaging';

/** A new process waits this long at most for the first word of an account's owner, who speaks every second. */
const HEARD_WITHIN_MS = 2_500;

interface Heard {
  readonly epoch: number;
  readonly incarnation: string;
  readonly frozen: ReadonlySet<string>;
  readonly limited: ReadonlySet<string>;
}

/**
 * Which accounts are frozen and which have limits, as their owners say it. A freeze holds until its owner says that it is
 * over: an owner that is gone is not an owner that thawed.
 */
export class Standings {
  readonly #heard = new Map<number, Heard>();
  readonly #listening: { stop(): void };
  readonly #since = performance.now();
  readonly #waiting = new Set<() => void>();
  readonly #listeners: (() => void)[] = [];

  constructor(bus: Bus) {
    this.#listening = bus.listen(subjects.standing(), (message) => {
      const event = parseCloudEvent(message.data);
      const parsed = event.ok ? parseMessage(event.value, TYPES.accountsStanding, accountsStanding) : event;
      if (parsed.ok) this.take(parsed.value);
    });
  }

  /** Takes over what an owner says of its partition. A former owner, who may still believe in itself, is not listened to. */
  take(said: AccountsStanding): void {
    const known = this.#heard.get(said.partition);
    if (known !== undefined && known.incarnation === said.incarnation && known.epoch > said.epoch) return;
    this.#heard.set(said.partition, { ...said, frozen: new Set(said.frozen), limited: new Set(said.limited) });
    for (const go of this.#waiting) go();
    for (const listener of this.#listeners) listener();
  }

  /** Whether nothing may be spent for this tenant, as far as was heard. */
  isFrozen(tenant: string): boolean {
    return this.isPlatformFrozen || this.#of(tenant)?.frozen.has(tenant) === true;
  }

  get isPlatformFrozen(): boolean {
    return this.#of(PLATFORM)?.frozen.has(PLATFORM) === true;
  }

  /** Whether the tenant's account has budgets or slots; undefined while its owner was not heard. */
  isLimited(tenant: string): boolean | undefined {
    return this.#of(tenant)?.limited.has(tenant);
  }

  /** Resolves when both owners were heard who can freeze this tenant; in a process that is new, after 2.5 s in any case. */
  async heard(tenant: string): Promise<void> {
    const isKnown = (): boolean => this.#of(tenant) !== undefined && this.#of(PLATFORM) !== undefined;
    const leftMs = HEARD_WITHIN_MS - (performance.now() - this.#since);
    if (isKnown() || leftMs <= 0) return;
    const known = Promise.withResolvers<void>();
    const look = (): void => (isKnown() ? known.resolve() : undefined);
    this.#waiting.add(look);
    const timer = setTimeout(known.resolve, leftMs);
    await known.promise;
    clearTimeout(timer);
    this.#waiting.delete(look);
  }

  /** Told after every word of an owner. */
  onWord(listener: () => void): void {
    this.#listeners.push(listener);
  }

  stop(): void {
    this.#listening.stop();
  }

  #of(tenant: string): Heard | undefined {
    return this.#heard.get(accountPartition(tenant));
  }
}
