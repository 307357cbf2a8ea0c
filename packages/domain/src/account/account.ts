import { unreachable } from '../decider.ts';
import { type Alerts, alertsCarried, alertsKept, withAlert } from './alerts.ts';
import { type Budget, metered, type Meters } from './budgets.ts';
import type { AccountEvent, Carried, CarriedEnd, CarriedLease, CarriedPart, LeaseAsk } from './events.ts';
import { dropEntry, getEntry, noEntries, putEntry, type Shelves } from './shelves.ts';

/**
 * The account of a tenant: its budgets and slots, and what of them is out on lease.
 *
 *   asked ─▶ waiting ─▶ granted ─▶ settled (as said) | expired (in full)
 *               └─▶ refused | withdrawn
 *
 * Always true: for every budget and period, spent + leased <= limit after every event, unless a budget was defined below
 * what was already out; then nothing is granted until it fits again. A lease is counted in the period it was granted in.
 */
export interface Account {
  /** Events so far; 0 means that nothing was ever asked of it. */
  readonly version: number;
  /** Time of the last decision (epoch ms): it never runs backwards. */
  readonly at: number;
  readonly budgets: readonly Budget[];
  /** Null: slots are not counted. */
  readonly slots: number | null;
  readonly frozen: boolean;
  /** First come, first served. */
  readonly waiting: readonly LeaseAsk[];
  readonly leases: Shelves<Lease>;
  /** Tasks with leases out, by workflow: however many a task has, it takes the slots of its first. */
  readonly tasks: Shelves<{ readonly leases: number; readonly slots: number }>;
  readonly slotsTaken: number;
  readonly ended: Shelves<CarriedEnd>;
  readonly meters: Meters;
  readonly alerts: Alerts;
  /** Version of the last event that carried everything over. */
  readonly carriedAt: number;
}

export type Lease = CarriedLease;

/** A late copy of an ask is answered the same for this long after its lease has ended. Longer than an ask may be on its way. */
export const REMEMBERED_MS = 10 * 60_000;
/** An ask that was sent longer ago is not taken up: its sender, if it still waits, has sent it again. */
export const STALE_ASK_MS = 5 * 60_000;

export const NO_ACCOUNT: Account = {
  version: 0,
  at: 0,
  budgets: [],
  slots: null,
  frozen: false,
  waiting: [],
  leases: noEntries(),
  tasks: noEntries(),
  slotsTaken: 0,
  ended: noEntries(),
  meters: new Map(),
  alerts: new Map(),
  carriedAt: 0,
};

/** Whether it owes or guards something: it is then held in memory by its owner. */
export const isActive = (account: Account): boolean =>
  account.frozen || hasLimits(account) || account.waiting.length > 0 || account.leases.size > 0;

/** Whether a task of this tenant needs an allowance. */
export const hasLimits = (account: Account): boolean => account.budgets.length > 0 || account.slots !== null;

/** Folds one event. `at` is the decision's time as it stands in the envelope. */
export function evolveAccount(before: Account, event: AccountEvent, at: number): Account {
  const account: Account = { ...before, version: before.version + 1, at: Math.max(before.at, at) };
  switch (event.type) {
    case 'account.budgets_defined': {
      const { budgets, slots } = event.data;
      return { ...account, budgets, slots, alerts: alertsKept(account.alerts, account.budgets, budgets) };
    }
    case 'account.frozen':
      return { ...account, frozen: true };
    case 'account.thawed':
      return { ...account, frozen: false };
    case 'lease.asked':
      return { ...account, waiting: [...account.waiting, event.data] };
    case 'lease.granted': {
      const { lease, ...granted } = event.data;
      const ask = account.waiting.find((each) => each.lease === lease);
      return ask === undefined ? account : granting(without(account, lease), { ask, ...granted });
    }
    case 'lease.refused': {
      const { lease, code, message } = event.data;
      return remember(without(account, lease), { lease, how: 'refused', granted: null, refused: { code, message } });
    }
    case 'lease.withdrawn':
      return remember(without(account, event.data.lease), { lease: event.data.lease, how: 'withdrawn', granted: null, refused: null });
    case 'lease.settled':
      return ending(account, event.data.lease, 'settled', event.data.spentMicroUsd);
    case 'lease.expired':
      return ending(account, event.data.lease, 'expired', event.data.spentMicroUsd);
    case 'lease.settled_late': {
      const { lease } = event.data;
      const known = getEntry(account.ended, lease);
      return remember(account, { lease, granted: null, refused: null, ...known, how: known === undefined ? 'withdrawn' : 'settled' });
    }
    case 'budget.alerted':
      return { ...account, alerts: withAlert(account.alerts, event.data, account.at) };
    case 'lease.queued':
    case 'account.timer_fired':
      return account;
    case 'account.carried':
      return carriedOver(account, event.data);
    case 'account.carried_on':
      return carriedOn(account, event.data);
    default:
      return unreachable(event);
  }
}

