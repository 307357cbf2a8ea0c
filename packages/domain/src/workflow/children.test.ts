import { describe, expect, it } from 'vitest';
import type { AgentId, RequestId } from '../ids.ts';
import { available, CHILD_DEADLINE_MS, type Figures, NONE } from '../mandate/mandate.ts';
import { casting, costing, delegating, environment, modelAsks, modelSays, submission, Telling, toolSays } from './given.ts';
import { pending } from './pending.ts';
import type { Errand } from './steps.ts';

const researcher = casting('researcher@1');
const creator = casting('creator@1', ['files__read', 'mail__send']);
const request = 'c1' as RequestId;
const id = (agent: string): AgentId => agent as AgentId;

/** A root whose model has asked for these children. Its own turns cost nothing. */
const parentOf = (errands: readonly Partial<Errand>[], options = {}): Telling => {
  const told = new Telling();
  told.tell(submission({ pattern: 'direct', ...options }));
  told.model('a0', costing(0, modelAsks(...errands.map((over, n) => delegating(creator, { fingerprint: `f${n + 1}`, ...over })))));
  return told;
};
const withGrandchild = (): Telling => {
  const told = parentOf([{}]);
  told.model('a0-1', costing(0, modelAsks(delegating(researcher, { fingerprint: 'f2' }))));
  return told;
};
const figures = ({ moneyMicroUsd, tokens, modelCalls, toolCalls }: Figures): Figures => ({ moneyMicroUsd, tokens, modelCalls, toolCalls });

describe("a child's mandate", () => {
  it("comes out of its parent's: reserved there in full, in every dimension", () => {
    const told = parentOf([{}]);
    const { limits } = told.agent('a0-1').mandate;
    expect(told.agent().mandate.reserved).toEqual(figures(limits));
    expect(told.agent().mandate.spent).toMatchObject({ modelCalls: 1, moneyMicroUsd: 0 });
  });
  it('is an equal part of what is left, one part staying with the parent, after the closing turn was put aside', () => {
    const told = parentOf([{}, {}]);
    const root = told.agent();
    const left = root.mandate.limits.moneyMicroUsd - root.granted.closing.moneyMicroUsd;
    expect(root.granted.closing.moneyMicroUsd).toBeGreaterThan(0);
    expect(told.agent('a0-1').mandate.limits.moneyMicroUsd).toBe(Math.floor(left / 3));
    expect(told.agent('a0-2').mandate.limits.moneyMicroUsd).toBe(Math.floor((left - Math.floor(left / 3)) / 2));
  });
  it('is the share or the money that was asked for', () => {
    const told = parentOf([{ sharePercent: 10 }, { moneyMicroUsd: 1_234 }]);
    const left = 1_000_000 - told.agent().granted.closing.moneyMicroUsd;
    expect(told.agent('a0-1').mandate.limits).toMatchObject({ moneyMicroUsd: Math.floor(left / 10), toolCalls: 40, modelCalls: 14 });
    expect(told.agent('a0-2').mandate.limits.moneyMicroUsd).toBe(1_234);
  });
  it.each([{ moneyMicroUsd: 990_000 }, { sharePercent: 101 }, { moneyMicroUsd: -5 }, { sharePercent: -1 }])(
    'is refused when it asks for %j',
    (over) => {
      const told = parentOf([over]);
      expect(told.last('step.refused')?.data.code).toBe('DelegationBudgetExceeded');
      expect(told.agent().mandate.reserved.modelCalls).toBe(1);
      expect(told.workflow.agents.size).toBe(1);
    },
  );
  it('is refused in every dimension that does not reach, also where a model costs nothing', () => {
    const told = new Telling();
    const worstPrice = { inputMicroUsdPerMillionTokens: 0, outputMicroUsdPerMillionTokens: 0 };
    const model = { model: null, priceVersion: 'p1', worstPrice, maxOutputTokens: 1_000 };
    told.tell({ ...submission({ pattern: 'direct', maxCostMicroUsd: 0 }), environment: { ...environment, model } });
    told.model('a0', costing(0, modelAsks(delegating(creator, { sharePercent: 150 }))));
    expect(told.last('step.refused')?.data.code).toBe('DelegationBudgetExceeded');
    expect(told.workflow.agents.size).toBe(1);
  });
  it('is refused when it would not reach for a single question', () => {
    const told = parentOf([{ moneyMicroUsd: 100 }]);
    expect(told.last('step.refused')?.data).toMatchObject({ code: 'DelegationBudgetExceeded' });
    expect(told.last('step.refused')?.data.message).toMatch(
      /^The child would get 100 micro-USD, .* its first call needs up to 716 micro-USD/,
    );
  });
  it('together with those of its siblings never passes what is left: one asks for too much, the next one for less', () => {
    const told = parentOf([{ moneyMicroUsd: 900_000 }, { moneyMicroUsd: 200_000 }, { moneyMicroUsd: 50_000 }]);
    expect(told.all('step.refused').map(({ slot }) => slot)).toMatchObject([{ call: { index: 1 } }]);
    expect(told.agent().mandate.reserved.moneyMicroUsd).toBe(950_000);
  });
  it('ends before that of its parent, and after half an hour at the latest', () => {
    const short = parentOf([{}], { deadlineMs: 600_000 });
    // A tenth is kept for the closing turn, but never more than a model call may take.
    expect(short.agent('a0-1').mandate.limits.deadlineAt).toBe(short.now + 540_000);
    const long = parentOf([{}], { deadlineMs: 7_200_000 });
    expect(long.agent('a0-1').mandate.limits.deadlineAt).toBe(long.now + CHILD_DEADLINE_MS);
    expect(pending(long.workflow).timers).toContainEqual({ at: long.now + CHILD_DEADLINE_MS, fire: { timer: 'agent', agent: 'a0-1' } });
  });
  it('is not granted when there is no time left for it', () => {
    const told = new Telling();
    told.tell(submission({ pattern: 'direct', deadlineMs: 100_000 }));
    told.now += 95_000;
    told.model('a0', modelAsks(delegating(creator)));
    expect(told.all('step.refused')[0]).toMatchObject({ code: 'DeadlineExceeded' });
  });
});

