import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Account, evolveAccount, NO_ACCOUNT, REMEMBERED_MS, startingBefore } from './account.ts';
import { type Budget, dayOf, type Period, PERIODS } from './budgets.ts';
import { type AccountInput, decideAccount, standingOf } from './decide.ts';
import type { AccountEvent, BudgetAlerted, LeaseAsk } from './events.ts';
import { type RecordedAccountDecision, replayAccount } from './replay.ts';

/**
 * An account, whoever asks of it, and a bus between them that repeats, loses and delays; owners come and go and may
 * believe too long that they own. Every schedule is drawn by fast-check; `MANDATE_SEED=<seed>` runs one again.
 */
interface Holder {
  readonly ask: LeaseAsk;
  readonly askedAt: number;
  /** What it was granted; it spends only then. */
  granted?: number;
  spent: number;
  dead: boolean;
}

interface Booked {
  readonly ask: LeaseAsk;
  readonly day: string;
  leased: number;
  spent: number;
  /** Slots that are its own. */
  granted: number;
  isOut: boolean;
}

/** `t7_2` is more for the task `t7`; a router's lease is nobody's but its own. */
const taskOf = (lease: string): string => lease.replace(/_\d+$/, '');

type Message = { readonly input: AccountInput };

class World {
  readonly log: RecordedAccountDecision[] = [];
  now = Date.UTC(2026, 10, 30, 22);
  owner = { state: NO_ACCOUNT, epoch: 1 };
  stale: { state: Account; epoch: number } | undefined;
  epoch = 1;
  version = 0;
  inbox: Message[] = [];
  readonly holders = new Map<string, Holder>();
  /** The same in order. */
  readonly asked: Holder[] = [];
  /** By the world's own count: money of granted leases by id, with the day of the grant; spent once they have ended. */
  readonly book = new Map<string, Booked>();
  readonly answers = new Map<string, string>();
  budgets: readonly Budget[] = [];
  slots: number | null = null;
  /** By the world's own count: the period in which a budget alerted last; an entry is gone when it is armed again. */
  readonly alerted = new Map<string, string>();

  deliver(owner: { state: Account; epoch: number }, { input }: Message): void {
    const decision = decideAccount(input, owner.state, { now: this.now });
    if (decision.kind === 'events') {
      // The fence and the expected version: a stale owner's decision is void, and nothing of it is answered.
      if (owner.epoch !== this.epoch || owner.state.version !== this.version) return;
      const at = Math.max(owner.state.at, this.now);
      this.log.push({ at, events: decision.events });
      this.version += decision.events.length;
      for (const event of decision.events) {
        this.check(owner.state, event);
        owner.state = evolveAccount(owner.state, event, at);
      }
      for (const event of decision.events)
        if ('lease' in event.data && event.type !== 'lease.settled_late') this.concluded(owner.state, event.data.lease);
      this.invariants(owner.state);
      this.alerts(decision.events);
    } else if (owner.epoch === this.epoch && input.kind === 'ask') this.answer(owner.state, input.ask.lease);
  }

  concluded(state: Account, lease: string): void {
    this.answer(state, lease);
    // What a holder really spent is never more than what the account counts for it.
    const spent = this.holders.get(lease)?.spent ?? 0;
    const entry = this.book.get(lease);
    if (spent > (entry === undefined ? 0 : Math.max(entry.leased, entry.spent))) throw new Error(`${lease} spent ${spent} unseen`);
  }

  answer(state: Account, lease: string): void {
    const standing = standingOf(state, lease);
    if (standing.kind !== 'granted' && standing.kind !== 'refused') return;
    const said = JSON.stringify(standing);
    const before = this.answers.get(lease);
    const holder = this.holders.get(lease);
    // Who is gone for so long hears no answer to a late copy.
    const hears = holder === undefined || !holder.dead || this.now < holder.askedAt + REMEMBERED_MS;
    if (before !== undefined && before !== said && hears) throw new Error(`${lease} was answered ${before}, then ${said}`);
    this.answers.set(lease, said);
    if (holder !== undefined && standing.kind === 'granted') holder.granted ??= standing.moneyMicroUsd;
  }

