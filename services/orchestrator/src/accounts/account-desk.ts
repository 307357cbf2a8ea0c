import {
  ACCOUNT_EVENT_VERSIONS,
  accountQuestion,
  type AccountReceipt,
  type AccountView,
  allowanceOf,
  type LeaseAnswer,
  type StoredAccountEvent,
  subjects,
  TYPES,
} from '@mandate/contracts';
import {
  type AccountEvent,
  type AccountEventData,
  type AccountInput,
  alertedAt,
  dayOf,
  decideAccount,
  type Decision,
  dueOf,
  evolveAccount,
  hasLimits,
  isActive,
  nextDue,
  partitionOf,
  standingOf,
  usedOf,
} from '@mandate/domain';
import { chain, type EncodedEvent, Fenced } from '@mandate/event-store';
import { crashPoint } from '@mandate/service-kit';
import { Clock } from '../clock.ts';
import type { Shared } from '../decisions.ts';
import { type Cause, eventId } from '../encode-decision.ts';
import type { Relay } from '../relay.ts';
import { Superseded } from '../workflow-memory.ts';
import { AccountMemory, type HeldAccount } from './account-memory.ts';
import type { AccountMessage } from './account-message.ts';

/** How often the standing of all accounts is said again: a process that is new knows it within this time. */
const SAID_EVERY_MS = 1_000;
const AGAIN_MS = 400;

/**
 * The accounts of one partition in the hands of its owner: load, decide, append, answer. As with workflows nothing
 * leaves the process before its commit, and whoever got no answer asks again.
 */
export class AccountDesk {
  readonly #shared: Shared;
  readonly #partition: number;
  readonly #epoch: number;
  readonly #incarnation: string;
  readonly #relay: Relay;
  readonly #memory: AccountMemory;
  readonly #clock: Clock;
  readonly #isLost: () => boolean;
  readonly #onDoubt: (position: number) => void;
  /** By tenant, as committed: what is told. An account that has to be read again keeps its entry until then. */
  readonly #standing = new Map<string, { readonly frozen: boolean; readonly limited: boolean }>();
  /** Tenants whose commit broke off. */
  readonly #doubtful = new Set<string>();
  #saying: NodeJS.Timeout | undefined;
  #answering: { stop(): void } | undefined;

  constructor(
    shared: Shared,
    partition: { readonly number: number; readonly epoch: number; readonly incarnation: string },
    parts: { readonly relay: Relay; readonly isLost: () => boolean; readonly onDoubt: (position: number) => void },
  ) {
    this.#shared = shared;
    this.#partition = partition.number;
    this.#epoch = partition.epoch;
    this.#incarnation = partition.incarnation;
    this.#relay = parts.relay;
    this.#isLost = parts.isLost;
    this.#onDoubt = parts.onDoubt;
    this.#memory = new AccountMemory(partition.number, shared.log);
    this.#clock = new Clock((id) => void this.#wake(id));
  }

  /** Takes over what the predecessor guarded, and says so. */
  async start(): Promise<void> {
    for (const held of await this.#memory.loadOpen()) {
      this.#list(held);
      this.#setClock(held);
    }
    if (this.#isLost()) return;
    this.#say();
    this.#saying = setInterval(() => this.#tick(), SAID_EVERY_MS);
    const subject = subjects.query('orchestrator', `account-${this.#partition}`);
    this.#answering = this.#shared.bus.answer(subject, 'owner', async (message) => {
      const { tenant } = accountQuestion.parse(message.json());
      const held = await this.#memory.get(tenant);
      await held.committed;
      this.#memory.forgetIdle(held);
      return { ok: true, value: this.#view(held) };
    });
  }

