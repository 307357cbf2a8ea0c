import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RequestId } from '../ids.ts';
import { plus, NONE } from '../mandate/mandate.ts';
import { decide } from './decide.ts';
import type { WorkflowEvent } from './events.ts';
import { environment, modelSays, submission, toolSays } from './given.ts';
import type { WorkflowInput } from './inputs.ts';
import { pending } from './pending.ts';
import { type RecordedDecision, replay } from './replay.ts';
import type { Answer, OpenAttempt } from './steps.ts';
import { ABSENT, evolve, isOpen, type Workflow } from './workflow.ts';

/**
 * A whole world in miniature: a log with versions, owners that come and go and may believe too long that they own,
 * a bus that repeats, reorders and forgets, workers that claim and die. Every schedule is drawn by fast-check: a failure
 * prints its seed and path, and `MANDATE_SEED=<seed>` runs it again.
 */
class World {
  readonly log: RecordedDecision[] = [];
  version = 0;
  now = 1_000;
  bus = 1;
  /** Messages on the bus; delivered in any order, some twice. */
  inbox: WorkflowInput[] = [];
  commands: OpenAttempt[] = [];
  readonly claims = new Map<string, number>();
  readonly admitted = new Set<string>();
  /** What each attempt really cost, by the world's own count: the oracle. */
  billed = NONE;
  readonly effects = new Map<string, number>();
  owner: { state: Workflow; epoch: number } = { state: ABSENT, epoch: 1 };
  stale: { state: Workflow; epoch: number } | undefined;
  epoch = 1;

  deliver(owner: { state: Workflow; epoch: number }, input: WorkflowInput): void {
    const decision = decide(input, owner.state, { now: this.now, bus: `bus-${this.bus}` });
    if (decision.kind !== 'events') return;
    const at = Math.max(owner.state.at, this.now);
    // The fence and the expected version: a stale owner's decision is void.
    if (owner.epoch !== this.epoch || owner.state.version !== this.version) return;
    this.log.push({ at, events: decision.events });
    this.version += decision.events.length;
    for (const event of decision.events) {
      owner.state = evolve(owner.state, event, at);
      this.invariants(owner.state, event);
      if (event.type === 'attempt.reserved') this.dispatch(owner.state);
    }
  }

  dispatch(state: Workflow): void {
    this.commands.push(...pending(state).dispatch);
  }

  /** A new process owns the partition: it knows only the log. */
  takeOver(keepStale: boolean): void {
    this.epoch += 1;
    this.stale = keepStale ? this.owner : undefined;
    const state = this.log.reduce((folded, { at, events }) => events.reduce((next, event) => evolve(next, event, at), folded), ABSENT);
    this.owner = { state, epoch: this.epoch };
    this.dispatch(state);
  }

  wipeBus(): void {
    this.bus += 1;
    this.claims.clear();
    this.commands = [];
    this.inbox = [];
    this.deliver(this.owner, { kind: 'bus_reset', incarnation: `bus-${this.bus}` });
    this.dispatch(this.owner.state);
  }

  /** A worker takes a command. `fate` decides whether it dies and what it answers. */
  work(attempt: OpenAttempt, fate: Fate): void {
    const nonIdempotent = attempt.owes.kind === 'tool' && attempt.owes.effect === 'non_idempotent';
    if (nonIdempotent) {
      const runner = `runner-${fate.runner}`;
      this.deliver(this.owner, { kind: 'start', attempt: attempt.id, runner });
      if (this.owner.state.attempts.get(attempt.id)?.runner !== runner) return;
      // A process runs an attempt once; one that was started again has another name.
      if (this.admitted.has(`${attempt.id}/${runner}`)) return;
      this.admitted.add(`${attempt.id}/${runner}`);
    } else {
      if (attempt.bus !== `bus-${this.bus}`) return this.say(attempt, { outcome: 'lost' });
      if (this.claims.has(attempt.id)) return this.say(attempt, { outcome: 'lost' });
      this.claims.set(attempt.id, fate.runner);
    }
    if (this.now > attempt.expiresAt)
      return this.say(attempt, { outcome: 'expired', failure: { code: 'expired', retryable: true, billed: 'no' } });
    if (fate.dies === 'before the call') return;
    if (fate.unbilled) return this.say(attempt, { outcome: 'failed', failure: { code: 'rate_limit', retryable: true, billed: 'no' } });
    this.effects.set(attempt.id, (this.effects.get(attempt.id) ?? 0) + 1);
    const answer = this.answerOf(attempt, fate);
    if (answer.kind === 'llm')
      this.billed = plus(this.billed, {
        ...NONE,
        moneyMicroUsd: answer.costMicroUsd,
        tokens: answer.usage.inputTokens + answer.usage.outputTokens,
        modelCalls: 1,
      });
    if (answer.kind === 'tool') this.billed = plus(this.billed, { ...NONE, toolCalls: 1 });
    if (fate.dies === 'after the call') return;
    this.say(attempt, { outcome: 'succeeded', answer });
  }