  check(state: Account, event: AccountEvent): void {
    switch (event.type) {
      case 'account.budgets_defined':
        for (const was of this.budgets) {
          const is = event.data.budgets.find(({ scope, period }) => scope === was.scope && period === was.period);
          const [limit, percent] = [is?.limitMicroUsd ?? Infinity, is?.alertAtPercent ?? Infinity];
          if (limit > was.limitMicroUsd || percent > (was.alertAtPercent ?? 0)) this.alerted.delete(`${was.scope}, ${was.period}`);
        }
        this.budgets = event.data.budgets;
        this.slots = event.data.slots;
        return;
      case 'lease.granted': {
        const { lease, moneyMicroUsd } = event.data;
        if (this.book.has(lease)) throw new Error(`${lease} was granted twice`);
        if (state.frozen) throw new Error('granted while frozen');
        const head = state.waiting.find((ask) => ask.lease === lease);
        if (head === undefined) throw new Error(`${lease} did not wait`);
        const before = state.waiting[0]?.lease;
        if (before !== lease && !this.tasksOut().has(taskOf(lease))) throw new Error(`${lease} was served before ${before}`);
        if (moneyMicroUsd < head.leastMicroUsd || moneyMicroUsd > head.moneyMicroUsd) throw new Error('granted another sum');
        // More for a task that has its slot takes no other.
        const slots = this.tasksOut().has(taskOf(lease)) ? 0 : (event.data.slots ?? 1);
        this.book.set(lease, { ask: head, day: dayOf(this.now), leased: moneyMicroUsd, spent: 0, granted: slots, isOut: true });
        for (const budget of this.budgets)
          if (moneyMicroUsd > 0 && this.used(budget) > budget.limitMicroUsd && this.concerns(budget, head))
            throw new Error(`${budget.scope} is passed`);
        if (this.slots !== null && slots > 0 && this.taken() > this.slots) throw new Error('more slots than there are');
        return;
      }
      case 'lease.settled':
      case 'lease.expired': {
        const entry = this.book.get(event.data.lease);
        if (entry === undefined || !entry.isOut) throw new Error(`${event.data.lease} ended and was not out`);
        if (event.type === 'lease.expired' && event.data.spentMicroUsd !== entry.leased) throw new Error('expired, and not in full');
        Object.assign(entry, { leased: 0, isOut: false, spent: event.data.spentMicroUsd });
        // The slot stays with whatever else the task has out.
        const heir = [...this.book.values()].find((other) => other.isOut && taskOf(other.ask.lease) === taskOf(event.data.lease));
        if (heir !== undefined) heir.granted += entry.granted;
        entry.granted = 0;
        return;
      }
      default:
        return;
    }
  }

  concerns({ scope }: Budget, ask: LeaseAsk): boolean {
    return (
      scope === 'tenant' ||
      scope === `key:${ask.key}` ||
      (scope.startsWith('model:') && (ask.model === null || scope === `model:${ask.model}`))
    );
  }

  used(budget: Budget): number {
    const today = dayOf(this.now);
    return [...this.book.values()]
      .filter(({ ask }) => this.concerns(budget, ask))
      .filter(({ day }) => budget.period === 'total' || (budget.period === 'day' ? day === today : day.slice(0, 7) === today.slice(0, 7)))
      .reduce((sum, { leased, spent }) => sum + leased + spent, 0);
  }

  alerts(events: readonly AccountEvent[]): void {
    const due = JSON.stringify(this.alertsDue());
    const said = JSON.stringify(events.flatMap((event) => (event.type === 'budget.alerted' ? [event.data] : [])));
    if (said !== due) throw new Error(`it alerted ${said} instead of ${due}`);
  }

