import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RequestId } from '../ids.ts';
import type { Tuning } from '../patterns/pattern.ts';
import { casting, environment, submission } from './given.ts';
import { faultsAtTheEnd, type Fate, plainAnalysis, World } from './given-world.ts';
import type { Environment } from './inputs.ts';
import { replay } from './replay.ts';
import { type Ask, type CallFacts, type Casting, PATTERN_NAMES, type PatternFit, type PlannedStep } from './steps.ts';

/**
 * Random schedules over the real `decide`, drawn by fast-check: a failure prints its seed and path, and
 * `MANDATE_SEED=<seed>` runs it again; `MANDATE_RUNS=<n>` asks for more.
 */
const seed = process.env['MANDATE_SEED'] === undefined ? {} : { seed: Number(process.env['MANDATE_SEED']) };
const runs = (usually: number): number => Number(process.env['MANDATE_RUNS'] ?? usually);

const often = <A, B>(usual: A, rare: fc.Arbitrary<B>, weight = 5): fc.Arbitrary<A | B> =>
  fc.oneof({ weight, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: rare });

const toolCall: fc.Arbitrary<CallFacts> = fc.record({
  tool: fc.constantFrom('files__read', 'files__put', 'mail__send', null),
  argsBytes: fc.nat(50),
});

/** `passing`: how often the work is handed over where it may be, one time in so many. */
const fate = (calls: fc.Arbitrary<readonly CallFacts[]>, passing = 3): fc.Arbitrary<Fate> =>
  fc.record({
    runner: fc.nat(3),
    dies: often('no' as const, fc.constantFrom('before the call' as const, 'after the call' as const)),
    fails: often('no' as const, fc.constantFrom('unbilled' as const, 'unbilled' as const, 'with a bill' as const, 'for good' as const)),
    retryAfterMs: often(0, fc.nat(600_000)),
    heeds: often(true, fc.constant(false)),
    bytes: often(20, fc.nat(60_000)),
    words: fc.constantFrom('w1', 'w2', 'w3'),
    percent: fc.nat(100),
    calls,
    plan: planCall,
    passing: often(undefined, handOverTurn, passing - 1),
    choice: fc.oneof(role, nobody).map((to) => [asking({ kind: 'choose', to })]),
    rating: fc
      .constantFrom('poor' as const, 'fair' as const, 'good' as const, 'excellent' as const)
      .map((rating) => [asking({ kind: 'rate', rating })]),
  });

const asking = (ask: Ask): CallFacts => ({ tool: null, argsBytes: 30, ask });
/** Some use tools that nobody was granted. */
const ROLES: readonly Casting[] = [
  casting('researcher@1'),
  casting('creator@1', ['files__read', 'files__put', 'mail__send']),
  casting('reviewer@1', []),
  casting('generalist@1', ['files__read', 'shell__run']),
  { ...casting('talker@1', []), baseBytes: 60_000 },
];
const role = fc.constantFrom(...ROLES);
const nobody = fc.constant(null);

const errand = fc.record(
  {
    to: fc.oneof({ weight: 15, arbitrary: role }, { weight: 1, arbitrary: nobody }),
    taskBytes: often(200, fc.nat(400_000), 8),
    fingerprint: fc.constantFrom('f0', 'f1', 'f2', 'f3', 'f4'),
    pattern: fc.constantFrom(...PATTERN_NAMES),
    tools: often(['files__read'], fc.subarray(['files__read', 'files__put', 'mail__send', 'shell__run', null], { maxLength: 2 })),
    sharePercent: often(30, fc.nat(150)),
    moneyMicroUsd: often(100_000, fc.nat(600_000)),
    estimateTokens: often(1_000, fc.nat(120_000)),
  },
  { requiredKeys: ['to', 'taskBytes', 'fingerprint'] },
);

