import { describe, expect, it } from 'vitest';
import type { Ask } from '../workflow/steps.ts';
import { analyst, AtWork, complete, creator, plan, planned, researcher, team } from './given-pattern.ts';
import { MAX_PLAN_STEPS, MAX_ROUNDS, type OrchestratorState, orchestratorWorkers, planProblem } from './orchestrator-workers.ts';
import type { Tuning } from './pattern.ts';

const atWork = (tuning: Tuning = {}): AtWork<OrchestratorState> => {
  const work = new AtWork(orchestratorWorkers, { team: team(3), tuning });
  expect(work.takeUp()).toEqual(['model: plan']);
  return work;
};
/** How the model is asked to plan. */
const note = (work: AtWork<OrchestratorState>): unknown => {
  const last = work.prompt.lines.at(-1);
  const words = last?.by === 'user' ? last.words.at(-1) : undefined;
  return words?.of === 'note' ? words.note : undefined;
};

describe('orchestrator-workers', () => {
  it('plans, lets everybody work whose turn it is, and joins what they brought', () => {
    const work = atWork();
    expect(work.prompt).toMatchObject({ own: ['plan'], tools: 'none' });
    expect(work.model(plan(planned('read'), planned('count', analyst), planned('write', creator, 'read', 'count')))).toEqual([
      'child researcher@1',
      'child analyst@1',
    ]);
    expect(work.childAnswers(1)).toEqual([]);
    expect(work.childAnswers(0)).toEqual(['child creator@1 after a0-1, a0-2']);
    expect(work.childAnswers(2)).toEqual(['model: join']);
    expect(work.prompt).toMatchObject({ own: [], tools: 'none' });
    work.model();
    expect(work.outcome).toMatchObject({ kind: 'answered', bytes: 20 });
  });
  it('gives those of one round equal parts, one part being kept for what follows; their task is their step of the plan', () => {
    const work = atWork();
    work.model(plan(planned('a'), planned('b')));
    expect(work.taken.slice(1)).toMatchObject([
      { of: 3, task: { of: 'call', call: { version: 1, index: 0 }, item: 0 }, asked: true, fingerprint: 'f-a' },
      { of: 2, task: { item: 1 } },
    ]);
  });
  it('passes on what the plan says of a step: tools, budget, pattern', () => {
    const work = atWork();
    work.model(plan({ ...planned('a'), pattern: 'parallel', tools: ['files__read'], sharePercent: 30, estimateTokens: 9 }));
    expect(work.taken[1]).toMatchObject({ pattern: 'parallel', tools: ['files__read'], sharePercent: 30, estimateTokens: 9 });
    const paid = atWork();
    paid.model(plan({ ...planned('a'), moneyMicroUsd: 7 }));
    expect(paid.taken[1]).toMatchObject({ pattern: 'direct', moneyMicroUsd: 7 });
  });
});