/** The task that an ask is for; undefined for a router's. */
const taskOfAsk = ({ lease, holder }: Pick<LeaseAsk, 'lease' | 'holder'>): string | undefined =>
  holder === 'workflow' ? /^(.+)_\d+$/.exec(lease)?.[1] : undefined;

/** Whether an ask is for more for a task that has its slot already: it waits for none. */
export function hasSlot(account: Account, ask: LeaseAsk): boolean {
  // The first ask of a task is no top-up. Most are first ones, and all that wait are looked at.
  const task = ask.lease.endsWith('_1') ? undefined : taskOfAsk(ask);
  return task !== undefined && getEntry(account.tasks, task) !== undefined;
}

const slotsOf = (lease: Lease): number => lease.slots ?? 1;

/** A lease is out, and takes its slots. */
function holding(account: Account, lease: Lease): Account {
  const leases = putEntry(account.leases, lease.ask.lease, lease);
  const task = taskOfAsk(lease.ask);
  const before = task === undefined ? undefined : getEntry(account.tasks, task);
  const slots = before?.slots ?? slotsOf(lease);
  return {
    ...account,
    leases,
    tasks: task === undefined ? account.tasks : putEntry(account.tasks, task, { leases: (before?.leases ?? 0) + 1, slots }),
    slotsTaken: account.slotsTaken + (before === undefined ? slots : 0),
  };
}

/** A lease is over; the last one of a task gives its slots back. */
function released(account: Account, lease: Lease): Account {
  const leases = dropEntry(account.leases, lease.ask.lease);
  const task = taskOfAsk(lease.ask);
  const before = task === undefined ? undefined : getEntry(account.tasks, task);
  if (task === undefined || before === undefined) return { ...account, leases, slotsTaken: account.slotsTaken - slotsOf(lease) };
  if (before.leases > 1) return { ...account, leases, tasks: putEntry(account.tasks, task, { ...before, leases: before.leases - 1 }) };
  return { ...account, leases, tasks: dropEntry(account.tasks, task), slotsTaken: account.slotsTaken - before.slots };
}

function granting(account: Account, lease: Lease): Account {
  return {
    ...holding(account, lease),
    meters: metered(account.meters, lease.ask, lease.day, { spentMicroUsd: 0, leasedMicroUsd: lease.moneyMicroUsd }),
  };
}

function ending(account: Account, id: string, how: 'settled' | 'expired', spentMicroUsd: number): Account {
  const lease = getEntry(account.leases, id);
  if (lease === undefined) return account;
  const { moneyMicroUsd, slots, ask, day } = lease;
  return remember(
    {
      ...released(account, lease),
      meters: metered(account.meters, ask, day, { spentMicroUsd, leasedMicroUsd: -moneyMicroUsd }),
    },
    { lease: id, how, granted: { moneyMicroUsd, slots, expiresAt: ask.expiresAt }, refused: null },
  );
}

const without = (account: Account, lease: string): Account => ({
  ...account,
  waiting: account.waiting.filter((each) => each.lease !== lease),
});

const remember = (account: Account, end: Omit<CarriedEnd, 'until'>): Account => ({
  ...account,
  ended: putEntry(account.ended, end.lease, { ...end, until: account.at + REMEMBERED_MS }),
});

const carriedOver = (account: Account, data: Carried): Account => ({
  ...NO_ACCOUNT,
  version: account.version,
  at: account.at,
  budgets: data.budgets,
  slots: data.slots,
  frozen: data.frozen,
  meters: new Map(data.meters.map(({ name, ...meter }) => [name, meter])),
  alerts: alertsCarried(data.alerts ?? []),
  carriedAt: account.version,
});

const carriedOn = (account: Account, { waiting, leases, ended }: CarriedPart): Account => ({
  ...leases.reduce(holding, account),
  waiting: [...account.waiting, ...waiting],
  ended: ended.reduce((held, end) => putEntry(held, end.lease, end), account.ended),
});

/** What the last carrying over remembered begins at this version: folding from there is folding from the beginning. */
export const startingBefore = (version: number): Account => ({ ...NO_ACCOUNT, version: version - 1 });