  stop(): void {
    clearInterval(this.#saying);
    this.#answering?.stop();
    this.#clock.stop();
  }

  /** Everything that is being committed, has been. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.#memory.all].map((held) => held.committed));
  }

  async handle({ tenant, input, cause }: Extract<AccountMessage, { kind: 'account' }>): Promise<void> {
    const held = await this.#memory.get(tenant);
    const { decision, done } = this.#decide(held, input, cause);
    await done;
    if (input.kind === 'ask') this.#answerAsk(held, input.ask.lease, decision);
    if (input.kind === 'define' || input.kind === 'freeze' || input.kind === 'thaw') this.#receipt(held, input.request, decision, cause);
    this.#memory.forgetIdle(held);
  }

  #decide(
    held: HeldAccount,
    input: AccountInput,
    cause: Cause,
  ): { readonly decision: Decision<AccountEvent>; readonly done: Promise<unknown> } {
    if (held.superseded) throw new Superseded(`${held.id} was read again`);
    const now = Date.now();
    const before = held.state;
    const decision = decideAccount(input, before, { now });
    if (decision.kind !== 'events') return { decision, done: held.committed };
    const at = Math.max(before.at, now);
    const encoded = this.#encode(held, decision.events, cause, at);
    held.state = decision.events.reduce((state, event) => evolveAccount(state, event, at), before);
    crashPoint(`orchestrator:before-commit:account-${input.kind}`);
    const write = {
      partition: this.#partition,
      stream: held.id,
      tenant: held.tenant,
      expectedVersion: before.version,
      events: encoded,
      headHash: held.headHash,
      open: isActive(held.state),
    };
    const committed = this.#shared.lane.commit(write, this.#epoch);
    const done = committed.then(
      (position) => {
        crashPoint(`orchestrator:after-commit:account-${input.kind}`);
        this.#committed(held, decision.events, encoded, position);
      },
      (error: Error) => {
        this.#memory.discard(held);
        this.#doubtful.add(held.tenant);
        if (!(error instanceof Fenced)) this.#onDoubt(this.#relay.suspect());
        throw error;
      },
    );
    held.committed = done;
    done.catch(() => undefined);
    return { decision, done };
  }

  #encode(held: HeldAccount, events: readonly AccountEvent[], cause: Cause, at: number): readonly EncodedEvent[] {
    const first = held.state.version + 1;
    return events.map((event, index): EncodedEvent => {
      const version = first + index;
      const schema = ACCOUNT_EVENT_VERSIONS[event.type];
      const envelope: StoredAccountEvent = {
        id: eventId(held.id, version),
        type: event.type,
        schema,
        stream: held.id,
        version,
        tenant: held.tenant,
        at,
        actor: cause.actor,
        causation: index === 0 ? cause.causation : eventId(held.id, first),
        correlation: cause.causation,
        ...(cause.traceparent === undefined ? {} : { trace: cause.traceparent }),
        data: event.data,
      } as StoredAccountEvent;
      const bytes = JSON.stringify(envelope);
      held.headHash = chain(held.headHash, bytes);
      return { version, type: event.type, schema, at, envelope: bytes, hash: held.headHash };
    });
  }

  /** What a commit sets free: events, answers to whoever was served by it, and the news of a freeze. */
  #committed(held: HeldAccount, events: readonly AccountEvent[], encoded: readonly EncodedEvent[], position: number): void {
    if (this.#isLost()) return;
    this.#relay.publish(held.tenant, held.id, position, encoded);
    this.#list(held);
    if (events.some((event) => event.type.startsWith('account.') && event.type !== 'account.timer_fired')) this.#say();
    for (const event of events) {
      if (event.type === 'lease.granted' || event.type === 'lease.refused')
        this.#answer(held, event.data.lease, answerOf(held, event.data.lease));
      if (event.type === 'budget.alerted') this.#alert(held, event.data);
    }
    this.#setClock(held);
  }

  /** A repeated ask, or one that was refused without being recorded. What was just decided was answered with its commit. */
  #answerAsk(held: HeldAccount, lease: string, decision: Decision<AccountEvent>): void {
    if (decision.kind === 'refused')
      this.#answer(held, lease, { lease, granted: false, code: decision.refusal.code, message: decision.refusal.message });
    if (decision.kind === 'nothing') this.#answer(held, lease, answerOf(held, lease));
  }

  #answer({ tenant }: HeldAccount, lease: string, answer: LeaseAnswer | undefined): void {
    if (answer === undefined) return;
    const allowance = allowanceOf(lease);
    const id = `${lease}.answer.${Date.now().toString(36)}`;
    const message = this.#enveloped(TYPES.leaseAnswer, id, answer, tenant);
    if (allowance === undefined) return this.#shared.bus.tell(subjects.lease(lease.slice(0, lease.lastIndexOf('_'))), message);
    const inbox = subjects.inbox(partitionOf(allowance.workflow) ?? 0, 'orchestrator', tenant);
    this.#shared.bus
      .publish(inbox, message, { id })
      .catch((error: Error) => this.#shared.logger.warn({ lease, problem: error.message }, 'lease not answered; it will be asked again'));
  }

