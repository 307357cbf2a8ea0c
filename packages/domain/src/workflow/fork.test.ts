import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AgentId, RequestId, StepId } from '../ids.ts';
import { NONE } from '../mandate/mandate.ts';
import { decide } from './decide.ts';
import type { TaskForked, WorkflowEvent } from './events.ts';
import { forkChanges, isReusing, reusableSteps } from './fork.ts';
import { casting, delegating, environment, modelAsks, modelSays, submission, Telling, toolSays } from './given.ts';
import { faultsAtTheEnd, type Fate, plainAnalysis, World } from './given-world.ts';
import type { Environment, WorkflowInput } from './inputs.ts';
import { pending } from './pending.ts';
import { replay } from './replay.ts';
import type { CallFacts } from './steps.ts';
import { ABSENT, isOpen } from './workflow.ts';

const seed = process.env['MANDATE_SEED'] === undefined ? {} : { seed: Number(process.env['MANDATE_SEED']) };
const runs = Number(process.env['MANDATE_RUNS'] ?? 600);

type Fork = Extract<WorkflowInput, { kind: 'fork' }>;

function forkOf(events: readonly WorkflowEvent[], upTo: number, over: Partial<Fork> = {}): Fork {
  const { kind: _, ...submitted } = submission();
  return {
    kind: 'fork',
    ...submitted,
    origin: { workflow: `wf_11_${'a'.repeat(26)}`, version: upTo, hash: '0'.repeat(64) },
    hops: 1,
    firewall: { allowed: [] },
    changed: [],
    reuse: reusableSteps(events, upTo),
    ...over,
  };
}

function reuseOf(events: readonly WorkflowEvent[], { attempt, at }: NonNullable<ReturnType<typeof pending>['reuse']>): WorkflowInput {
  const event = events[at - 1];
  if (event?.type !== 'attempt.settled' && event?.type !== 'attempt.reused') throw new Error(`nothing was answered at ${at}`);
  const { outcome, answer, failure } = event.data;
  return {
    kind: 'reuse',
    attempt: attempt.id,
    from: { version: at, hash: '0'.repeat(64) },
    outcome,
    ...(answer === undefined ? {} : { answer }),
    ...(failure === undefined ? {} : { failure }),
    team: [casting('researcher@1')],
  };
}

/** Reads a file, sends a mail, answers. */
function origin(): Telling {
  const told = new Telling();
  told.tell(submission());
  told.model('a0', modelSays('files__read', 'mail__send'));
  const [read, send] = told.open('tool');
  told.answer(read, toolSays());
  told.tell({ kind: 'start', attempt: send?.id ?? ('' as never), runner: 'runner-1' });
  told.answer(send, toolSays());
  told.model('a0');
  return told;
}

function relive(told: Telling, events: readonly WorkflowEvent[]): void {
  for (let due = pending(told.workflow).reuse; due !== undefined; due = pending(told.workflow).reuse) told.tell(reuseOf(events, due));
}