const planCall: fc.Arbitrary<readonly CallFacts[]> = fc
  .array(fc.tuple(errand, fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'), fc.subarray(['a', 'b', 'c', 'z'], { maxLength: 2 })), {
    maxLength: 5,
  })
  .chain((steps) => {
    // Mostly a good plan: every id once, nothing that waits for a later step.
    const good = steps.map(
      ([one, , after], index): PlannedStep => ({
        ...one,
        id: `s${index}`,
        after: index > 0 && after.length > 0 ? [`s${index - 1}`] : [],
      }),
    );
    const any = steps.map(([one, id, after]): PlannedStep => ({ ...one, id, after }));
    return fc.record({ kind: fc.constant('plan' as const), complete: fc.boolean(), steps: often(good, fc.constant(any)) });
  })
  .map((plan) => [asking(plan)]);

const ask: fc.Arbitrary<CallFacts> = fc
  .oneof(
    { weight: 16, arbitrary: errand.map((one): Ask => ({ kind: 'delegate', ...one })) },
    {
      weight: 5,
      arbitrary: fc.record({
        kind: fc.constantFrom('consult', 'consult', 'transfer', 'transfer', 'transfer', 'choose'),
        to: errand.map(({ to }) => to),
      }),
    },
    { weight: 1, arbitrary: fc.constant<Ask>({ kind: 'invalid', problem: 'no task' }) },
    { weight: 1, arbitrary: fc.constant<Ask>({ kind: 'rate', rating: 'good' }) },
  )
  .map(asking);

/** Mostly among two, so that they pass it to and fro; often with other calls in the same turn. */
const handOverTurn: fc.Arbitrary<readonly CallFacts[]> = fc
  .tuple(
    fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...ROLES.slice(0, 2)) }, { weight: 1, arbitrary: role }),
    fc.array(fc.oneof(ask, toolCall), { maxLength: 3 }),
  )
  .map(([to, others]) => [asking({ kind: 'transfer', to }), ...others]);

type Turn =
  | { readonly do: 'work' | 'work twice'; readonly pick: number; readonly fate: Fate }
  | { readonly do: 'deliver' | 'deliver twice' | 'lose a message' | 'deliver to a stale owner'; readonly pick: number }
  | { readonly do: 'take over' | 'take over beside a stale owner' | 'redispatch' | 'wipe the bus' | 'cancel' | 'freeze' | 'thaw' }
  | { readonly do: 'cancel an agent'; readonly pick: number }
  | { readonly do: 'top up'; readonly request: number; readonly times: number; readonly deadlineMs: number; readonly lease: boolean }
  | { readonly do: 'answer the account'; readonly granted: boolean }
  | { readonly do: 'wait'; readonly ms: number };

const ordinary = (fates: fc.Arbitrary<Fate>): readonly { readonly weight: number; readonly arbitrary: fc.Arbitrary<Turn> }[] => [
  { weight: 20, arbitrary: fc.record({ do: often('work' as const, fc.constant('work twice' as const)), pick: fc.nat(50), fate: fates }) },
  { weight: 20, arbitrary: fc.record({ do: fc.constant('deliver' as const), pick: fc.nat(50) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('deliver twice' as const, 'lose a message' as const, 'deliver to a stale owner' as const),
      pick: fc.nat(50),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom('take over' as const, 'take over beside a stale owner' as const, 'redispatch' as const) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: often(1_000, fc.nat(120_000), 1) }) },
  { weight: 1, arbitrary: fc.record({ do: often('wipe the bus' as const, fc.constant('cancel' as const), 4) }) },
];
/** So many of the ordinary turns spare the whole task. */
const CALM = 5;
const interventions: readonly { readonly weight: number; readonly arbitrary: fc.Arbitrary<Turn> }[] = [
  { weight: 1, arbitrary: fc.record({ do: fc.constant('cancel an agent' as const), pick: fc.nat(20) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('top up' as const),
      request: fc.nat(3),
      times: fc.nat(5),
      deadlineMs: fc.constantFrom(0, 600_000),
      lease: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('freeze' as const, 'thaw' as const, 'thaw' as const) }) },
];

const answerOfTheAccount: { readonly weight: number; readonly arbitrary: fc.Arbitrary<Turn> } = {
  weight: 4,
  arbitrary: fc.record({ do: fc.constant('answer the account' as const), granted: often(true, fc.constant(false), 9) }),
};

