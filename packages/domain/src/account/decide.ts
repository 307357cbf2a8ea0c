import { type Decision, nothing, unreachable } from '../decider.ts';
import { type Refusal, refusal } from '../refusals.ts';
import { type Account, evolveAccount, hasSlot, STALE_ASK_MS } from './account.ts';
import { alertsDue, alertsThatMatter } from './alerts.ts';
import { type Budget, dayOf, isScope, metersThatMatter, tightest } from './budgets.ts';
import type { AccountEvent, CarriedPart, LeaseAsk, LeaseGranted, Settlement } from './events.ts';
import { dueOf } from './pending.ts';
import { entriesOf, getEntry } from './shelves.ts';

/** What an account is told. Facts only. */
export type AccountInput =
  | { readonly kind: 'define'; readonly request: string; readonly budgets: readonly Budget[]; readonly slots: number | null }
  | { readonly kind: 'freeze'; readonly request: string }
  | { readonly kind: 'thaw'; readonly request: string }
  /** `sentAt`: of this copy of the ask (epoch ms). */
  | { readonly kind: 'ask'; readonly ask: LeaseAsk; readonly sentAt: number }
  | { readonly kind: 'settle'; readonly settlement: Settlement }
  | { readonly kind: 'timer' };

export interface AccountCircumstances {
  readonly now: number;
}

/** How an ask stands: what its holder is told. */
export type LeaseStanding =
  | { readonly kind: 'waiting' }
  | { readonly kind: 'granted'; readonly moneyMicroUsd: number; readonly slots: number | null; readonly expiresAt: number }
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  | { readonly kind: 'unknown' };

/** Events after which everything is carried over: at least so many, and as many as there is to carry. */
export const CARRY_AFTER = 2_000;
/** Entries of one event that carries: it must fit into a message. */
const PART = 1_000;
/** Micro-USD of one lease: thousands of them can be added up without loss (2^53). */
export const MOST_LEASED = 1_000_000_000_000;
/** Budgets of one account. */
const MOST_BUDGETS = 200;

/** Decides about one account. The same input twice decides nothing the second time. */
export function decideAccount(input: AccountInput, account: Account, circumstances: AccountCircumstances): Decision<AccountEvent> {
  const draft = new Draft(account, Math.max(account.at, circumstances.now));
  const because = decideInto(draft, input);
  if (typeof because === 'object') return { kind: 'refused', refusal: because };
  if (because !== undefined) return nothing(because);
  draft.serve();
  if (draft.account.meters !== account.meters || draft.account.budgets !== account.budgets) draft.alert();
  draft.carry();
  return { kind: 'events', events: draft.events };
}

/** Appends what the input means, or says why there is nothing to append. */
function decideInto(draft: Draft, input: AccountInput): string | Refusal | undefined {
  const { account } = draft;
  switch (input.kind) {
    case 'define': {
      const { request, budgets, slots } = input;
      const wrong = wrongBudgets(budgets, slots);
      if (wrong !== undefined) return refusal('BudgetsInvalid', wrong);
      if (sameLimits(account, budgets, slots)) return 'these are the budgets already';
      return draft.add({ type: 'account.budgets_defined', data: { request, budgets, slots } });
    }
    case 'freeze':
      if (account.frozen) return 'it is frozen already';
      return draft.add({ type: 'account.frozen', data: { request: input.request } });
    case 'thaw':
      if (!account.frozen) return 'it is not frozen';
      return draft.add({ type: 'account.thawed', data: { request: input.request } });
    case 'ask':
      return asked(draft, input.ask, input.sentAt);
    case 'settle':
      return settled(draft, input.settlement);
    case 'timer':
      return fired(draft);
    default:
      return unreachable(input);
  }
}

function asked(draft: Draft, ask: LeaseAsk, sentAt: number): string | Refusal | undefined {
  if (standingOf(draft.account, ask.lease).kind !== 'unknown') return 'this was asked before';
  if (sentAt < draft.now - STALE_ASK_MS) return 'this copy was on its way too long; whoever still waits has sent another';
  if (Math.min(ask.waitUntil, ask.expiresAt) <= draft.now) return refusal('QuotaExceeded', 'The lease was asked for a time that is over.');
  if (ask.moneyMicroUsd > MOST_LEASED || ask.leastMicroUsd > ask.moneyMicroUsd)
    return refusal('QuotaExceeded', `A lease is of at most ${MOST_LEASED} micro-USD, and never more than what was asked for.`);
  draft.add({ type: 'lease.asked', data: ask });
  // No slot that becomes free would help what the budgets do not leave room for.
  const short = draft.shortage(ask);
  if (short !== undefined) return draft.add({ type: 'lease.refused', data: { lease: ask.lease, code: 'QuotaExceeded', message: short } });
  if (draft.account.frozen) return draft.add({ type: 'lease.queued', data: { lease: ask.lease, because: 'frozen' } });
  if (draft.next()?.lease !== ask.lease) draft.add({ type: 'lease.queued', data: { lease: ask.lease, because: 'slots' } });
  return undefined;
}

