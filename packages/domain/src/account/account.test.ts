import { expect, it } from 'vitest';
import { type Account, evolveAccount, NO_ACCOUNT, REMEMBERED_MS, startingBefore } from './account.ts';
import { alertedAt } from './alerts.ts';
import { type Budget, dayOf } from './budgets.ts';
import { type AccountInput, CARRY_AFTER, decideAccount, MOST_LEASED, standingOf } from './decide.ts';
import type { AccountEvent, LeaseAsk } from './events.ts';
import { nextDue } from './pending.ts';

const NOON = Date.UTC(2026, 10, 21, 12);
const HOUR = 3_600_000;

/** An account that is told one thing after another. */
class Telling {
  account: Account = NO_ACCOUNT;
  readonly events: AccountEvent[] = [];
  now = NOON;

  /** @returns the types of the events that followed, or `nothing`, or the refusal's code */
  tell(input: AccountInput): readonly string[] {
    const decision = decideAccount(input, this.account, { now: this.now });
    if (decision.kind === 'nothing') return ['nothing'];
    if (decision.kind === 'refused') return [decision.refusal.code];
    for (const event of decision.events) this.account = evolveAccount(this.account, event, this.now);
    this.events.push(...decision.events);
    return decision.events.map((event) => event.type);
  }

  ask(lease: string, moneyMicroUsd: number, more: Partial<LeaseAsk> = {}): readonly string[] {
    const ask: LeaseAsk = {
      lease,
      holder: 'workflow',
      moneyMicroUsd,
      leastMicroUsd: moneyMicroUsd,
      slots: 1,
      key: null,
      model: null,
      waitUntil: this.now + HOUR,
      expiresAt: this.now + HOUR,
      ...more,
    };
    return this.tell({ kind: 'ask', ask, sentAt: this.now });
  }

  settle(lease: string, spentMicroUsd: number): readonly string[] {
    return this.tell({ kind: 'settle', settlement: { lease, spentMicroUsd, usage: { modelCalls: 1, tokens: 10 } } });
  }
}

function withBudgets(slots: number | null, ...budgets: readonly (readonly [string, 'total' | 'day' | 'month', number])[]): Telling {
  const told = new Telling();
  told.tell({
    kind: 'define',
    request: 'r1',
    slots,
    budgets: budgets.map(([scope, period, limitMicroUsd]) => ({ scope, period, limitMicroUsd })),
  });
  return told;
}

it('grants what the budget leaves room for and refuses the rest by name and figures', () => {
  const told = withBudgets(null, ['tenant', 'day', 100]);
  expect(told.ask('a', 60)).toEqual(['lease.asked', 'lease.granted']);
  expect(told.ask('b', 60)).toEqual(['lease.asked', 'lease.refused']);
  expect(standingOf(told.account, 'b')).toMatchObject({
    kind: 'refused',
    refusal: { code: 'QuotaExceeded', message: 'Budget tenant (day): 100 micro-USD, 0 spent and 60 out on lease; 60 more are needed.' },
  });
});

it.each([
  ['more than can be counted', MOST_LEASED + 1, {}],
  ['less than helps', 10, { leastMicroUsd: 11 }],
] as const)('does not lease %s', (_, money, more) => {
  const told = withBudgets(null, ['tenant', 'day', 100]);
  expect(told.ask('a', money, more)).toEqual(['QuotaExceeded']);
  expect(told.account.leases.size).toBe(0);
});

it('without budgets everything is granted, and metered all the same', () => {
  const told = new Telling();
  told.ask('a', 60);
  told.settle('a', 50);
  told.tell({ kind: 'define', request: 'r', slots: null, budgets: [{ scope: 'tenant', period: 'day', limitMicroUsd: 100 }] });
  expect(told.ask('b', 60)).toEqual(['lease.asked', 'lease.refused']);
  expect(told.ask('c', 50)).toEqual(['lease.asked', 'lease.granted']);
});

it('gives as much as is left when less helps too', () => {
  const told = withBudgets(null, ['tenant', 'total', 100]);
  told.ask('a', 70);
  told.ask('b', 70, { leastMicroUsd: 10 });
  expect(standingOf(told.account, 'b')).toMatchObject({ kind: 'granted', moneyMicroUsd: 30 });
});