  /** Every budget that is where it alerts, and has not alerted in this period since it was armed; from now on it has. */
  alertsDue(): readonly BudgetAlerted[] {
    const day = new Date(this.now).toISOString().slice(0, 10);
    return this.budgets.flatMap((budget): readonly BudgetAlerted[] => {
      const { scope, period, limitMicroUsd, alertAtPercent } = budget;
      const usedMicroUsd = this.used(budget);
      const name = `${scope}, ${period}`;
      const during = { total: 'ever', month: day.slice(0, 7), day }[period];
      if (alertAtPercent === undefined || usedMicroUsd === 0 || usedMicroUsd * 100 < limitMicroUsd * alertAtPercent) return [];
      if (this.alerted.get(name) === during) return [];
      this.alerted.set(name, during);
      return [{ scope, period, day, usedMicroUsd, limitMicroUsd, percent: alertAtPercent }];
    });
  }

  tasksOut(): ReadonlySet<string> {
    return new Set([...this.book.values()].flatMap(({ ask, isOut }) => (isOut && ask.holder === 'workflow' ? [taskOf(ask.lease)] : [])));
  }

  taken(): number {
    return [...this.book.values()].reduce((sum, { granted }) => sum + granted, 0);
  }

  invariants(state: Account): void {
    if (state.slotsTaken !== this.taken()) throw new Error('slots are miscounted');
    for (const [name, meter] of state.meters) if (meter.leasedMicroUsd < 0) throw new Error(`${name} leases less than nothing`);
  }

  takeOver(keepStale: boolean): void {
    this.epoch += 1;
    this.stale = keepStale ? this.owner : undefined;
    this.owner = { state: this.load(), epoch: this.epoch };
  }

  /** As its owner loads it: from the last event that carried everything over. */
  load(): Account {
    const flat = this.log.flatMap(({ at, events }) => events.map((event) => ({ at, event })));
    const from = Math.max(
      0,
      flat.findLastIndex(({ event }) => event.type === 'account.carried'),
    );
    return flat
      .slice(from)
      .reduce((state, { at, event }) => evolveAccount(state, event, at), from === 0 ? NO_ACCOUNT : startingBefore(from + 1));
  }
}

type Turn =
  | {
      readonly do: 'ask';
      readonly holder: 'router' | 'workflow';
      /** More for the task of somebody who asked before, when it is a task. */
      readonly for: number | null;
      readonly ask: Pick<LeaseAsk, 'moneyMicroUsd' | 'leastMicroUsd' | 'slots' | 'key' | 'model'>;
      readonly waitMs: number;
      readonly lifeMs: number;
    }
  | {
      readonly do: 'ask again' | 'deliver' | 'deliver twice' | 'lose a message' | 'deliver to a stale owner' | 'die';
      readonly pick: number;
    }
  | { readonly do: 'spend' | 'settle'; readonly pick: number; readonly part: number }
  | { readonly do: 'take over' | 'take over beside a stale owner' | 'freeze' | 'thaw' }
  | {
      readonly do: 'define';
      readonly limits: readonly number[];
      readonly percents: readonly (number | null)[];
      readonly slots: number | null;
    }
  | { readonly do: 'wait'; readonly ms: number };

const key = fc.constantFrom(null, 'k1', 'k2');
const model = fc.constantFrom(null, 'm1', 'm2');
const turn: fc.Arbitrary<Turn> = fc.oneof(
  {
    weight: 7,
    arbitrary: fc.record({
      do: fc.constant('ask' as const),
      holder: fc.constantFrom('router', 'workflow'),
      for: fc.option(fc.nat(50), { freq: 2 }),
      ask: fc
        .record({
          moneyMicroUsd: fc.integer({ min: 0, max: 40 }),
          spare: fc.integer({ min: 0, max: 40 }),
          slots: fc.integer({ min: 1, max: 3 }),
          key,
          model,
        })
        .map(({ spare, ...ask }) => ({ ...ask, leastMicroUsd: Math.max(0, ask.moneyMicroUsd - spare) })),
      waitMs: fc.constantFrom(1_000, 60_000, 3_600_000),
      lifeMs: fc.constantFrom(30_000, 600_000, 7_200_000),
    }),
  },
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constantFrom(
        'ask again',
        'deliver',
        'deliver',
        'deliver',
        'deliver twice',
        'lose a message',
        'deliver to a stale owner',
        'die',
      ),
      pick: fc.nat(50),
    }),
  },
  { weight: 7, arbitrary: fc.record({ do: fc.constantFrom('spend', 'settle'), pick: fc.nat(50), part: fc.nat(100) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('take over', 'take over beside a stale owner', 'freeze', 'thaw') }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('define' as const),
      limits: fc.array(fc.integer({ min: 0, max: 150 }), { minLength: 5, maxLength: 5 }),
      percents: fc.array(fc.option(fc.integer({ min: 1, max: 100 }), { freq: 3 }), { minLength: 5, maxLength: 5 }),
      slots: fc.option(fc.integer({ min: 1, max: 4 })),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(10, 5_000, 61_000, 600_001, 3_600_000, 36_000_000) }),
  },
);