describe('a fork', () => {
  it('of a whole run comes to the same end for nothing, and sends nothing to anybody', () => {
    const { events, workflow } = origin();
    const told = new Telling();
    expect(told.tell(forkOf(events, workflow.version))).toEqual(['task.forked', 'mandate.granted', 'decision.made', 'attempt.reserved']);
    for (let due = pending(told.workflow).reuse; due !== undefined; due = pending(told.workflow).reuse) {
      expect(pending(told.workflow).dispatch).toEqual([]);
      told.tell(reuseOf(events, due));
    }
    expect(told.workflow.phase).toBe('completed');
    expect(told.last('reuse.ended')?.data).toEqual({ why: 'fork_point', reused: 4 });
    expect(told.last('task.completed')?.data).toEqual({
      spent: NONE,
      steps: 4,
      answerAt: told.events.findLastIndex(({ type }) => type === 'attempt.reused') + 1,
    });
    expect(replay(told.history).kind).toBe('same');
  });

  it('refuses what changes the world after its fork point, and tells the model', () => {
    const { events } = origin();
    const upTo = events.findIndex(({ type }) => type === 'attempt.settled') + 1;
    const told = new Telling();
    told.tell(forkOf(events, upTo));
    relive(told, events);
    expect(told.last('step.refused')?.data).toMatchObject({ code: 'EffectNotAllowedInFork', call: { index: 1 } });
    expect(pending(told.workflow).dispatch.map(({ owes }) => owes)).toMatchObject([{ tool: 'files__read' }]);

    const allowed = new Telling();
    allowed.tell(forkOf(events, upTo, { firewall: { allowed: ['mail__send'] } }));
    relive(allowed, events);
    expect(pending(allowed.workflow).dispatch.map(({ owes }) => owes)).toMatchObject([{ tool: 'files__read' }, { tool: 'mail__send' }]);
    expect(replay(allowed.history).kind).toBe('same');
  });

  it('is live at once when its task is another, and from where it owes something else', () => {
    const { events, workflow } = origin();
    const other = new Telling();
    other.tell(forkOf(events, workflow.version, { reuse: { steps: [], until: 'task_changed' } }));
    expect(other.last('reuse.ended')?.data).toEqual({ why: 'task_changed', reused: 0 });
    expect(pending(other.workflow).dispatch).toHaveLength(1);

    // Without the tool that reads, the mail that was answered before is not sent again.
    const less = new Telling();
    const tools = environment.tools.filter(({ name }) => name !== 'files__read');
    less.tell(forkOf(events, workflow.version, { environment: { ...environment, tools } }));
    relive(less, events);
    expect(less.last('reuse.ended')?.data).toEqual({ why: 'diverged', reused: 1 });
    expect(less.all('step.refused').map(({ code }) => code)).toEqual(['ToolNotAllowed', 'EffectNotAllowedInFork']);
    expect(less.all('attempt.settled').map(({ spent }) => spent)).toEqual([NONE]);
    expect(pending(less.workflow).dispatch.map(({ owes }) => owes.kind)).toEqual(['llm']);
    expect(replay(less.history).kind).toBe('same');
  });

  it('reuses nothing behind an effect that nobody knows of', () => {
    const told = new Telling();
    told.tell(submission());
    told.model('a0', modelSays('mail__send'));
    const [send] = told.open('tool');
    told.tell({ kind: 'start', attempt: send?.id ?? ('' as never), runner: 'runner-1' });
    told.now = send?.deadlineAt ?? 0;
    told.tell({ kind: 'attempt_timer', attempt: send?.id ?? ('' as never) });
    expect(told.last('attempt.settled')?.data.outcome).toBe('unknown');
    expect(reusableSteps(told.events, told.events.length)).toMatchObject({ steps: [{ step: 'a0_s1' }], until: 'unanswered' });
  });

  it('goes on by itself where a call of its origin was stopped or never taken: that is no answer', () => {
    const failure = { code: 'cancelled', retryable: false, billed: 'no' } as const;
    const told = new Telling();
    told.tell(submission());
    told.model('a0', modelSays('files__read'));
    const [read] = told.open('tool');
    told.tell({ kind: 'cancel', request: 'c1' as RequestId });
    told.tell({ kind: 'result', attempt: read?.id ?? ('' as never), outcome: 'cancelled', failure });
    expect(told.workflow.phase).toBe('cancelled');
    expect(reusableSteps(told.events, told.events.length)).toMatchObject({ steps: [{ step: 'a0_s1' }], until: 'unanswered' });
    const again = new Telling();
    again.tell(forkOf(told.events, told.events.length));
    relive(again, told.events);
    expect(again.last('reuse.ended')?.data).toEqual({ why: 'unanswered', reused: 1 });
    expect(pending(again.workflow).dispatch.map(({ owes }) => owes)).toMatchObject([{ tool: 'files__read' }]);
  });

  it('sends nothing for an agent that was stopped while it relived', () => {
    const tasks = ['f1', 'f2'].map((fingerprint) => delegating(casting('researcher@1'), { fingerprint }));
    const told = new Telling();
    told.tell({ ...submission(), environment: { ...environment, team: [casting('researcher@1')] } });
    told.model('a0', modelAsks(...tasks));
    const [slow, quick] = told.open('llm').map(({ agent }) => agent);
    told.model(quick as AgentId, modelSays('files__read'));
    told.answer(told.open('tool')[0], toolSays());
    const again = new Telling();
    again.tell(forkOf(told.events, told.events.length, { environment: { ...environment, team: [casting('researcher@1')] } }));
    const first = pending(again.workflow).reuse ?? (undefined as never);
    again.tell(reuseOf(told.events, first));
    again.tell({ kind: 'cancel', request: 'c1' as RequestId, agent: slow as AgentId });
    relive(again, told.events);
    expect(again.last('reuse.ended')?.data).toEqual({ why: 'fork_point', reused: 3 });
    expect(pending(again.workflow).dispatch.map(({ agent }) => agent)).toEqual([quick]);
    expect(again.workflow.agents.get(slow as AgentId)?.end).toMatchObject({ kind: 'cancelled' });
    expect(replay(again.history).kind).toBe('same');
  });

  it('whose mandate does not reach for its past ends, and its past with it', () => {
    const { events, workflow } = origin();
    const told = new Telling();
    told.tell(forkOf(events, workflow.version, { options: { pattern: 'direct', maxCostMicroUsd: 1 } }));
    expect(told.workflow.phase).toBe('failed');
    expect(told.last('reuse.ended')?.data).toEqual({ why: 'run_ended', reused: 0 });
    expect(replay(told.history).kind).toBe('same');
  });

  it('takes no answer but the next one of its origin, and no worker’s while it relives', () => {
    const { events, workflow } = origin();
    const told = new Telling();
    told.tell(forkOf(events, workflow.version));
    const due = pending(told.workflow).reuse ?? (undefined as never);
    expect(told.tell(reuseOf(events, { ...due, at: events.findLastIndex(({ type }) => type === 'attempt.settled') + 1 }))).toEqual([
      'nothing',
    ]);
    expect(told.answer(due.attempt, modelSays())).toEqual(['AttemptNotLive']);
    told.tell(reuseOf(events, due));
    expect(told.tell(reuseOf(events, due))).toEqual(['nothing']);
  });

  it('ends when it is cancelled, and goes on by itself when its origin is erased meanwhile', () => {
    const { events, workflow } = origin();
    const told = new Telling();
    told.tell(forkOf(events, workflow.version));
    expect(told.tell({ kind: 'cancel', request: 'c1' as RequestId })).toEqual([
      ...['cancel.requested', 'reuse.ended', 'attempt.settled', 'task.cancelled', 'mandate.released'],
    ]);
    const alone = new Telling();
    alone.tell(forkOf(events, workflow.version));
    expect(alone.tell({ kind: 'end_reuse', why: 'origin_erased' })).toEqual(['reuse.ended']);
    expect(pending(alone.workflow).dispatch).toHaveLength(1);
    expect(replay(alone.history).kind).toBe('same');
  });

  it('is refused as the fourth in a row, and once as the same request with another body', () => {
    const { events } = origin();
    const fourth = decide(forkOf(events, 1, { hops: 4 }), ABSENT, { now: 1, bus: 'b' });
    expect(fourth.kind === 'refused' ? fourth.refusal.code : '').toBe('ForkTooDeep');
    const told = new Telling();
    told.tell(forkOf(events, 1));
    expect(told.tell(forkOf(events, 1))).toEqual(['nothing']);
    expect(told.tell(forkOf(events, 1, { bodyHash: 'c'.repeat(64) }))).toEqual(['IdempotencyConflict']);
  });

  it('is refused when its past does not fit into one message', () => {
    const step = { step: `a0-1-2_s${'9'.repeat(4)}` as StepId, version: 99_999, kind: 'tool', tool: 't'.repeat(128) } as const;
    const past = (steps: number): Fork => forkOf([], 1, { reuse: { steps: Array(steps).fill(step), until: 'fork_point' } });
    const codeOf = (fork: Fork): string => {
      const decided = decide(fork, ABSENT, { now: 1, bus: 'b' });
      return decided.kind === 'refused' ? decided.refusal.code : decided.kind;
    };
    expect([4_000, 6_000].map((steps) => codeOf(past(steps)))).toEqual(['events', 'PastTooLong']);
  });

  it('says what is not as in its origin', () => {
    const { workflow } = origin();
    const same = { environment, options: { pattern: 'direct' }, task: false } as const;
    expect(forkChanges(workflow, same)).toEqual([]);
    const model = { ...environment.model, model: 'other' } as Environment['model'];
    const changed = { ...environment, model, catalogHash: 'd'.repeat(64) };
    const options: TaskForked['options'] = { pattern: 'direct', maxCostMicroUsd: 5, tools: [] };
    expect(forkChanges(workflow, { environment: changed, options, task: true })).toEqual([
      ...['task', 'model', 'mandate', 'tools', 'tool_versions'],
    ]);
    // A run that was rejected was granted nothing that could be compared.
    const rejected = new Telling();
    rejected.tell({ ...submission(), environment: { ...environment, model: null } });
    expect(forkChanges(rejected.workflow, same)).toEqual([]);
  });
});