  answerOf(attempt: OpenAttempt, fate: Fate): Answer {
    if (attempt.owes.kind === 'llm') return modelSays(...fate.tools.map((n) => ['files__read', 'mail__send', null][n] ?? null));
    if (attempt.owes.kind === 'tool') return toolSays(fate.runner * 10);
    return {
      kind: 'analyze',
      analysis: {
        analyzerVersion: '1',
        intent: 'analysis',
        taskType: 'reasoning',
        complexityScore: 1,
        tier: 'simple',
        capabilities: [],
        estimatedSteps: 1,
        confidence: 0.5,
        language: 'en',
        reasons: [],
      },
    };
  }

  say(attempt: OpenAttempt, result: Omit<Extract<WorkflowInput, { kind: 'result' }>, 'kind' | 'attempt'>): void {
    this.inbox.push({ kind: 'result', attempt: attempt.id, ...result });
  }

  fireTimers(): void {
    for (const timer of pending(this.owner.state).timers.filter(({ at }) => at <= this.now)) {
      if (timer.fire.timer === 'attempt') this.deliver(this.owner, { kind: 'attempt_timer', attempt: timer.fire.attempt });
      else if (timer.fire.timer === 'retry')
        this.deliver(this.owner, { kind: 'retry_timer', step: timer.fire.step, attempt: timer.fire.attempt });
      else this.deliver(this.owner, { kind: 'workflow_timer' });
    }
  }

  /** Holds after every single event. */
  invariants(state: Workflow, event: WorkflowEvent): void {
    for (const agent of state.agents.values()) {
      const { limits, reserved, spent } = agent.mandate;
      for (const dimension of ['moneyMicroUsd', 'tokens', 'modelCalls', 'toolCalls'] as const) {
        if (reserved[dimension] < 0) throw new Error(`${event.type}: reserved ${dimension} is negative`);
        if (reserved[dimension] + spent[dimension] > limits[dimension]) throw new Error(`${event.type}: ${dimension} passes the mandate`);
      }
      if (agent.depth > 2) throw new Error('depth');
    }
  }
}

interface Fate {
  readonly runner: number;
  readonly dies: 'no' | 'before the call' | 'after the call';
  readonly unbilled: boolean;
  readonly tools: readonly number[];
}

const fate: fc.Arbitrary<Fate> = fc.record({
  runner: fc.integer({ min: 0, max: 3 }),
  dies: fc.oneof(
    { weight: 6, arbitrary: fc.constant('no' as const) },
    { weight: 1, arbitrary: fc.constant('before the call' as const) },
    { weight: 1, arbitrary: fc.constant('after the call' as const) },
  ),
  unbilled: fc.oneof({ weight: 5, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
  tools: fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 3 }),
});

type Turn =
  | { readonly do: 'work'; readonly pick: number; readonly fate: Fate }
  | { readonly do: 'work twice'; readonly pick: number; readonly fate: Fate }
  | { readonly do: 'deliver' | 'deliver twice' | 'lose a message' | 'deliver to a stale owner'; readonly pick: number }
  | { readonly do: 'take over' | 'take over beside a stale owner' | 'redispatch' | 'wipe the bus' | 'cancel' }
  | { readonly do: 'wait'; readonly ms: number };

