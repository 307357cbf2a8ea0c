import { accountIdFor, upcastAccountEvent } from '@mandate/contracts';
import { type Account, evolveAccount, isActive, NO_ACCOUNT, startingBefore } from '@mandate/domain';
import type { EventLog } from '@mandate/event-store';

/** An account as its owner holds it. The state runs ahead of the log by what is being committed. */
export interface HeldAccount {
  readonly id: string;
  readonly tenant: string;
  state: Account;
  headHash: Buffer;
  /** Settles with the latest commit. */
  committed: Promise<unknown>;
  /** When its next lease or ask is over, as the clock knows it (epoch ms). */
  dueAt: number;
  /** Thrown away: nothing may be decided on it any more. */
  superseded: boolean;
}

const GENESIS = Buffer.alloc(32);

/** The accounts of one partition that are active, and whatever is being decided about. */
export class AccountMemory {
  readonly #held = new Map<string, HeldAccount>();
  readonly #loading = new Map<string, Promise<HeldAccount>>();
  readonly #log: EventLog;
  readonly #partition: number;

  constructor(partition: number, log: EventLog) {
    this.#partition = partition;
    this.#log = log;
  }

  get(tenant: string): HeldAccount | Promise<HeldAccount> {
    const id = accountIdFor(tenant);
    const held = this.#held.get(id);
    if (held !== undefined) return held;
    const loading = this.#loading.get(id) ?? this.#load(id, tenant).finally(() => this.#loading.delete(id));
    this.#loading.set(id, loading);
    return loading;
  }

  byId(id: string): HeldAccount | undefined {
    return this.#held.get(id);
  }

  /** Every account of the partition that guards something. */
  async loadOpen(): Promise<readonly HeldAccount[]> {
    return Promise.all((await this.#log.openAccounts(this.#partition)).map((id) => this.#load(id)));
  }

  get all(): Iterable<HeldAccount> {
    return this.#held.values();
  }

  /** One that guards nothing can be read again. */
  forgetIdle(held: HeldAccount): void {
    const forget = (): void => (isActive(held.state) ? undefined : this.discard(held));
    if (!isActive(held.state)) held.committed.then(forget, forget);
  }

  discard(held: HeldAccount): void {
    held.superseded = true;
    if (this.#held.get(held.id) === held) this.#held.delete(held.id);
  }

  async #load(id: string, tenant?: string): Promise<HeldAccount> {
    const stored = await this.#log.readAccount(this.#partition, id);
    let state = stored === undefined ? NO_ACCOUNT : startingBefore(stored.events[0]?.event.version ?? 1);
    for (const { event } of stored?.events ?? []) {
      const today = upcastAccountEvent(event);
      state = evolveAccount(state, today, today.at);
    }
    const held: HeldAccount = {
      id,
      tenant: stored?.tenant ?? tenant ?? '',
      state,
      headHash: stored?.events.at(-1)?.hash ?? GENESIS,
      committed: Promise.resolve(),
      dueAt: Infinity,
      superseded: false,
    };
    this.#held.set(id, held);
    return held;
  }
}