it('what is settled below the lease is free again', () => {
  const told = withBudgets(null, ['tenant', 'total', 100]);
  told.ask('a', 100);
  expect(told.settle('a', 40)).toEqual(['lease.settled']);
  expect(told.events.at(-1)?.data).toMatchObject({ spentMicroUsd: 40, returnedMicroUsd: 60 });
  expect(told.ask('b', 61)).toEqual(['lease.asked', 'lease.refused']);
  expect(told.ask('c', 60)).toEqual(['lease.asked', 'lease.granted']);
});

it('the same ask, the same settlement and the same command again change nothing', () => {
  const told = withBudgets(null, ['tenant', 'total', 100]);
  told.ask('a', 100);
  const granted = standingOf(told.account, 'a');
  expect(told.ask('a', 100)).toEqual(['nothing']);
  told.settle('a', 40);
  expect(told.settle('a', 40)).toEqual(['nothing']);
  expect(told.ask('a', 100)).toEqual(['nothing']);
  expect(standingOf(told.account, 'a')).toEqual(granted);
  expect(
    told.tell({ kind: 'define', request: 'r2', slots: null, budgets: [{ scope: 'tenant', period: 'total', limitMicroUsd: 100 }] }),
  ).toEqual(['nothing']);
});

it('a lease that is not settled in time is spent in full; a settlement after that is recorded once and changes nothing', () => {
  const told = withBudgets(null, ['tenant', 'total', 100]);
  told.ask('a', 100);
  expect(nextDue(told.account)).toBe(NOON + HOUR);
  expect(told.tell({ kind: 'timer' })).toEqual(['nothing']);
  told.now += HOUR;
  expect(told.tell({ kind: 'timer' })).toEqual(['account.timer_fired', 'lease.expired']);
  expect(told.settle('a', 1)).toEqual(['lease.settled_late']);
  expect(told.settle('a', 1)).toEqual(['nothing']);
  expect(told.ask('b', 1)).toEqual(['lease.asked', 'lease.refused']);
});

it('a lease counts in the day and month in which it was granted', () => {
  const told = withBudgets(null, ['tenant', 'day', 100], ['tenant', 'month', 150]);
  told.ask('a', 100, { expiresAt: NOON + 24 * HOUR });
  told.now += 12 * HOUR;
  expect(told.ask('b', 51)).toEqual(['lease.asked', 'lease.refused']);
  expect(told.ask('c', 50)).toEqual(['lease.asked', 'lease.granted']);
  told.settle('a', 10);
  // Yesterday's money is not today's, but it is this month's.
  expect(told.ask('d', 60)).toEqual(['lease.asked', 'lease.refused']);
  expect(told.ask('e', 50)).toEqual(['lease.asked', 'lease.granted']);
});

it('a day is the UTC day of the calendar', () => {
  for (let at = Date.UTC(1999, 11, 30); at < Date.UTC(2101, 2, 3); at += 86_400_000 - 1)
    expect(dayOf(at)).toBe(new Date(at).toISOString().slice(0, 10));
});

it('keys and models have budgets of their own; a lease on any model counts in each of theirs', () => {
  const told = withBudgets(null, ['key:k1', 'total', 10], ['model:m', 'total', 20]);
  expect(told.ask('a', 11, { key: 'k1', model: 'other' })).toEqual(['lease.asked', 'lease.refused']);
  expect(told.ask('b', 11, { key: 'k2', model: 'other' })).toEqual(['lease.asked', 'lease.granted']);
  expect(told.ask('c', 11, { model: null })).toEqual(['lease.asked', 'lease.granted']);
  expect(told.ask('d', 10, { model: 'vendor/m' })).toEqual(['lease.asked', 'lease.refused']);
  expect(told.ask('e', 9, { model: 'vendor/m' })).toEqual(['lease.asked', 'lease.granted']);
});

it('beyond its slots asks wait, first come first served, and are granted when one becomes free', () => {
  const told = withBudgets(2, ['tenant', 'total', 100]);
  told.ask('a', 10);
  told.ask('b', 10);
  expect(told.ask('c', 10)).toEqual(['lease.asked', 'lease.queued']);
  expect(told.ask('d', 10)).toEqual(['lease.asked', 'lease.queued']);
  expect(told.ask('too dear', 90)).toEqual(['lease.asked', 'lease.refused']);
  expect(told.settle('b', 10)).toEqual(['lease.settled', 'lease.granted']);
  expect(standingOf(told.account, 'c').kind).toBe('granted');
  expect(standingOf(told.account, 'd').kind).toBe('waiting');
});