const turn: fc.Arbitrary<Turn> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('work' as const), pick: fc.nat(50), fate }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('work twice' as const), pick: fc.nat(50), fate }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('deliver' as const), pick: fc.nat(50) }) },
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
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('wipe the bus' as const, 'wipe the bus' as const, 'cancel' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 120_000 }) }) },
);

function play(world: World, step: Turn): void {
  switch (step.do) {
    case 'work':
    case 'work twice': {
      const attempt = world.commands.splice(step.pick % Math.max(1, world.commands.length), 1)[0];
      if (attempt === undefined) return;
      world.work(attempt, step.fate);
      if (step.do === 'work twice') world.work(attempt, { ...step.fate, runner: (step.fate.runner + 1) % 4 });
      return;
    }
    case 'deliver':
    case 'deliver twice':
    case 'lose a message':
    case 'deliver to a stale owner': {
      const input = world.inbox.splice(step.pick % Math.max(1, world.inbox.length), 1)[0];
      if (input === undefined || step.do === 'lose a message') return;
      if (step.do === 'deliver to a stale owner' && world.stale !== undefined) {
        world.deliver(world.stale, input);
        world.inbox.push(input);
        return;
      }
      world.deliver(world.owner, input);
      if (step.do === 'deliver twice') world.deliver(world.owner, input);
      return;
    }
    case 'take over':
      return world.takeOver(false);
    case 'take over beside a stale owner':
      return world.takeOver(true);
    case 'redispatch':
      return world.dispatch(world.owner.state);
    case 'wipe the bus':
      return world.wipeBus();
    case 'cancel':
      return world.deliver(world.owner, { kind: 'cancel', request: 'c1' as RequestId });
    case 'wait':
      world.now += step.ms;
      return world.fireTimers();
  }
}

/** Whatever happened, from here on all goes well: the work must come to an end. */
function finishQuietly(world: World): void {
  const quiet: Fate = { runner: 0, dies: 'no', unbilled: false, tools: [] };
  for (let round = 0; round < 200 && isOpen(world.owner.state); round++) {
    world.dispatch(world.owner.state);
    for (const attempt of world.commands.splice(0)) world.work(attempt, quiet);
    for (const input of world.inbox.splice(0)) world.deliver(world.owner, input);
    world.now += 30_000;
    world.fireTimers();
  }
}

const limits = fc.record({
  maxCostMicroUsd: fc.integer({ min: 0, max: 30_000 }),
  maxToolCalls: fc.integer({ min: 0, max: 12 }),
  maxModelCalls: fc.integer({ min: 0, max: 12 }),
  deadlineMs: fc.integer({ min: 1_000, max: 1_800_000 }),
});
const seed = process.env['MANDATE_SEED'] === undefined ? {} : { seed: Number(process.env['MANDATE_SEED']) };
const RUNS = Number(process.env['MANDATE_RUNS'] ?? 3_000);

describe(`over ${RUNS} random schedules of duplicates, reordering, deaths, takeovers and bus wipes`, () => {
  it('never passes a mandate, never repeats an effect, always ends, bills at least what it spent, and replays the same', () => {
    fc.assert(
      fc.property(limits, fc.boolean(), fc.array(turn, { maxLength: 80 }), (options, analyzed, turns) => {
        const world = new World();
        world.deliver(world.owner, { ...submission({ ...options, ...(analyzed ? {} : { pattern: 'direct' }) }), environment });
        for (const step of turns) play(world, step);
        finishQuietly(world);

        const { state } = world.owner;
        expect(isOpen(state)).toBe(false);
        expect(state.attempts.size).toBe(0);
        for (const count of world.effects.values()) expect(count).toBe(1);
        const root = [...state.agents.values()][0];
        for (const dimension of ['moneyMicroUsd', 'tokens', 'modelCalls', 'toolCalls'] as const) {
          expect(root?.mandate.spent[dimension] ?? 0).toBeGreaterThanOrEqual(world.billed[dimension]);
          expect(root?.mandate.reserved[dimension] ?? 0).toBe(0);
        }
        const again = replay(world.log);
        expect(again.kind === 'diverged' ? [again.recorded, again.decided] : 'same').toBe('same');
      }),
      { numRuns: RUNS, ...seed },
    );
  }, 600_000);
});