describe('what a child has spent', () => {
  it('is booked at its parent when it ends, and the rest comes back', () => {
    const told = parentOf([{}]);
    expect(told.model('a0-1', costing(700))).toEqual(['attempt.settled', 'agent.ended', 'mandate.released', 'attempt.reserved']);
    expect(told.agent().mandate.spent).toMatchObject({ moneyMicroUsd: 700, modelCalls: 2 });
    expect(told.last('mandate.released')?.data).toEqual({ agent: 'a0-1', returned: available(told.agent('a0-1').mandate) });
    expect(told.agent().mandate.reserved).toEqual(told.asked()?.reservation);
  });
  it('counts what its own children have spent: 0.80 and 0.20 are 1.00 at the root', () => {
    const told = withGrandchild();
    told.model('a0-1-1', costing(800));
    expect(told.agent('a0-1').mandate.spent.moneyMicroUsd).toBe(800);
    told.model('a0-1', costing(200));
    expect(told.last('agent.ended')?.data).toMatchObject({ agent: 'a0-1', spent: { moneyMicroUsd: 1_000 } });
    told.model('a0', costing(0));
    expect(told.last('task.completed')?.data.spent.moneyMicroUsd).toBe(1_000);
    expect(told.agent().mandate.reserved).toEqual(NONE);
  });
});

describe('a parent hears of a child', () => {
  const heard = (told: Telling): unknown => {
    const work = told.agent().work;
    const turn = work?.pattern === 'direct' ? work.state.lines[0] : undefined;
    return turn !== undefined && 'calls' in turn ? turn.calls[0]?.answer?.end : undefined;
  };
  it('that answered, and is asked again with the result', () => {
    const told = parentOf([{}]);
    told.model('a0-1');
    expect(heard(told)).toMatchObject({ kind: 'answered', bytes: 20 });
    expect(told.asked()).toBeDefined();
  });
  it('only when all that it asked for in that turn are back', () => {
    const told = parentOf([{}, {}]);
    told.model('a0-2');
    expect(told.asked()).toBeUndefined();
    told.model('a0-1');
    expect(told.asked()).toBeDefined();
  });
  it('whose model cannot be asked, and goes on', () => {
    const told = parentOf([{}]);
    const failure = { code: 'bad_request', retryable: false, billed: 'no' } as const;
    told.tell({ kind: 'result', attempt: told.asked('a0-1')!.id, outcome: 'failed', failure });
    expect(heard(told)).toMatchObject({ kind: 'failed', code: 'bad_request', partialAt: null });
    expect(told.asked()).toBeDefined();
  });
  it('that has used up its mandate, with what it could say in its closing turn', () => {
    const told = parentOf([{ sharePercent: 60 }]);
    told.model('a0-1', modelSays('files__read'));
    told.answer(told.open('tool')[0], toolSays(400_000));
    expect(told.asked('a0-1')?.owes).toMatchObject({ part: { name: 'closing' } });
    told.model('a0-1');
    expect(heard(told)).toMatchObject({ kind: 'failed', code: 'ContextBudgetExceeded', partialAt: expect.any(Number) });
    expect(told.asked()).toBeDefined();
  });
  it('whose time is over, as soon as its open call is settled', () => {
    const told = parentOf([{}], { deadlineMs: 7_200_000 });
    expect(told.tell({ kind: 'agent_timer', agent: id('a0-1') })).toEqual(['nothing']);
    told.now += CHILD_DEADLINE_MS;
    expect(told.tell({ kind: 'agent_timer', agent: id('a0-1') })).toEqual(['timer.fired', 'agent.stopped']);
    expect(told.tell({ kind: 'agent_timer', agent: id('a0-1') })).toEqual(['nothing']);
    const open = told.asked('a0-1')!;
    expect(pending(told.workflow).stop).toEqual([open]);
    expect(told.tell({ kind: 'result', attempt: open.id, outcome: 'lost' })).toEqual([
      'attempt.settled',
      'agent.ended',
      'mandate.released',
      'attempt.reserved',
    ]);
    expect(heard(told)).toMatchObject({ kind: 'failed', code: 'DeadlineExceeded' });
  });
  it('that was cancelled, with everybody below it, and goes on', () => {
    const told = withGrandchild();
    expect(told.tell({ kind: 'cancel', request, agent: id('a0-1') })).toEqual(['cancel.requested', 'agent.stopped']);
    expect(told.tell({ kind: 'cancel', request, agent: id('a0-1') })).toEqual(['nothing']);
    expect(told.model('a0-1-1')).toEqual([
      'attempt.settled',
      'agent.ended',
      'mandate.released',
      'agent.ended',
      'mandate.released',
      'attempt.reserved',
    ]);
    expect(told.all('agent.ended').map(({ agent, end }) => [agent, end.kind])).toEqual([
      ['a0-1-1', 'cancelled'],
      ['a0-1', 'cancelled'],
    ]);
    expect(heard(told)).toMatchObject({ kind: 'cancelled', code: 'Cancelled' });
    expect(told.workflow.phase).toBe('running');
  });
});