describe('a plan that cannot be carried out', () => {
  const many = (n: number): Ask => plan(...Array.from({ length: n }, (_, i) => planned(`s${i}`)));
  it.each([
    ['is empty', plan(), 'it has no steps'],
    ['is too large', many(MAX_PLAN_STEPS + 1), `it has 11 steps; at most ${MAX_PLAN_STEPS} are carried out`],
    ['names an unknown agent', plan(planned('a'), planned('b', null)), 'step 2 names an agent that is not known'],
    ['has a step without a task', plan({ ...planned('a'), taskBytes: 0 }), 'step 1 has no task'],
    ['uses an id twice', plan(planned('a'), planned('a')), 'step 2 has an id that is already used'],
    [
      'depends on an unknown step',
      plan(planned('a', researcher, 'z')),
      'step 1 depends on a step that is not in the plan and has no result',
    ],
    ['depends on itself', plan(planned('a', researcher, 'a')), 'its steps depend on each other in a circle'],
    [
      'is a circle',
      plan(planned('a', researcher, 'c'), planned('b', researcher, 'a'), planned('c', researcher, 'b')),
      'its steps depend on each other in a circle',
    ],
    ['is complete before anything was done', complete, 'it has no steps'],
    ['is no plan', { kind: 'invalid', problem: 'steps is missing' } as const, 'steps is missing'],
  ])('because it %s is asked for again with the problem, and at last it is PlanInvalid', (_, ask, problem) => {
    const work = atWork();
    for (let again = 0; again < 2; again++) {
      expect(work.model(ask)).toEqual(['model: plan']);
      expect(note(work)).toEqual({ name: 'plan_again', problem });
    }
    expect(work.model(ask)).toEqual([]);
    expect(work.outcome).toMatchObject({ kind: 'failed', code: 'PlanInvalid', message: `No plan could be carried out: ${problem}.` });
  });
  it('because there is none is asked for again; a good one is then carried out', () => {
    const work = atWork();
    work.model();
    expect(note(work)).toEqual({ name: 'plan_again', problem: 'there was no call of the tool plan' });
    expect(work.model(plan(planned('a')))).toEqual(['child researcher@1']);
  });
  it('the largest that is carried out has ten steps', () => {
    expect(
      planProblem(
        Array.from({ length: MAX_PLAN_STEPS }, (_, i) => planned(`s${i}`)),
        [],
      ),
    ).toBeUndefined();
  });
});

describe('a worker that fails', () => {
  it('is planned anew once; then the answer is joined from what there is', () => {
    const work = atWork();
    work.model(plan(planned('a'), planned('b', analyst)));
    work.childAnswers(0);
    expect(work.childFails(1)).toEqual(['model: plan']);
    expect(note(work)).toEqual({ name: 'plan_again', problem: '1 of its steps failed; plan only what is still missing' });
    expect(work.model(plan(planned('b2', analyst, 'a')))).toEqual(['child analyst@1 after a0-1']);
    expect(work.childFails(2)).toEqual(['model: join']);
  });
  it('need not be planned anew when the model says that nothing is missing', () => {
    const work = atWork();
    work.model(plan(planned('a'), planned('b')));
    work.childAnswers(0);
    work.childFails(1);
    expect(work.model(complete)).toEqual(['model: join']);
  });
  it('leaves those that wait for it unsent', () => {
    const work = atWork();
    work.model(plan(planned('a'), planned('b', analyst, 'a'), planned('c')));
    work.childFails(0);
    expect(work.childAnswers(2)).toEqual(['model: plan']);
    expect(work.taken.filter(({ kind }) => kind === 'child')).toHaveLength(2);
  });
  it('may be planned again under its own name, and so may those that waited for it; each is done once', () => {
    const work = atWork();
    work.model(plan(planned('a'), planned('b', analyst), planned('c', creator, 'a', 'b')));
    work.childAnswers(0);
    work.childFails(1);
    expect(work.model(plan(planned('b', analyst), planned('c', creator, 'a', 'b')))).toEqual(['child analyst@1']);
    expect(work.childAnswers(3)).toEqual(['child creator@1 after a0-1, a0-3']);
    expect(work.childAnswers(4)).toEqual(['model: join']);
  });
  it('does not undo what the others brought when no good plan comes any more', () => {
    const work = atWork();
    work.model(plan(planned('a'), planned('b')));
    work.childAnswers(0);
    work.childFails(1);
    expect(work.model()).toEqual(['model: plan']);
    expect(work.model()).toEqual(['model: join']);
  });
  it('cannot be waited for by a later plan', () => {
    const work = atWork();
    work.model(plan(planned('a'), planned('b')));
    work.childAnswers(0);
    work.childFails(1);
    expect(work.model(plan(planned('c', analyst, 'b')))).toEqual(['model: plan']);
    expect(note(work)).toEqual({ name: 'plan_again', problem: 'step 1 depends on a step that is not in the plan and has no result' });
  });
  it('counts as any other when it was not granted', () => {
    const work = atWork();
    work.model(plan(planned('a'), planned('b')));
    work.childNotGranted(1);
    expect(work.childAnswers(0)).toEqual(['model: plan']);
  });
  it('together with all others ends it after two more plans', () => {
    const work = atWork();
    work.model(plan(planned('a')));
    expect(work.childFails(0)).toEqual(['model: plan']);
    expect(note(work)).toEqual({ name: 'plan_again', problem: 'none of its steps succeeded' });
    work.model(plan(planned('b')));
    work.childFails(1);
    work.model(plan(planned('c')));
    work.childFails(2, 'server_error', 55);
    expect(work.outcome).toMatchObject({ kind: 'failed', code: 'PlanInvalid', partialAt: 55 });
  });
});