function settled(draft: Draft, settlement: Settlement): string | undefined {
  const { lease: id, spentMicroUsd } = settlement;
  const lease = getEntry(draft.account.leases, id);
  if (lease !== undefined)
    return draft.add({
      type: 'lease.settled',
      data: { ...settlement, returnedMicroUsd: Math.max(0, lease.moneyMicroUsd - spentMicroUsd) },
    });
  if (draft.account.waiting.some((ask) => ask.lease === id)) return draft.add({ type: 'lease.withdrawn', data: settlement });
  const ended = getEntry(draft.account.ended, id);
  if (ended !== undefined && !draft.expired(id)) return 'it was settled before';
  return draft.add({ type: 'lease.settled_late', data: settlement });
}

function fired(draft: Draft): string | undefined {
  const { now } = draft;
  const due = dueOf(draft.account, now);
  if (due.leases.length === 0 && due.waiting.length === 0) return 'nothing is due';
  const dueAt = Math.min(
    ...due.leases.map((lease) => lease.ask.expiresAt),
    ...due.waiting.map((ask) => Math.min(ask.waitUntil, ask.expiresAt)),
  );
  draft.add({ type: 'account.timer_fired', data: { dueAt } });
  for (const { ask, moneyMicroUsd } of due.leases)
    draft.add({ type: 'lease.expired', data: { lease: ask.lease, spentMicroUsd: moneyMicroUsd } });
  for (const { lease } of due.waiting)
    draft.add({
      type: 'lease.refused',
      data: draft.account.frozen
        ? { lease, code: 'SpendingFrozen', message: 'The account was frozen for as long as the ask could wait.' }
        : { lease, code: 'QuotaExceeded', message: 'No slot became free for as long as the ask could wait.' },
    });
  return undefined;
}

/** A decision while it is made: its events so far, and the account after them. */
class Draft {
  readonly events: AccountEvent[] = [];
  readonly now: number;
  account: Account;

  constructor(account: Account, now: number) {
    this.account = account;
    this.now = now;
  }

  add(event: AccountEvent): undefined {
    this.events.push(event);
    this.account = evolveAccount(this.account, event, this.now);
  }

  get freeSlots(): number {
    return this.account.slots === null ? Infinity : this.account.slots - this.account.slotsTaken;
  }

  /** Whether the lease ended by running out: one settlement that came too late is still recorded. */
  expired(lease: string): boolean {
    return getEntry(this.account.ended, lease)?.how === 'expired';
  }

  /** Why the budgets leave no room for an ask, or undefined when they do. */
  shortage(ask: LeaseAsk): string | undefined {
    const found = tightest(this.account.budgets, this.account.meters, ask, dayOf(this.now));
    if (found === undefined || found.leftMicroUsd >= ask.leastMicroUsd) return undefined;
    const { budget, used } = found;
    return `Budget ${budget.scope} (${budget.period}): ${budget.limitMicroUsd} micro-USD, ${used.spentMicroUsd} spent and ${used.leasedMicroUsd} out on lease; ${ask.leastMicroUsd} more are needed.`;
  }

  /** Whose turn it is: the first that waits, and without a free slot the first that needs none. */
  next(): LeaseAsk | undefined {
    const { waiting } = this.account;
    return this.freeSlots >= 1 ? waiting[0] : waiting.find((ask) => hasSlot(this.account, ask));
  }

