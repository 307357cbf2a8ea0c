import { expect, it } from 'vitest';
import { type Account, evolveAccount, NO_ACCOUNT, REMEMBERED_MS, startingBefore } from './account.ts';
import { dayOf } from './budgets.ts';
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
] as const)('refuses %s', (_, budgets, slots) => {
  expect(new Telling().tell({ kind: 'define', request: 'r', budgets, slots })).toEqual(['BudgetsInvalid']);
});