  #alert({ tenant }: HeldAccount, alert: AccountEventData<'budget.alerted'>): void {
    this.#shared.meters.alerted(alert);
    this.#shared.logger.warn({ tenant, ...alert }, 'budget alerted');
  }

  #receipt(held: HeldAccount, request: string, decision: Decision<AccountEvent>, cause: Cause): void {
    const receipt: AccountReceipt =
      decision.kind === 'refused'
        ? { request, accepted: false, code: decision.refusal.code, message: decision.refusal.message, next: decision.refusal.next }
        : { request, accepted: true, account: this.#view(held) };
    const message = this.#enveloped(TYPES.accountReceipt, `${request}.receipt`, receipt, held.tenant, cause.message);
    this.#shared.bus.tell(subjects.out(held.tenant, request), message);
  }

  #enveloped(type: string, id: string, data: unknown, tenant: string, causationid?: string): string {
    return JSON.stringify({
      specversion: '1.0',
      id,
      source: `/mandate/orchestrator/${this.#shared.instance}`,
      type,
      time: new Date().toISOString(),
      tenant,
      causationid,
      data,
    });
  }

  #view({ tenant, state }: HeldAccount): AccountView {
    const today = dayOf(Date.now());
    return {
      tenant,
      version: state.version,
      frozen: state.frozen,
      platformFrozen: this.#shared.standings.isPlatformFrozen,
      budgets: state.budgets.map((budget) => {
        const used = usedOf(state.meters, budget, today);
        const leftMicroUsd = Math.max(0, budget.limitMicroUsd - used.spentMicroUsd - used.leasedMicroUsd);
        const alerted = alertedAt(state.alerts, budget, today);
        return { ...budget, ...used, leftMicroUsd, ...(alerted === undefined ? {} : { alertedAt: alerted }) };
      }),
      slots: state.slots,
      slotsTaken: state.slotsTaken,
      leases: state.leases.size,
      waiting: state.waiting.length,
    };
  }

  #list({ tenant, state }: HeldAccount): void {
    this.#doubtful.delete(tenant);
    const limited = hasLimits(state);
    if (state.frozen || limited) this.#standing.set(tenant, { frozen: state.frozen, limited });
    else this.#standing.delete(tenant);
  }

  /** Every second: accounts whose commit broke off are read again, and the standing of all is said again. */
  #tick(): void {
    for (const tenant of this.#doubtful) {
      Promise.resolve(this.#memory.get(tenant))
        .then(async (held) => {
          await held.committed;
          this.#list(held);
          this.#setClock(held);
        })
        .catch((error: unknown) => this.#shared.logger.debug({ tenant, problem: (error as Error).message }, 'account later again'));
    }
    this.#say();
  }

  #say(): void {
    if (this.#isLost()) return;
    const named = (which: 'frozen' | 'limited'): string[] => [...this.#standing].flatMap(([tenant, each]) => (each[which] ? [tenant] : []));
    const standing = {
      partition: this.#partition,
      epoch: this.#epoch,
      incarnation: this.#incarnation,
      frozen: named('frozen'),
      limited: named('limited'),
    };
    this.#shared.standings.take(standing);
    const message = { specversion: '1.0', id: `standing.${this.#partition}`, source: `/mandate/orchestrator/${this.#shared.instance}` };
    this.#shared.bus.tell(subjects.standing(), JSON.stringify({ ...message, type: TYPES.accountsStanding, data: standing }));
  }

  #setClock(held: HeldAccount): void {
    const next = nextDue(held.state);
    if (next >= held.dueAt) return;
    held.dueAt = next;
    this.#clock.set(held.id, next);
  }

  /** Some lease or ask is over. */
  async #wake(id: string): Promise<void> {
    const held = this.#memory.byId(id);
    if (held === undefined || this.#isLost()) return;
    held.dueAt = Infinity;
    try {
      const { leases, waiting } = dueOf(held.state, Date.now());
      const actor = `service/orchestrator/${this.#shared.instance}`;
      const causation = leases[0]?.ask.lease ?? waiting[0]?.lease ?? id;
      await this.#decide(held, { kind: 'timer' }, { actor, causation, traceparent: undefined }).done;
      this.#setClock(held);
      this.#memory.forgetIdle(held);
    } catch (error) {
      if (error instanceof Fenced) return this.#shared.onFenced();
      this.#shared.logger.warn({ account: id, problem: (error as Error).message }, 'expiry not stored; it is tried again');
      if (!this.#isLost()) this.#clock.set(id, Date.now() + AGAIN_MS);
    }
  }
}

function answerOf({ state }: HeldAccount, lease: string): LeaseAnswer | undefined {
  const standing = standingOf(state, lease);
  if (standing.kind === 'refused') return { lease, granted: false, code: standing.refusal.code, message: standing.refusal.message };
  if (standing.kind !== 'granted') return undefined;
  const { kind: _, ...granted } = standing;
  return { lease, granted: true, ...granted };
}