it('a task takes one slot, however often it is topped up, and waits for nobody to get more', () => {
  const told = withBudgets(1, ['tenant', 'total', 1_000]);
  expect(told.ask('wf_1', 10)).toEqual(['lease.asked', 'lease.granted']);
  expect(told.ask('other_1', 10)).toEqual(['lease.asked', 'lease.queued']);
  // If it waited for a slot, it would wait for its own end.
  expect(told.ask('wf_2', 20)).toEqual(['lease.asked', 'lease.granted']);
  expect(told.account.slotsTaken).toBe(1);
  expect(told.settle('wf_1', 10)).toEqual(['lease.settled']);
  expect(told.account.slotsTaken).toBe(1);
  expect(told.settle('wf_2', 10)).toEqual(['lease.settled', 'lease.granted']);
  expect(standingOf(told.account, 'other_1')).toMatchObject({ kind: 'granted', slots: 1 });
});

it('a top-up that was asked for during a freeze is served after it before those that wait for a slot', () => {
  const told = withBudgets(1);
  told.ask('wf_1', 10);
  told.ask('other_1', 10);
  told.tell({ kind: 'freeze', request: 'r2' });
  expect(told.ask('wf_2', 20)).toEqual(['lease.asked', 'lease.queued']);
  expect(told.tell({ kind: 'thaw', request: 'r3' })).toEqual(['account.thawed', 'lease.granted']);
  expect([standingOf(told.account, 'wf_2').kind, standingOf(told.account, 'other_1').kind]).toEqual(['granted', 'waiting']);
});

it('several slots may be asked for at once; as many as are free are given', () => {
  const told = withBudgets(3);
  told.ask('a', 10, { slots: 2 });
  told.ask('b', 10, { slots: 5 });
  expect(standingOf(told.account, 'b')).toMatchObject({ kind: 'granted', slots: 1 });
  expect(told.ask('c', 10)).toEqual(['lease.asked', 'lease.queued']);
});

it('whoever waits too long is refused, and whoever ends while waiting leaves the queue', () => {
  const told = withBudgets(1);
  told.ask('a', 10, { expiresAt: NOON + 9 * HOUR });
  told.ask('b', 10);
  told.ask('c', 10, { waitUntil: NOON + 9 * HOUR, expiresAt: NOON + 9 * HOUR });
  expect(told.settle('c', 0)).toEqual(['lease.withdrawn']);
  told.now += HOUR;
  expect(told.tell({ kind: 'timer' })).toEqual(['account.timer_fired', 'lease.refused']);
  expect(standingOf(told.account, 'b')).toMatchObject({ kind: 'refused', refusal: { code: 'QuotaExceeded' } });
  expect(told.account.waiting).toEqual([]);
});

it('a frozen account grants nothing; whoever asked meanwhile is served after the thaw', () => {
  const told = withBudgets(null, ['tenant', 'total', 100]);
  expect(told.tell({ kind: 'freeze', request: 'f1' })).toEqual(['account.frozen']);
  expect(told.tell({ kind: 'freeze', request: 'f2' })).toEqual(['nothing']);
  expect(told.ask('a', 60)).toEqual(['lease.asked', 'lease.queued']);
  expect(told.ask('b', 60)).toEqual(['lease.asked', 'lease.queued']);
  expect(told.tell({ kind: 'thaw', request: 't1' })).toEqual(['account.thawed', 'lease.granted', 'lease.refused']);
});

it('a budget below what is already out grants nothing until it fits again', () => {
  const told = withBudgets(null, ['tenant', 'total', 100]);
  told.ask('a', 80);
  told.tell({ kind: 'define', request: 'r2', slots: null, budgets: [{ scope: 'tenant', period: 'total', limitMicroUsd: 50 }] });
  expect(told.ask('b', 1)).toEqual(['lease.asked', 'lease.refused']);
  told.settle('a', 40);
  expect(told.ask('c', 10)).toEqual(['lease.asked', 'lease.granted']);
});