function play(world: World, turn: Turn): void {
  switch (turn.do) {
    case 'work':
    case 'work twice': {
      const attempt = world.commands.splice(turn.pick % Math.max(1, world.commands.length), 1)[0];
      if (attempt === undefined) return;
      world.work(attempt, turn.fate);
      if (turn.do === 'work twice') world.work(attempt, { ...turn.fate, runner: (turn.fate.runner + 1) % 4 });
      return;
    }
    case 'deliver':
    case 'deliver twice':
    case 'lose a message':
    case 'deliver to a stale owner': {
      const input = world.inbox.splice(turn.pick % Math.max(1, world.inbox.length), 1)[0];
      if (input === undefined || turn.do === 'lose a message') return;
      if (turn.do === 'deliver to a stale owner' && world.stale !== undefined) {
        world.deliver(world.stale, input);
        world.inbox.push(input);
        return;
      }
      world.deliver(world.owner, input);
      if (turn.do === 'deliver twice') world.deliver(world.owner, input);
      return;
    }
    case 'take over':
    case 'take over beside a stale owner':
      return world.takeOver(turn.do !== 'take over');
    case 'redispatch':
      return world.dispatch(world.owner.state);
    case 'wipe the bus':
      return world.wipeBus();
    case 'cancel':
      return world.cancel();
    case 'cancel an agent':
      return world.cancel([...world.owner.state.agents.keys()][turn.pick]);
    case 'top up': {
      const { request, times, deadlineMs, lease } = turn;
      const added = { moneyMicroUsd: times * 20_000, tokens: times * 20_000, modelCalls: times, toolCalls: times };
      return world.deliver(world.owner, {
        kind: 'top_up',
        request: `up${request}` as RequestId,
        added,
        lease,
        ...(deadlineMs === 0 ? {} : { deadlineMs }),
      });
    }
    case 'answer the account':
      return world.answerAllowance(turn.granted);
    case 'freeze':
    case 'thaw':
      world.frozen = turn.do === 'freeze';
      return;
    case 'wait':
      world.now += turn.ms;
      return world.fireTimers();
  }
}

const quiet: Fate = {
  ...{ runner: 0, dies: 'no', fails: 'no', retryAfterMs: 0, heeds: true, bytes: 20, words: 'w1', percent: 50 },
  ...{ calls: [], plan: [], choice: [], rating: [], passing: undefined },
};

function endsWell(world: World, turns: readonly Turn[]): void {
  for (const turn of turns) play(world, turn);
  world.finishQuietly(quiet);
  expect(faultsAtTheEnd(world)).toEqual([]);
  const again = replay(world.log);
  expect(again.kind === 'diverged' ? [again.recorded, again.decided] : 'same').toBe('same');
}

const limits = fc.record({
  maxCostMicroUsd: fc.nat(30_000),
  maxToolCalls: fc.nat(12),
  maxModelCalls: fc.nat(12),
  deadlineMs: fc.integer({ min: 1_000, max: 1_800_000 }),
});

describe(`over ${runs(3_000)} random schedules of duplicates, reordering, deaths, takeovers and bus wipes`, () => {
  it('one agent never passes its mandate, never repeats an effect, always ends, and replays the same, in both editions', () => {
    const turns = fc.array(fc.oneof(...ordinary(fate(fc.array(toolCall, { maxLength: 3 })))), { maxLength: 80 });
    fc.assert(
      fc.property(limits, fc.boolean(), fc.constantFrom(1 as const, 2 as const), turns, (options, analyzed, edition, schedule) => {
        const world = new World();
        const granted = { ...environment, edition };
        world.deliver(world.owner, { ...submission({ ...options, ...(analyzed ? {} : { pattern: 'direct' }) }), environment: granted });
        endsWell(world, schedule);
      }),
      { numRuns: runs(3_000), ...seed },
    );
  }, 3_600_000);
});