  /** Grants or refuses whoever's turn it is, until it is nobody's. */
  serve(): void {
    for (let ask = this.next(); ask !== undefined && !this.account.frozen; ask = this.next()) {
      const short = this.shortage(ask);
      if (short === undefined) this.add({ type: 'lease.granted', data: this.#grant(ask) });
      else this.add({ type: 'lease.refused', data: { lease: ask.lease, code: 'QuotaExceeded', message: short } });
    }
  }

  #grant(ask: LeaseAsk): LeaseGranted {
    const { budgets, meters, slots } = this.account;
    const left = tightest(budgets, meters, ask, dayOf(this.now))?.leftMicroUsd ?? Infinity;
    return {
      lease: ask.lease,
      moneyMicroUsd: Math.min(ask.moneyMicroUsd, left),
      slots: slots === null ? null : Math.max(1, Math.min(ask.slots, this.freeSlots)),
      day: dayOf(this.now),
    };
  }

  /** Budgets that have come so far alert. After the input there are only grants, which add: none has been there and is back below. */
  alert(): void {
    const { budgets, meters, alerts } = this.account;
    for (const data of alertsDue(budgets, meters, alerts, dayOf(this.now))) this.add({ type: 'budget.alerted', data });
  }

  /** Now and then everything that is remembered is said again: whoever loads the account begins there. */
  carry(): void {
    const { version, carriedAt, budgets, slots, frozen, waiting, leases, ended, meters, alerts } = this.account;
    if (version - carriedAt < Math.max(CARRY_AFTER, waiting.length + leases.size + ended.size)) return;
    const day = dayOf(this.now);
    const today = metersThatMatter(meters, day).map(([name, meter]) => ({ name, ...meter }));
    const alerted = alertsThatMatter(alerts, day);
    const still = entriesOf(ended).flatMap(([, end]) => (end.until > this.now ? [end] : []));
    const held = entriesOf(leases).map(([, lease]) => lease);
    this.add({
      type: 'account.carried',
      data: { budgets, slots, frozen, meters: today, ...(alerted.length === 0 ? {} : { alerts: alerted }) },
    });
    const say = (part: Partial<CarriedPart>): void =>
      this.add({ type: 'account.carried_on', data: { waiting: [], leases: [], ended: [], ...part } });
    for (const part of inParts(waiting)) say({ waiting: part });
    for (const part of inParts(held)) say({ leases: part });
    for (const part of inParts(still)) say({ ended: part });
  }
}

const inParts = <Entry>(entries: readonly Entry[]): readonly (readonly Entry[])[] =>
  Array.from({ length: Math.ceil(entries.length / PART) }, (_, n) => entries.slice(n * PART, (n + 1) * PART));

/** How an ask stands. @returns `unknown` also when it ended long ago */
export function standingOf(account: Account, lease: string): LeaseStanding {
  const held = getEntry(account.leases, lease);
  if (held !== undefined) return { kind: 'granted', moneyMicroUsd: held.moneyMicroUsd, slots: held.slots, expiresAt: held.ask.expiresAt };
  if (account.waiting.some((ask) => ask.lease === lease)) return { kind: 'waiting' };
  const ended = getEntry(account.ended, lease);
  if (ended === undefined) return { kind: 'unknown' };
  if (ended.granted !== null) return { kind: 'granted', ...ended.granted };
  return {
    kind: 'refused',
    refusal:
      ended.refused === null
        ? refusal('QuotaExceeded', 'Its holder had settled it before it was granted.')
        : refusal(ended.refused.code, ended.refused.message),
  };
}

function wrongBudgets(budgets: readonly Budget[], slots: number | null): string | undefined {
  if (budgets.length > MOST_BUDGETS) return `There are ${budgets.length} budgets; at most ${MOST_BUDGETS} are possible.`;
  const seen = new Set<string>();
  for (const { scope, period, limitMicroUsd, alertAtPercent } of budgets) {
    if (!isScope(scope)) return 'A scope is tenant, key:<id of a key> or model:<name>.';
    if (!Number.isSafeInteger(limitMicroUsd) || limitMicroUsd < 0)
      return `The limit of ${scope} (${period}) is not a whole number from 0 on.`;
    if (alertAtPercent !== undefined && !(Number.isInteger(alertAtPercent) && alertAtPercent >= 1 && alertAtPercent <= 100))
      return `The alertAtPercent of ${scope} (${period}) is not a whole number from 1 to 100.`;
    if (seen.has(`${scope}|${period}`)) return `There are two budgets for ${scope} (${period}).`;
    seen.add(`${scope}|${period}`);
  }
  return slots === null || (Number.isSafeInteger(slots) && slots >= 1) ? undefined : 'Slots are a whole number from 1 on, or null.';
}

const sameLimits = (account: Account, budgets: readonly Budget[], slots: number | null): boolean =>
  account.slots === slots && JSON.stringify(account.budgets.map(plain)) === JSON.stringify(budgets.map(plain));
const plain = ({ scope, period, limitMicroUsd, alertAtPercent }: Budget): readonly unknown[] => [
  scope,
  period,
  limitMicroUsd,
  alertAtPercent,
];