const SCOPES = ['tenant', 'key:k1', 'model:m1', 'model:m2', 'tenant'] as const;
const budgetsOf = (limits: readonly number[], percents: readonly (number | null)[]): readonly Budget[] =>
  limits.flatMap((limitMicroUsd, index): Budget[] => {
    const scope = SCOPES[index];
    const period: Period = index === 4 ? 'day' : (PERIODS[(limitMicroUsd + 1) % 3] ?? 'day');
    if (scope === undefined || (index === 0 && period === 'day') || limitMicroUsd > 130) return [];
    const percent = percents[index] ?? null;
    return [{ scope, period, limitMicroUsd, ...(percent === null ? {} : { alertAtPercent: percent }) }];
  });

let names = 0;

function play(world: World, step: Turn): void {
  const lately = 'pick' in step ? world.asked.slice(-50) : [];
  const picked = 'pick' in step ? lately[step.pick % Math.max(1, lately.length)] : undefined;
  switch (step.do) {
    case 'ask': {
      const tasks = world.asked.slice(-50).filter((each) => each.ask.holder === 'workflow' && !each.dead);
      const task = step.for === null ? undefined : tasks[step.for % Math.max(1, tasks.length)];
      const isTask = task !== undefined || step.holder === 'workflow';
      const ask: LeaseAsk = {
        lease: task !== undefined ? `${taskOf(task.ask.lease)}_${++names}` : isTask ? `t${++names}_1` : `l${++names}`,
        holder: isTask ? 'workflow' : 'router',
        ...step.ask,
        // What is asked for a task; more would be forgotten when only its top-ups are carried over.
        ...(isTask ? { slots: 1 } : {}),
        waitUntil: world.now + step.waitMs,
        expiresAt: world.now + step.lifeMs,
      };
      const holder: Holder = { ask, askedAt: world.now, spent: 0, dead: false };
      world.holders.set(ask.lease, holder);
      world.asked.push(holder);
      world.inbox.push({ input: { kind: 'ask', ask, sentAt: world.now } });
      return;
    }
    case 'ask again':
      // Its answer may have been lost; whoever was answered long ago knows.
      if (picked !== undefined && !picked.dead && (!world.answers.has(picked.ask.lease) || world.now < picked.askedAt + 300_000))
        world.inbox.push({ input: { kind: 'ask', ask: picked.ask, sentAt: world.now } });
      return;
    case 'deliver':
    case 'deliver twice':
    case 'lose a message':
    case 'deliver to a stale owner': {
      const message = world.inbox.splice(step.pick % Math.max(1, world.inbox.length), 1)[0];
      if (message === undefined || step.do === 'lose a message') return;
      if (step.do === 'deliver to a stale owner' && world.stale !== undefined) {
        world.deliver(world.stale, message);
        world.inbox.push(message);
        return;
      }
      world.deliver(world.owner, message);
      // The copy comes whenever it comes.
      if (step.do === 'deliver twice') world.inbox.push(message);
      return;
    }
    case 'spend':
      if (picked?.granted !== undefined && !picked.dead)
        picked.spent = Math.max(picked.spent, Math.floor((picked.granted * step.part) / 100));
      return;
    case 'settle':
      if (picked === undefined || picked.dead) return;
      picked.dead = true;
      world.inbox.push({
        input: {
          kind: 'settle',
          settlement: { lease: picked.ask.lease, spentMicroUsd: picked.spent, usage: { modelCalls: 1, tokens: picked.spent } },
        },
      });
      return;
    case 'die':
      if (picked !== undefined) picked.dead = true;
      return;
    case 'take over':
      return world.takeOver(false);
    case 'take over beside a stale owner':
      return world.takeOver(true);
    case 'freeze':
    case 'thaw':
      return world.deliver(world.owner, { input: { kind: step.do, request: 'r' } });
    case 'define':
      return world.deliver(world.owner, {
        input: { kind: 'define', request: 'r', budgets: budgetsOf(step.limits, step.percents), slots: step.slots },
      });
    case 'wait':
      world.now += step.ms;
      return world.deliver(world.owner, { input: { kind: 'timer' } });
  }
}

