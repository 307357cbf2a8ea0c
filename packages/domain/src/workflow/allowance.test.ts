import { afterEach, describe, expect, it } from 'vitest';
import type { RequestId } from '../ids.ts';
import { type Figures, NONE } from '../mandate/mandate.ts';
import { environment, modelSays, submission, Telling, toolSays } from './given.ts';
import { plainAnalysis } from './given-world.ts';
import type { WorkflowInput } from './inputs.ts';
import { pending } from './pending.ts';
import { replay } from './replay.ts';

let told: Telling;
const leased = (options: Parameters<typeof submission>[0] = { pattern: 'direct' }): readonly string[] => {
  told = new Telling();
  return told.tell({ ...submission(options), environment: { ...environment, lease: true } });
};
const says = (granted: boolean, number = 1): readonly string[] => told.tell({ kind: 'allowance', number, granted });
const topUp = (added: Partial<Figures> = {}, request = 'up1'): WorkflowInput => ({
  kind: 'top_up',
  request: request as RequestId,
  added: { ...NONE, ...added },
});
/** One turn with one tool call. */
const turn = (): void => {
  told.model('a0', modelSays('files__read'));
  told.answer(told.open('tool')[0], toolSays());
};

/** Whatever was told here can be decided again from what stands on the record. */
afterEach(() => expect(replay(told.history).kind).toBe('same'));