it('a settlement that overtakes its ask closes it for good', () => {
  const told = new Telling();
  expect(told.settle('a', 0)).toEqual(['lease.settled_late']);
  expect(told.ask('a', 10)).toEqual(['nothing']);
  expect(standingOf(told.account, 'a').kind).toBe('refused');
});

it('a vendor that charged more than was leased is booked as it charged', () => {
  const told = withBudgets(null, ['tenant', 'total', 100]);
  told.ask('a', 60);
  told.settle('a', 90);
  expect(told.events.at(-1)?.data).toMatchObject({ spentMicroUsd: 90, returnedMicroUsd: 0 });
  expect(told.ask('b', 11)).toEqual(['lease.asked', 'lease.refused']);
});

it('a copy of an ask that was on its way for too long is not taken up', () => {
  const told = new Telling();
  const ask: LeaseAsk = {
    lease: 'a',
    holder: 'router',
    moneyMicroUsd: 1,
    leastMicroUsd: 1,
    slots: 1,
    key: null,
    model: null,
    waitUntil: NOON + HOUR,
    expiresAt: NOON + HOUR,
  };
  expect(told.tell({ kind: 'ask', ask, sentAt: NOON - 10 * 60_000 })).toEqual(['nothing']);
  expect(told.tell({ kind: 'ask', ask: { ...ask, waitUntil: NOON }, sentAt: NOON })).toEqual(['QuotaExceeded']);
});

it('carries everything that matters over, and leaves out what nobody can ask about any more', () => {
  const told = withBudgets(3, ['tenant', 'day', 10_000]);
  told.ask('forgotten', 10);
  told.settle('forgotten', 5);
  told.now += REMEMBERED_MS;
  for (const lease of ['held', 'settled', 'blocking']) told.ask(lease, 10);
  told.ask('waiting', 10, { waitUntil: NOON + 9 * HOUR });
  told.settle('settled', 3);
  told.ask('waiting too', 10);
  for (let n = 0; told.account.version < CARRY_AFTER; n++) told.ask(`refused ${n}`, 100_000);
  const at = told.events.findIndex((event) => event.type === 'account.carried');
  const loaded = told.events.slice(at).reduce((state, event) => evolveAccount(state, event, told.now), startingBefore(at + 1));
  for (const account of [loaded, told.account]) {
    expect(account.version).toBe(told.events.length);
    expect(account.waiting.map((ask) => ask.lease)).toEqual(['waiting too']);
    for (const lease of ['held', 'blocking', 'waiting', 'settled']) expect(standingOf(account, lease).kind).toBe('granted');
    expect(standingOf(account, 'refused 7').kind).toBe('refused');
    expect(standingOf(account, 'forgotten').kind).toBe('unknown');
    expect(account.meters.get('tenant|total')).toEqual({ spentMicroUsd: 8, leasedMicroUsd: 30 });
    expect([account.slots, account.slotsTaken, account.budgets.length]).toEqual([3, 3, 1]);
  }
});

const tenantDay = (limitMicroUsd: number, alertAtPercent?: number): Budget => ({
  scope: 'tenant',
  period: 'day',
  limitMicroUsd,
  ...(alertAtPercent === undefined ? {} : { alertAtPercent }),
});
const define = (told: Telling, ...budgets: readonly Budget[]): readonly string[] =>
  told.tell({ kind: 'define', request: 'r', slots: null, budgets });
function withAlert(limitMicroUsd: number, alertAtPercent: number): Telling {
  const told = new Telling();
  define(told, tenantDay(limitMicroUsd, alertAtPercent));
  return told;
}
const alertsOf = (told: Telling): readonly unknown[] =>
  told.events.flatMap((event) => (event.type === 'budget.alerted' ? [event.data] : []));

it('alerts once when a budget has come so far, spent or out on lease, in the decision that got there', () => {
  const told = withAlert(100, 80);
  expect(told.ask('a', 79)).toEqual(['lease.asked', 'lease.granted']);
  expect(told.ask('b', 1)).toEqual(['lease.asked', 'lease.granted', 'budget.alerted']);
  expect(alertsOf(told)).toEqual([
    { scope: 'tenant', period: 'day', day: '2026-11-21', usedMicroUsd: 80, limitMicroUsd: 100, percent: 80 },
  ]);
  expect(told.ask('c', 20)).toEqual(['lease.asked', 'lease.granted']);
  // Below the share again, and past it again.
  told.settle('a', 0);
  expect(told.ask('d', 79)).toEqual(['lease.asked', 'lease.granted']);
});