describe('an agent that is stopped', () => {
  it('starts nothing more: no retry, and no call that must not be repeated', () => {
    const told = parentOf([{}, {}]);
    told.model('a0-1', modelSays('mail__send'));
    const mail = told.open('tool')[0]!;
    const failure = { code: 'rate_limit', retryable: true, billed: 'no', retryAfterMs: 5_000 } as const;
    told.tell({ kind: 'result', attempt: told.asked('a0-2')!.id, outcome: 'failed', failure });
    told.tell({ kind: 'cancel', request, agent: id('a0-1') });
    expect(told.tell({ kind: 'start', attempt: mail.id, runner: 'one' })).toEqual(['AttemptNotLive']);
    expect(told.tell({ kind: 'cancel', request, agent: id('a0-2') })).toEqual([
      'cancel.requested',
      'agent.stopped',
      'agent.ended',
      'mandate.released',
    ]);
    told.now = mail.deadlineAt;
    told.tell({ kind: 'attempt_timer', attempt: mail.id });
    expect(told.last('attempt.settled')?.data).toMatchObject({ outcome: 'expired', final: true });
    expect(told.agent('a0-1').end?.kind).toBe('cancelled');
  });
  it('must be a child of this workflow that is at work', () => {
    const told = parentOf([{}]);
    expect(told.tell({ kind: 'cancel', request, agent: id('a0') })).toEqual(['WorkflowUnknown']);
    expect(told.tell({ kind: 'cancel', request, agent: id('a0-9') })).toEqual(['WorkflowUnknown']);
    told.model('a0-1');
    expect(told.tell({ kind: 'cancel', request, agent: id('a0-1') })).toEqual(['nothing']);
    expect(told.tell({ kind: 'agent_timer', agent: id('a0-1') })).toEqual(['nothing']);
  });
});

describe('cancelling the task', () => {
  it('ends everybody, the deepest first, once all calls are settled, and nothing stays reserved', () => {
    const told = withGrandchild();
    expect(told.tell({ kind: 'cancel', request })).toEqual(['cancel.requested']);
    expect(pending(told.workflow)).toMatchObject({ stop: [{ agent: 'a0-1-1' }], timers: [{ fire: { timer: 'attempt' } }] });
    told.tell({ kind: 'result', attempt: told.asked('a0-1-1')!.id, outcome: 'lost' });
    expect(told.all('agent.ended').map(({ agent }) => agent)).toEqual(['a0-1-1', 'a0-1']);
    expect(told.workflow.phase).toBe('cancelled');
    expect([...told.workflow.agents.values()].map(({ mandate }) => mandate.reserved)).toEqual([NONE, NONE, NONE]);
    // The lost call is booked at its worst case, up to the root.
    expect(told.agent().mandate.spent.moneyMicroUsd).toBe(told.agent('a0-1-1').mandate.spent.moneyMicroUsd);
    expect(told.last('task.cancelled')?.data.spent.moneyMicroUsd).toBeGreaterThan(2_000);
  });
});