describe('an allowance', () => {
  it('is asked for what was granted, and nothing billable starts before it is there', () => {
    expect(leased()).toEqual(['task.submitted', 'mandate.granted', 'allowance.asked', 'decision.made']);
    const { deadlineAt } = told.agent().mandate.limits;
    // An attempt that begins at the last moment may wait and run, and is settled after two graces.
    expect(pending(told.workflow).allowance).toEqual({ number: 1, moneyMicroUsd: 1_000_000, expiresAt: deadlineAt + 130_000, model: null });
    expect(says(true)).toEqual(['allowance.answered', 'attempt.reserved']);
    expect(says(true)).toEqual(['nothing']);
    expect(pending(told.workflow)).not.toHaveProperty('allowance');
  });
  it('is not needed for the analysis, which costs nothing', () => {
    expect(leased({})).toEqual(['task.submitted', 'mandate.granted', 'allowance.asked', 'attempt.reserved']);
    expect(told.answer(told.open()[0], { kind: 'analyze', analysis: plainAnalysis })).toEqual(['attempt.settled', 'decision.made']);
    expect(says(true)).toEqual(['allowance.answered', 'attempt.reserved']);
  });
  it('that is refused ends the task before anything was spent', () => {
    leased();
    expect(
      told.tell({ kind: 'allowance', number: 1, granted: false, code: 'QuotaExceeded', message: 'The budget of the day is used up.' }),
    ).toEqual(['allowance.answered', 'agent.stopped', 'task.failed', 'mandate.released']);
    expect(told.last('task.failed')?.data).toMatchObject({
      code: 'QuotaExceeded',
      message: 'The budget of the day is used up.',
      spent: NONE,
    });
  });
  it('that comes when the task has ended is of no use any more', () => {
    leased();
    told.tell({ kind: 'cancel', request: 'c1' as RequestId });
    expect(told.workflow.phase).toBe('cancelled');
    expect(says(false)).toEqual(['nothing']);
  });
  it('is asked again by a top-up of a task that runs, for what was added', () => {
    leased();
    says(true);
    expect(told.tell(topUp({ moneyMicroUsd: 500, tokens: 7 }))).toEqual(['mandate.topped_up', 'allowance.asked']);
    expect(told.last('allowance.asked')?.data).toMatchObject({ number: 2, moneyMicroUsd: 500 });
    expect(told.agent().mandate.limits).toMatchObject({ moneyMicroUsd: 1_000_500, tokens: 1_000_007 });
    expect(told.tell(topUp({ moneyMicroUsd: 1 }, 'up2'))).toEqual(['NotResumable']);
    says(true, 2);
    expect(told.agent().mandate.limits.moneyMicroUsd).toBe(1_000_500);
  });
  it('that is not there yet pays no second try either; once it is there, the same turn is asked again', () => {
    leased({ pattern: 'direct', maxCostMicroUsd: 80_000 });
    says(true);
    told.model('a0', modelSays('files__read'));
    told.answer(told.open('tool')[0], toolSays(50_000));
    const [asked] = told.open('llm');
    told.tell(topUp({ moneyMicroUsd: 100_000 }));
    expect(told.tell({ kind: 'result', attempt: asked!.id, outcome: 'lost' })).toEqual(['attempt.settled', 'step.refused']);
    expect(says(true, 2)).toEqual(['allowance.answered', 'attempt.reserved']);
    expect(told.asked()?.owes).not.toHaveProperty('part');
  });
  it('that refuses what a top-up adds takes nothing away', () => {
    leased();
    says(true);
    told.tell(topUp({ moneyMicroUsd: 500 }));
    expect(told.model('a0', modelSays('files__read'))).toEqual(['attempt.settled']);
    expect(says(false, 2)).toEqual(['allowance.answered', 'attempt.reserved']);
    expect(told.agent().mandate.limits.moneyMicroUsd).toBe(1_000_000);
  });
  it('for a task that had ended is for all that it has left: what it had was settled', () => {
    leased({ pattern: 'direct', maxModelCalls: 4 });
    says(true);
    for (let n = 0; n < 3; n++) turn();
    told.model('a0');
    const { spent } = told.agent().mandate;
    told.tell(topUp({ moneyMicroUsd: 500, modelCalls: 5 }));
    expect(told.last('allowance.asked')?.data.moneyMicroUsd).toBe(1_000_500 - spent.moneyMicroUsd);
    expect(says(true, 2)).toEqual(['allowance.answered', 'attempt.reserved']);
    expect(told.agent().mandate.limits.moneyMicroUsd).toBe(1_000_500);
  });
  it('that refuses to carry on a task leaves it as it ended', () => {
    leased({ pattern: 'direct', maxModelCalls: 4 });
    says(true);
    for (let n = 0; n < 3; n++) turn();
    told.model('a0');
    told.tell(topUp({ modelCalls: 5 }));
    says(false, 2);
    expect(told.workflow).toMatchObject({ phase: 'failed', failure: { code: 'CostBudgetExceeded' } });
    expect(told.agent().mandate.limits.moneyMicroUsd).toBe(told.agent().mandate.spent.moneyMicroUsd);
  });
  it('that was refused while the task was still analyzed was never leased: a top-up asks for all of it', () => {
    leased({});
    says(false);
    expect(told.workflow.phase).toBe('running');
    told.tell(topUp({ moneyMicroUsd: 500 }));
    expect(told.last('allowance.asked')?.data).toMatchObject({ number: 2, moneyMicroUsd: 1_000_500 });
    says(false, 2);
    expect(told.agent().mandate.limits.moneyMicroUsd).toBe(0);
  });
  it('is asked for more of a task that began without: budgets that came later hold for what is added', () => {
    told = new Telling();
    told.tell(submission());
    told.tell({ ...topUp({ moneyMicroUsd: 500 }), lease: true } as WorkflowInput);
    expect(pending(told.workflow).allowance).toMatchObject({ number: 2, moneyMicroUsd: 500 });
    expect(told.model('a0', modelSays('files__read'))).toEqual(['attempt.settled']);
    expect(says(false, 2)).toEqual(['allowance.answered', 'attempt.reserved']);
    expect(told.agent().mandate.limits.moneyMicroUsd).toBe(1_000_000);
  });
  it('is asked for all that is left of a task that had ended without', () => {
    told = new Telling();
    told.tell(submission({ pattern: 'direct', maxModelCalls: 4 }));
    for (let n = 0; n < 3; n++) turn();
    told.model('a0');
    expect(told.workflow.phase).toBe('failed');
    told.tell({ ...topUp({ moneyMicroUsd: 500, modelCalls: 5 }), lease: true } as WorkflowInput);
    const { spent } = told.agent().mandate;
    expect(pending(told.workflow).allowance).toMatchObject({ number: 2, moneyMicroUsd: 1_000_500 - spent.moneyMicroUsd });
    expect(says(true, 2)).toEqual(['allowance.answered', 'attempt.reserved']);
  });
});