describe('iterative planning', () => {
  it('plans a new round after every round, until the model says that it is complete', () => {
    const work = atWork({ planning: 'iterative' });
    work.model(plan(planned('a')));
    expect(work.childAnswers(0)).toEqual(['model: plan']);
    expect(note(work)).toEqual({ name: 'plan_on' });
    expect(work.model(plan(planned('b', analyst, 'a')))).toEqual(['child analyst@1 after a0-1']);
    work.childAnswers(1);
    expect(work.model(complete)).toEqual(['model: join']);
  });
  it(`that is never complete ends after ${MAX_ROUNDS} rounds, with the last result`, () => {
    const work = atWork({ planning: 'iterative' });
    let rounds = 0;
    for (; work.outcome === undefined && rounds < 100; rounds++) {
      work.model(plan(planned(`s${rounds}`)));
      work.childAnswers(rounds);
    }
    expect(rounds).toBe(MAX_ROUNDS);
    expect(work.outcome).toMatchObject({ kind: 'failed', code: 'PlanNeverComplete', partialAt: 100 + MAX_ROUNDS - 1 });
  });
  it('does not go on for ever when no more children are granted', () => {
    const work = atWork({ planning: 'iterative' });
    work.model(plan(planned('a')));
    work.childAnswers(0);
    let plans = 0;
    for (; work.owed.length === 0 && work.state.phase !== 'joining' && plans < 100; plans++) {
      work.model(plan(planned(`s${plans}`)));
      work.childNotGranted(1 + plans);
    }
    expect(plans).toBe(3);
    work.model();
    expect(work.outcome).toMatchObject({ kind: 'answered' });
  });
});

describe('an orchestrator that is out of mandate', () => {
  const raised = { kind: 'raised' } as const;
  it('fails with what its workers brought, and joins again when more is given', () => {
    const work = atWork();
    work.model(plan(planned('a')));
    work.childAnswers(0);
    work.refused('CostBudgetExceeded');
    expect(work.outcome).toMatchObject({ kind: 'failed', code: 'CostBudgetExceeded', partialAt: 100 });
    work.hear(raised);
    expect(work.takeUp()).toEqual(['model: join']);
  });
  it('plans again when its plan could not be made', () => {
    const work = atWork();
    work.modelFails('cancelled');
    expect(work.outcome).toMatchObject({ kind: 'failed', code: 'cancelled', message: 'The plan could not be made.' });
    work.hear(raised);
    expect(work.takeUp()).toEqual(['model: plan']);
  });
  it('plans again when the deadline has ended the last round that it could plan', () => {
    const work = atWork();
    for (const [place, id] of ['a', 'b', 'c'].entries()) {
      work.model(plan(planned(id)));
      work.childFails(place, 'DeadlineExceeded');
    }
    expect(work.outcome).toMatchObject({ kind: 'failed', code: 'PlanInvalid' });
    work.hear(raised);
    expect(work.takeUp()).toEqual(['model: plan']);
  });
  it('that has not failed hears nothing new', () => {
    const work = atWork();
    work.hear(raised);
    expect(work.takeUp()).toEqual([]);
  });
});