const tuning: fc.Arbitrary<Tuning> = fc.record(
  {
    mode: fc.constantFrom('sections' as const, 'votes' as const),
    votes: fc.integer({ min: 2, max: 10 }),
    policy: fc.constantFrom('all' as const, 'quorum' as const, 'best_effort' as const),
    quorum: fc.integer({ min: 1, max: 10 }),
    planning: fc.constantFrom('full' as const, 'iterative' as const),
    minimumRating: fc.constantFrom('fair' as const, 'good' as const, 'excellent' as const),
    refinements: fc.nat(4),
  },
  { requiredKeys: [] },
);
const treeOptions = fc.record(
  {
    pattern: fc.constantFrom(...PATTERN_NAMES),
    maxCostMicroUsd: often(2_000_000, fc.nat(300_000), 2),
    maxTokens: often(2_000_000, fc.nat(400_000), 4),
    maxModelCalls: often(120, fc.nat(60), 2),
    maxToolCalls: fc.nat(40),
    deadlineMs: often(1_800_000, fc.integer({ min: 1_000, max: 1_800_000 }), 2),
    maxDepth: often(2, fc.nat(2)),
    maxAgents: often(20, fc.nat(20)),
    tuning,
  },
  { requiredKeys: ['maxCostMicroUsd', 'maxTokens', 'maxModelCalls', 'tuning'] },
);
const treeEnvironment: fc.Arbitrary<Environment> = fc.record({
  ...(Object.fromEntries(Object.entries(environment).map(([key, value]) => [key, fc.constant(value)])) as {
    [K in keyof Environment]: fc.Arbitrary<Environment[K]>;
  }),
  tools: fc.constant([...environment.tools, { name: 'files__put', effect: 'idempotent' }]),
  delegation: fc.record({
    maxDepth: often(2, fc.nat(4)),
    maxAgents: often(20, fc.nat(60)),
    deepest: often('read_only' as const, fc.constant('any' as const)),
  }),
  team: fc.shuffledSubarray([...ROLES]),
  lease: often(false, fc.constant(true), 3),
});
const fit: fc.Arbitrary<PatternFit> = fc
  .tuple(fc.shuffledSubarray([...PATTERN_NAMES], { minLength: 1 }), fc.nat(9))
  .map(([order, drop]) => ({
    table: 't1',
    scores: order.map((pattern, place) => ({ pattern, score: 0.9 - (place * drop) / 10, reasons: [] })),
  }));

describe(`over ${runs(1_500)} random delegation trees with the same faults, and cancels, top-ups, freezes and allowances`, () => {
  it('no agent passes its mandate, depth, number or tools; the tree spends what its root says; it always ends and replays the same', () => {
    const calls = fc.oneof(
      { weight: 5, arbitrary: fc.constant([]) },
      { weight: 9, arbitrary: fc.array(ask, { minLength: 1, maxLength: 5 }) },
      { weight: 3, arbitrary: fc.array(toolCall, { minLength: 1, maxLength: 3 }) },
      { weight: 3, arbitrary: fc.array(fc.oneof(ask, toolCall), { minLength: 2, maxLength: 4 }) },
      { weight: 1, arbitrary: fc.array(ask, { minLength: 12, maxLength: 14 }) },
    );
    const long = { maxLength: 150, size: 'max' } as const;
    const calm = fc.array(fc.oneof(...ordinary(fate(calls)).slice(0, CALM), answerOfTheAccount), long);
    const stormy = fc.array(fc.oneof(...ordinary(fate(calls)), ...interventions, answerOfTheAccount), long);
    const handing = fc.array(fc.oneof(...ordinary(fate(calls, 1)).slice(0, CALM), answerOfTheAccount), long);
    const turns = fc.noBias(fc.oneof({ weight: 5, arbitrary: calm }, { weight: 4, arbitrary: stormy }, { weight: 1, arbitrary: handing }));
    fc.assert(
      fc.property(treeOptions, treeEnvironment, fit, turns, (options, granted, fitting, schedule) => {
        const world = new World({ ...plainAnalysis, fit: fitting }, granted.team);
        world.deliver(world.owner, { ...submission(options), environment: granted });
        endsWell(world, schedule);
      }),
      { numRuns: runs(1_500), ...seed },
    );
  }, 3_600_000);
});