const tools = fc.array(fc.record({ tool: fc.constantFrom('files__read', 'files__put', 'mail__send', null), argsBytes: fc.nat(50) }), {
  maxLength: 3,
}) satisfies fc.Arbitrary<readonly CallFacts[]>;
const errands = fc.constantFrom('researcher@1', 'creator@1').map(
  (role) =>
    (
      modelAsks(delegating(casting(role, ['files__read', 'mail__send']), { fingerprint: role })) as {
        readonly calls: readonly CallFacts[];
      }
    ).calls,
);

const quiet: Fate = {
  ...{ runner: 0, dies: 'no', fails: 'no', retryAfterMs: 0, heeds: true, bytes: 20, words: 'w1', percent: 50 },
  ...{ calls: [], plan: [], choice: [], rating: [], passing: undefined },
};
const fates = fc.array(
  fc.record({
    runner: fc.nat(3),
    dies: fc.oneof(
      { weight: 9, arbitrary: fc.constant('no' as const) },
      { weight: 1, arbitrary: fc.constantFrom('before the call' as const, 'after the call' as const) },
    ),
    fails: fc.oneof(
      { weight: 9, arbitrary: fc.constant('no' as const) },
      { weight: 2, arbitrary: fc.constantFrom('unbilled' as const, 'with a bill' as const, 'for good' as const) },
    ),
    percent: fc.nat(60),
    calls: fc.oneof({ weight: 4, arbitrary: tools }, { weight: 1, arbitrary: errands }),
  }),
  { maxLength: 25 },
);
type Step = typeof fates extends fc.Arbitrary<readonly (infer One)[]> ? One : never;