it.each([
  ['a percentage that is no whole sum', 7, 30, 3],
  ['all of it', 100, 100, 100],
  ['one of the largest sum', Number.MAX_SAFE_INTEGER, 1, 90_071_992_547_410],
] as const)('reaches %s exactly', (_, limit, percent, reached) => {
  const told = withAlert(limit, percent);
  for (let out = 0, next = 0; out < reached - 1; out += next) {
    next = Math.min(MOST_LEASED, reached - 1 - out);
    expect(told.ask(`a${out}`, next)).toEqual(['lease.asked', 'lease.granted']);
  }
  expect(told.ask('z', 1)).toEqual(['lease.asked', 'lease.granted', 'budget.alerted']);
});

it('alerts again in the next day or month, and of a total never again', () => {
  const told = new Telling();
  const each = { scope: 'tenant', limitMicroUsd: 100, alertAtPercent: 10 } as const;
  define(
    told,
    { ...each, period: 'day' },
    { ...each, period: 'month' },
    { ...each, period: 'total', limitMicroUsd: 1_000, alertAtPercent: 1 },
  );
  expect(told.ask('a', 10)).toEqual(['lease.asked', 'lease.granted', 'budget.alerted', 'budget.alerted', 'budget.alerted']);
  told.settle('a', 10);
  told.now += 24 * HOUR;
  expect(told.ask('b', 10)).toEqual(['lease.asked', 'lease.granted', 'budget.alerted']);
  told.settle('b', 10);
  told.now = Date.UTC(2026, 11, 1);
  expect(told.ask('c', 10)).toEqual(['lease.asked', 'lease.granted', 'budget.alerted', 'budget.alerted']);
  expect(alertsOf(told).map((alert) => Object.values(alert as object).slice(1, 4))).toEqual([
    ['day', '2026-11-21', 10],
    ['month', '2026-11-21', 10],
    ['total', '2026-11-21', 10],
    ['day', '2026-11-22', 10],
    ['day', '2026-12-01', 10],
    ['month', '2026-12-01', 10],
  ]);
});

it('alerts while budgets are defined, about what was spent or leased before', () => {
  const told = new Telling();
  told.ask('a', 50);
  expect(define(told, tenantDay(100, 51))).toEqual(['account.budgets_defined']);
  // Lowered.
  expect(define(told, tenantDay(90, 51))).toEqual(['account.budgets_defined', 'budget.alerted']);
});

it.each([
  ['a raised limit', tenantDay(101, 50), ['account.budgets_defined', 'budget.alerted']],
  ['a raised percentage', tenantDay(100, 60), ['account.budgets_defined', 'budget.alerted']],
  ['a lowered limit', tenantDay(99, 50), ['account.budgets_defined']],
  ['a lowered percentage', tenantDay(100, 40), ['account.budgets_defined']],
  ['the same budget', tenantDay(100, 50), ['nothing']],
  ['no alert any more', tenantDay(100), ['account.budgets_defined']],
] as const)('after an alert, %s: it alerts again only when something was raised', (_, budget, events) => {
  const told = withAlert(100, 50);
  told.ask('a', 60);
  expect(define(told, budget)).toEqual(events);
  expect(told.ask('b', 1)).toEqual(['lease.asked', 'lease.granted']);
});

it('a raised limit alerts when its own percentage is reached', () => {
  const told = withAlert(100, 50);
  told.ask('a', 60);
  expect(define(told, tenantDay(1_000, 50))).toEqual(['account.budgets_defined']);
  expect(told.ask('b', 439)).toEqual(['lease.asked', 'lease.granted']);
  expect(told.ask('c', 1)).toEqual(['lease.asked', 'lease.granted', 'budget.alerted']);
});

it('a vendor that charges more than was leased can make it alert, but not about a day that is over', () => {
  const told = withAlert(100, 80);
  told.ask('a', 70, { expiresAt: NOON + 48 * HOUR });
  told.ask('b', 5, { expiresAt: NOON + 48 * HOUR });
  expect(told.settle('a', 75)).toEqual(['lease.settled', 'budget.alerted']);
  const next = withAlert(100, 80);
  next.ask('a', 70, { expiresAt: NOON + 48 * HOUR });
  next.now += 24 * HOUR;
  expect(next.settle('a', 100)).toEqual(['lease.settled']);
});

