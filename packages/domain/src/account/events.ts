import type { RefusalCode } from '../refusals.ts';
import type { Budget, Meter, Period } from './budgets.ts';

/**
 * What happened to an account, in the past tense; facts only. Events marked INPUT are what a decision consumed; all
 * others are consequences of the input before them. Shapes are frozen by recorded histories: change one by a new schema
 * version and an upcaster.
 */
export type AccountEvent =
  /** INPUT. The whole list: what is not in it is no budget any more. */
  | { readonly type: 'account.budgets_defined'; readonly data: BudgetsDefined }
  /** INPUT. From now on nothing is granted; whoever asks waits. */
  | { readonly type: 'account.frozen'; readonly data: { readonly request: string } }
  /** INPUT. */
  | { readonly type: 'account.thawed'; readonly data: { readonly request: string } }
  /** INPUT. It stands at the end of the queue until it is granted or refused, mostly by the next event. */
  | { readonly type: 'lease.asked'; readonly data: LeaseAsk }
  /** It waits: for a slot, or for the end of a freeze. */
  | { readonly type: 'lease.queued'; readonly data: { readonly lease: string; readonly because: 'slots' | 'frozen' } }
  | { readonly type: 'lease.granted'; readonly data: LeaseGranted }
  | { readonly type: 'lease.refused'; readonly data: LeaseRefused }
  /** INPUT. What it became; the rest is free again. */
  | { readonly type: 'lease.settled'; readonly data: LeaseSettled }
  /** INPUT. A settlement of what is no lease any more, or never was: recorded, and nothing changes. */
  | { readonly type: 'lease.settled_late'; readonly data: Settlement }
  /** INPUT. Its holder has ended while it waited. */
  | { readonly type: 'lease.withdrawn'; readonly data: Settlement }
  /** INPUT. The time of some lease or waiting ask is over. */
  | { readonly type: 'account.timer_fired'; readonly data: { readonly dueAt: number } }
  /** Nobody settled it in time: all of it counts as spent. */
  | { readonly type: 'lease.expired'; readonly data: { readonly lease: string; readonly spentMicroUsd: number } }
  /** Spent and leased have reached the percentage at which the budget alerts. Once per budget and period. */
  | { readonly type: 'budget.alerted'; readonly data: BudgetAlerted }
  /** Everything that is remembered, so that nobody needs to read what came before: this, and the parts that follow it. */
  | { readonly type: 'account.carried'; readonly data: Carried }
  | { readonly type: 'account.carried_on'; readonly data: CarriedPart };

export type AccountEventType = AccountEvent['type'];
export type AccountEventData<T extends AccountEventType> = Extract<AccountEvent, { type: T }>['data'];

export interface BudgetsDefined {
  readonly request: string;
  readonly budgets: readonly Budget[];
  /** Slots that may be taken at once; null: as many as wanted. */
  readonly slots: number | null;
}

export interface LeaseAsk {
  /** `<workflow>_<n>`, or `<router instance>_<n>`: the same id is the same ask. */
  readonly lease: string;
  readonly holder: 'workflow' | 'router';
  /** Wanted, and the least that helps. */
  readonly moneyMicroUsd: number;
  readonly leastMicroUsd: number;
  /** Slots wanted; any number from 1 on helps. */
  readonly slots: number;
  readonly key: string | null;
  readonly model: string | null;
  /** Until then it may stand in the queue (epoch ms). */
  readonly waitUntil: number;
  /** A lease that is not settled then is settled in full (epoch ms). */
  readonly expiresAt: number;
}

export interface LeaseGranted {
  readonly lease: string;
  readonly moneyMicroUsd: number;
  /** Null: the account does not count slots. */
  readonly slots: number | null;
  /** The UTC day in whose budgets it counts. */
  readonly day: string;
}

export interface LeaseRefused {
  readonly lease: string;
  readonly code: RefusalCode;
  readonly message: string;
}

/** What was used, for the record. */
export interface LeaseUsage {
  readonly modelCalls: number;
  readonly tokens: number;
}

export interface Settlement {
  readonly lease: string;
  readonly spentMicroUsd: number;
  readonly usage: LeaseUsage;
}

export interface LeaseSettled extends Settlement {
  readonly returnedMicroUsd: number;
}

export interface BudgetAlerted {
  readonly scope: string;
  readonly period: Period;
  /** The UTC day on which it was reached: the day, or one of the month, that it is about. */
  readonly day: string;
  /** Spent and out on lease. */
  readonly usedMicroUsd: number;
  readonly limitMicroUsd: number;
  /** The percentage that was set, not the one that is used. */
  readonly percent: number;
}

export interface Carried {
  readonly budgets: readonly Budget[];
  readonly slots: number | null;
  readonly frozen: boolean;
  readonly meters: readonly CarriedMeter[];
  /** Absent: none. */
  readonly alerts?: readonly CarriedAlert[] | undefined;
}

/** A budget that has alerted: in the period of this day, and when (epoch ms). */
export interface CarriedAlert {
  readonly scope: string;
  readonly period: Period;
  readonly day: string;
  readonly at: number;
}

/** At most `PART` of all three together. */
export interface CarriedPart {
  readonly waiting: readonly LeaseAsk[];
  readonly leases: readonly CarriedLease[];
  readonly ended: readonly CarriedEnd[];
}

export interface CarriedLease {
  readonly ask: LeaseAsk;
  readonly moneyMicroUsd: number;
  readonly slots: number | null;
  readonly day: string;
}

/** An ask that was answered and is over. Remembered for a while, so that a late copy of it gets the same answer. */
export interface CarriedEnd {
  readonly lease: string;
  readonly until: number;
  readonly how: 'refused' | 'withdrawn' | 'settled' | 'expired';
  readonly granted: { readonly moneyMicroUsd: number; readonly slots: number | null; readonly expiresAt: number } | null;
  readonly refused: { readonly code: RefusalCode; readonly message: string } | null;
}

export interface CarriedMeter extends Meter {
  readonly name: string;
}