/** One attempt after the other, some of them out of order; then quietly to the end. */
function live(world: World, steps: readonly Step[], look: () => void = () => undefined): void {
  for (const step of steps) {
    if (!isOpen(world.owner.state)) return;
    world.commands = [];
    world.dispatch(world.owner.state);
    const attempt = world.commands[step.runner % Math.max(1, world.commands.length)];
    if (attempt !== undefined) world.work(attempt, { ...quiet, ...step });
    world.answerAllowance(true);
    for (const input of world.inbox.splice(0)) world.deliver(world.owner, input);
    world.now += attempt === undefined ? 60_000 : 100;
    world.fireTimers();
    look();
  }
  world.finishQuietly(quiet);
  look();
}

const three: Environment = {
  ...environment,
  tools: [...environment.tools, { name: 'files__put', effect: 'idempotent' }],
  team: [casting('researcher@1')],
};
const disturbance = fc.constantFrom(
  ...(['none', 'none', 'none', 'none', 'none', 'none', 'none', 'take over', 'wipe the bus', 'cancel an agent', 'cancel', 'wait'] as const),
  ...(['none', 'none', 'top up', 'freeze'] as const),
);

describe(`over ${runs} random runs, forked anywhere with anything changed`, () => {
  it('no fork does to the world what it was not allowed, it pays for nothing that it relives, and it ends well', () => {
    const seen = { same: 0, changed: 0, refused: 0, allowed: 0, unchanged: 0 };
    fc.assert(
      fc.property(
        fates,
        fc.record({
          at: fc.nat(1_000),
          allowed: fc.subarray(['mail__send', 'files__put']),
          drop: fc.subarray(['mail__send', 'files__read'], { maxLength: 1 }),
          options: fc.constantFrom<TaskForked['options']>({}, {}, {}, { maxCostMicroUsd: 20_000 }, { pattern: 'direct' }),
          lease: fc.boolean(),
          after: fates,
          disturbed: fc.option(fc.array(disturbance, { minLength: 1, maxLength: 12 }), { freq: 4, nil: [] }),
        }),
        (first, { at, allowed, drop, options, lease, after, disturbed }) => {
          const past = new World(plainAnalysis, three.team);
          past.deliver(past.owner, { ...submission({}), environment: three });
          live(past, first);
          const events = past.log.flatMap((decision) => decision.events);
          const upTo = 1 + (at % events.length);

          const world = new World(plainAnalysis, three.team);
          const changedTools = three.tools.filter(({ name }) => !drop.includes(name as 'mail__send'));
          const fork = forkOf(events, upTo, { firewall: { allowed }, options, environment: { ...three, tools: changedTools, lease } });
          const looks = (): void => {
            if (!isOpen(world.owner.state) && isReusing(world.owner.state)) throw new Error('it ended and its past did not');
            for (const { owes } of pending(world.owner.state).dispatch) {
              if (owes.kind !== 'tool' || owes.effect === 'read_only') continue;
              if (!allowed.includes(owes.tool as 'mail__send')) throw new Error(`${owes.tool} would run in a fork`);
              seen.allowed += 1;
            }
          };
          world.deliver(world.owner, fork);
          world.answerAllowance(true);
          for (const input of world.inbox.splice(0)) world.deliver(world.owner, input);
          for (let n = 0, due = pending(world.owner.state).reuse; due !== undefined; due = pending(world.owner.state).reuse, n++) {
            looks();
            world.deliver(world.owner, reuseOf(events, due));
            disturb(world, disturbed[n]);
          }
          looks();
          if (disturbed.length === 0 && world.settled.moneyMicroUsd + world.settled.tokens !== 0) throw new Error('it paid for its past');
          live(world, after, looks);
          const made = world.log.flatMap((decision) => decision.events);
          const ended = made.find((event) => event.type === 'reuse.ended');
          if (ended?.type === 'reuse.ended') seen[ended.data.why === 'diverged' ? 'changed' : 'same'] += 1;
          if (made.some((event) => event.type === 'step.refused' && event.data.code === 'EffectNotAllowedInFork')) seen.refused += 1;
          expect(faultsAtTheEnd(world)).toEqual([]);
          const again = replay(world.log);
          expect(again.kind === 'diverged' ? [again.recorded, again.decided] : 'same').toBe('same');
          const isChanged = drop.length + disturbed.length + Object.keys(options).length > 0;
          // A mandate of which nothing is spent does not run out where that of the origin did.
          const ranOut = events.slice(0, upTo).some((event) => event.type === 'step.refused' && event.data.code.endsWith('Exceeded'));
          if (!isChanged && !ranOut && ended?.type === 'reuse.ended') {
            seen.unchanged += 1;
            if (ended.data.why !== fork.reuse.until || ended.data.reused !== fork.reuse.steps.length)
              throw new Error(`nothing was changed, and it ${ended.data.why} after ${ended.data.reused} of ${fork.reuse.steps.length}`);
          }
        },
      ),
      { numRuns: runs, ...seed },
    );
    for (const [what, times] of Object.entries(seen)) expect(times, what).toBeGreaterThan(0);
  });
});

function disturb(world: World, what: string | undefined): void {
  if (what === 'take over') world.takeOver(false);
  if (what === 'wipe the bus') world.wipeBus();
  if (what === 'cancel') world.cancel();
  if (what === 'cancel an agent') world.cancel([...world.owner.state.agents.keys()].at(-1) as AgentId);
  if (what === 'freeze') world.frozen = true;
  if (what === 'top up')
    world.deliver(world.owner, {
      ...{ kind: 'top_up', request: `t${world.version}` as RequestId, added: { ...NONE, moneyMicroUsd: 10_000 }, deadlineMs: 60_000 },
      lease: world.version % 2 === 0,
    });
  if (what === 'wait') {
    world.now += 120_000;
    world.fireTimers();
  }
}