it('a budget of nothing does not alert before something counts against it', () => {
  const told = withAlert(0, 1);
  expect(alertsOf(told)).toEqual([]);
  const late = new Telling();
  late.ask('a', 1);
  expect(define(late, tenantDay(0, 100))).toEqual(['account.budgets_defined', 'budget.alerted']);
});

it('keys and models alert for themselves, also about who was served by a settlement', () => {
  const told = new Telling();
  const each = { period: 'total', limitMicroUsd: 100, alertAtPercent: 50 } as const;
  told.tell({
    kind: 'define',
    request: 'r',
    slots: 1,
    budgets: [
      { ...each, scope: 'key:k1' },
      { ...each, scope: 'model:m' },
    ],
  });
  told.ask('a_1', 10, { key: 'k2', model: 'other' });
  told.ask('b_1', 50, { key: 'k1', model: 'other' });
  told.ask('c_1', 50, { key: 'k2', model: 'vendor/m' });
  expect(told.settle('a_1', 10)).toEqual(['lease.settled', 'lease.granted', 'budget.alerted']);
  expect(told.settle('b_1', 50)).toEqual(['lease.settled', 'lease.granted', 'budget.alerted']);
  expect(alertsOf(told)).toMatchObject([{ scope: 'key:k1' }, { scope: 'model:m' }]);
});

it('that a budget alerted is carried over, with when; of a period that is over it is forgotten', () => {
  const told = new Telling();
  const each = { scope: 'tenant', limitMicroUsd: 1_000, alertAtPercent: 1 } as const;
  define(told, { ...each, period: 'day' }, { ...each, period: 'total' });
  expect(told.ask('a', 10)).toContain('budget.alerted');
  const reachedAt = told.now;
  told.now += 24 * HOUR;
  for (let n = 0; told.account.version < CARRY_AFTER; n++) told.ask(`refused ${n}`, 100_000);
  const at = told.events.findIndex((event) => event.type === 'account.carried');
  const loaded = told.events.slice(at).reduce((state, event) => evolveAccount(state, event, told.now), startingBefore(at + 1));
  expect(told.events[at]?.data).toMatchObject({ alerts: [{ scope: 'tenant', period: 'total', day: '2026-11-21', at: reachedAt }] });
  expect(loaded.alerts).toEqual(told.account.alerts);
  expect(alertedAt(loaded.alerts, { ...each, period: 'total' }, dayOf(told.now))).toBe(reachedAt);
  expect(alertedAt(loaded.alerts, { ...each, period: 'day' }, dayOf(told.now))).toBeUndefined();
  expect(told.ask('b', 10)).toEqual(['lease.asked', 'lease.granted', 'budget.alerted']);
});

it('without a percentage nothing alerts, and nothing of it is carried over', () => {
  const told = withBudgets(null, ['tenant', 'day', 100]);
  expect(told.ask('a', 100)).toEqual(['lease.asked', 'lease.granted']);
  for (let n = 0; told.account.version < CARRY_AFTER; n++) told.ask(`refused ${n}`, 100_000);
  const carried = told.events.find((event) => event.type === 'account.carried');
  expect(Object.keys(carried?.data ?? {})).toEqual(['budgets', 'slots', 'frozen', 'meters']);
});

it.each([
  ['a strange scope', [{ scope: 'everybody', period: 'day', limitMicroUsd: 1 }], null],
  [
    'two of one kind',
    [
      { scope: 'tenant', period: 'day', limitMicroUsd: 1 },
      { scope: 'tenant', period: 'day', limitMicroUsd: 2 },
    ],
    null,
  ],
  ['a broken limit', [{ scope: 'tenant', period: 'day', limitMicroUsd: 0.5 }], null],
  ['no slot at all', [], 0],
  ['an alert at nothing', [tenantDay(1, 0)], null],
  ['an alert beyond all', [tenantDay(1, 101)], null],
  ['an alert at a broken percentage', [tenantDay(1, 1.5)], null],
] as const)('refuses %s', (_, budgets, slots) => {
  expect(new Telling().tell({ kind: 'define', request: 'r', budgets, slots })).toEqual(['BudgetsInvalid']);
});