/** Long histories would otherwise be mostly silence. */
const DELIVERED_EVERY = 100;

function playAll(turns: readonly Turn[]): World {
  const world = new World();
  for (const [index, step] of turns.entries()) {
    play(world, step);
    if (index % DELIVERED_EVERY !== DELIVERED_EVERY - 1) continue;
    world.deliver(world.owner, { input: { kind: 'thaw', request: 'r' } });
    for (const message of world.inbox.splice(0)) world.deliver(world.owner, message);
  }
  // Whatever happened, from here on all goes well: nothing stays out.
  for (const message of world.inbox.splice(0)) world.deliver(world.owner, message);
  world.deliver(world.owner, { input: { kind: 'thaw', request: 'r' } });
  for (let round = 0; round < 3; round++) {
    world.now += 8 * 3_600_000;
    world.deliver(world.owner, { input: { kind: 'timer' } });
  }
  return world;
}

function holdsInTheEnd(world: World): void {
  const { state } = world.owner;
  expect([state.leases.size, state.waiting.length, state.slotsTaken]).toEqual([0, 0, 0]);
  const asked = world.log.flatMap(({ events }) => events.flatMap((event) => (event.type === 'lease.asked' ? [event.data.lease] : [])));
  expect(asked.filter((lease) => !world.answers.has(lease))).toEqual([]);
  const again = replayAccount(world.log);
  expect(again.kind === 'diverged' ? [again.index, again.recorded, again.decided] : 'same').toBe('same');
  expect(plain(world.load())).toEqual(plain(state));
}

const plain = (account: Account): unknown => ({
  ...account,
  meters: Object.fromEntries(account.meters),
  leases: account.leases.size,
  ended: account.ended.size,
});

const seed = process.env['MANDATE_SEED'] === undefined ? {} : { seed: Number(process.env['MANDATE_SEED']) };
const RUNS = Number(process.env['MANDATE_RUNS'] ?? 5_000);

describe(`over ${RUNS} random schedules of repeats, losses, delays, deaths, takeovers and freezes`, () => {
  it('never leases beyond a budget or its slots, never answers twice differently, alerts once, and gets everything back', () => {
    fc.assert(
      fc.property(fc.array(turn, { maxLength: 60, size: 'max' }), (turns) => holdsInTheEnd(playAll(turns))),
      { numRuns: RUNS, ...seed },
    );
  }, 600_000);

  it('and the same over a history so long that it is carried over', () => {
    fc.assert(
      fc.property(fc.array(turn, { minLength: 9_000, maxLength: 10_000, size: 'max' }), (turns) => {
        const world = playAll(turns);
        holdsInTheEnd(world);
        expect(world.log.some(({ events }) => events.some((event) => event.type === 'account.carried'))).toBe(true);
      }),
      { numRuns: Math.max(1, Math.floor(RUNS / 20_000)), endOnFailure: true, ...seed },
    );
  }, 600_000);
});
