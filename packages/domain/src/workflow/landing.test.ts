import { afterEach, describe, expect, it } from 'vitest';
import type { RequestId } from '../ids.ts';
import { CLOSING, type Figures, NONE, ROOT_CEILING } from '../mandate/mandate.ts';
import { casting, delegating, environment, modelAsks, modelSays, submission, Telling, toolSays } from './given.ts';
import type { WorkflowInput } from './inputs.ts';
import { replay } from './replay.ts';
import { plainAnalysis } from './given-world.ts';

const researcher = casting('researcher@1');
const cancel = { kind: 'cancel', request: 'c1' as RequestId } as const;

let told: Telling;
const running = (options = {}): Telling => {
  told = new Telling();
  told.tell(submission({ pattern: 'direct', ...options }));
  return told;
};
const topUp = (added: Partial<Figures> = {}, more: { request?: string; deadlineMs?: number } = {}): WorkflowInput => ({
  kind: 'top_up',
  request: (more.request ?? 'up1') as RequestId,
  added: { ...NONE, ...added },
  ...(more.deadlineMs === undefined ? {} : { deadlineMs: more.deadlineMs }),
});
/** One turn with one tool call. */
const turn = (): void => {
  told.model('a0', modelSays('files__read'));
  told.answer(told.open('tool')[0], toolSays());
};
const lost = (): readonly string[] => told.tell({ kind: 'result', attempt: told.open()[0]!.id, outcome: 'lost' });

/** Whatever was told here can be decided again from what stands on the record. */
afterEach(() => expect(replay(told.history).kind).toBe('same'));

describe('what is left', () => {
  it('is told before the next turn, once per dimension, when 80 % of it is used', () => {
    running({ maxModelCalls: 10, maxToolCalls: 9 });
    for (let n = 0; n < 7; n++) turn();
    expect(told.all('mandate.warned')).toEqual([]);
    turn();
    expect(told.all('mandate.warned')).toMatchObject([
      { agent: 'a0', dimensions: ['modelCalls', 'toolCalls'], left: { modelCalls: 2, toolCalls: 1 } },
    ]);
    turn();
    expect(told.all('mandate.warned')).toHaveLength(1);
  });
  it('is told of time too', () => {
    running({ deadlineMs: 100_000 });
    told.now += 79_000;
    told.model('a0', modelAsks({ kind: 'consult', to: researcher }));
    told.model('a0');
    expect(told.all('mandate.warned')).toEqual([]);
    told.model('a0', modelAsks({ kind: 'consult', to: researcher }));
    told.now += 1_000;
    told.model('a0');
    expect(told.all('mandate.warned')).toMatchObject([{ dimensions: ['time'] }]);
    const work = told.agent().work;
    expect(work?.pattern === 'direct' ? work.state.lines.at(-1) : undefined).toMatchObject({
      words: [{ of: 'note', note: { name: 'left' } }],
    });
  });
});

describe('the closing turn', () => {
  it('is paid from what was put aside: one turn without tools, then the task has failed with its reason and what was said', () => {
    running({ maxModelCalls: 4 });
    for (let n = 0; n < 3; n++) turn();
    expect(told.all('step.refused')).toMatchObject([{ code: 'ModelCallBudgetExceeded', call: null }]);
    expect(told.asked()).toMatchObject({
      owes: { part: { name: 'closing' }, maxOutputTokens: 1_000 },
      reservation: told.agent().granted.closing,
    });
    expect(told.model('a0', modelSays('files__read'))).toEqual(['attempt.settled', 'task.failed', 'mandate.released']);
    expect(told.last('task.failed')?.data).toMatchObject({ code: 'ModelCallBudgetExceeded', answerAt: told.workflow.version - 2 });
    expect(told.agent().mandate.spent.modelCalls).toBe(4);
  });
  it('begins in time: a model call, or a tenth of the time, before the deadline', () => {
    running({ deadlineMs: 300_000 });
    told.model('a0', modelSays('files__read'));
    told.now += 270_000;
    told.answer(told.open('tool')[0], toolSays());
    expect(told.asked()?.owes).toMatchObject({ part: { name: 'closing' } });
    told.model('a0');
    expect(told.last('task.failed')?.data.code).toBe('DeadlineExceeded');
  });
  it('is not kept when it would be more than a quarter of the mandate', () => {
    const closing = 16_384 + 2 * 32 + 2 * CLOSING.outputTokens;
    running({ maxCostMicroUsd: 4 * closing - 1 });
    expect(told.agent().granted.closing).toEqual(NONE);
    running({ maxModelCalls: 3 });
    expect(told.agent().granted.closing).toEqual(NONE);
    running({ maxCostMicroUsd: 4 * closing });
    expect(told.agent().granted.closing).toMatchObject({ moneyMicroUsd: closing, modelCalls: 1, toolCalls: 0 });
  });
  it('that is lost is tried again only when it can be paid; the reason stays', () => {
    running({ maxModelCalls: 4 });
    for (let n = 0; n < 3; n++) turn();
    expect(lost()).toEqual(['attempt.settled', 'step.refused', 'task.failed', 'mandate.released']);
    expect(told.last('task.failed')?.data.code).toBe('ModelCallBudgetExceeded');
  });
});

describe('a top-up', () => {
  /** Out of model calls after three turns, closing turn given. */
  const outOfCalls = (): void => {
    running({ maxModelCalls: 4 });
    for (let n = 0; n < 3; n++) turn();
    told.model('a0');
  };
  it('goes on exactly where it stopped: no step is repeated, the same turn is asked again', () => {
    outOfCalls();
    const steps = told.workflow.stepCount;
    expect(told.tell(topUp({ modelCalls: 3 }))).toEqual(['mandate.topped_up', 'attempt.reserved']);
    expect(told.workflow).toMatchObject({ phase: 'running', stepCount: steps + 1 });
    expect(told.workflow).not.toHaveProperty('failure');
    expect(told.asked()?.owes).not.toHaveProperty('part');
    told.model('a0');
    expect(told.last('task.completed')?.data).toMatchObject({ spent: { modelCalls: 5, toolCalls: 3 } });
  });
  it('is taken once, however often it is asked for', () => {
    outOfCalls();
    told.tell(topUp({ modelCalls: 3 }));
    expect(told.tell(topUp({ modelCalls: 3 }))).toEqual(['nothing']);
    expect(told.agent().mandate.limits.modelCalls).toBe(7);
    expect(told.tell(topUp({ modelCalls: 3 }, { request: 'up2' }))).toEqual(['mandate.topped_up']);
    expect(told.agent().mandate.limits.modelCalls).toBe(10);
  });
  it('of a task that runs raises its limits and repeats nothing', () => {
    running();
    expect(told.tell(topUp({ moneyMicroUsd: 5, tokens: 6, modelCalls: 7, toolCalls: 8 }))).toEqual(['mandate.topped_up']);
    expect(told.agent().mandate.limits).toMatchObject({ moneyMicroUsd: 1_000_005, tokens: 1_000_006, modelCalls: 157, toolCalls: 408 });
  });
  it('of a task in its closing turn waits for that turn and then goes on', () => {
    running({ maxModelCalls: 4 });
    for (let n = 0; n < 3; n++) turn();
    expect(told.tell(topUp({ modelCalls: 6 }))).toEqual(['mandate.topped_up']);
    expect(told.model('a0')).toEqual(['attempt.settled', 'attempt.reserved']);
    told.model('a0');
    expect(told.workflow.phase).toBe('completed');
  });
  it('warns again of what was raised', () => {
    running({ maxModelCalls: 5 });
    for (let n = 0; n < 4; n++) turn();
    told.model('a0');
    told.tell(topUp({ modelCalls: 5 }));
    for (let n = 0; n < 3; n++) turn();
    expect(told.all('mandate.warned').map(({ dimensions }) => dimensions)).toEqual([['modelCalls'], ['modelCalls']]);
  });
  it.each([
    ['a ceiling', topUp({ moneyMicroUsd: ROOT_CEILING.moneyMicroUsd }), 'MandateTooLarge'],
    ['the longest time', topUp({}, { deadlineMs: ROOT_CEILING.deadlineMs + 1 }), 'MandateTooLarge'],
  ])('is refused beyond %s', (_, input, code) => {
    outOfCalls();
    expect(told.tell(input)).toEqual([code]);
    expect(told.workflow.phase).toBe('failed');
  });
  it('is refused when there is nothing that it could carry on', () => {
    running();
    told.model('a0');
    expect(told.tell(topUp({ modelCalls: 1 }))).toEqual(['NotResumable']);
    running();
    told.tell(cancel);
    expect(told.tell(topUp())).toEqual(['NotResumable']);
    lost();
    expect(told.tell(topUp())).toEqual(['NotResumable']);
    running();
    told.tell({
      kind: 'result',
      attempt: told.asked()!.id,
      outcome: 'failed',
      failure: { code: 'bad_request', retryable: false, billed: 'no' },
    });
    expect(told.tell(topUp())).toEqual(['NotResumable']);
    expect(new Telling().tell(topUp())).toEqual(['WorkflowUnknown']);
  });
  it('after the deadline needs time; then the call that was cut off is made again', () => {
    running({ deadlineMs: 60_000 });
    turn();
    told.now += 60_000;
    told.tell({ kind: 'workflow_timer' });
    lost();
    expect(told.workflow.failure?.code).toBe('DeadlineExceeded');
    expect(told.tell(topUp({ moneyMicroUsd: 1 }))).toEqual(['DeadlineExceeded']);
    expect(told.tell(topUp({}, { deadlineMs: 60_000 }))).toEqual(['mandate.topped_up', 'attempt.reserved']);
    expect(told.agent().mandate.limits.deadlineAt).toBe(told.now + 60_000);
    told.model('a0');
    expect(told.workflow.phase).toBe('completed');
  });
  it('asks for the analysis again when the task ended before there was one', () => {
    running({ pattern: undefined, deadlineMs: 60_000 });
    told.now += 60_000;
    told.tell({ kind: 'workflow_timer' });
    lost();
    expect(told.tell(topUp({}, { deadlineMs: 600_000 }))).toEqual(['mandate.topped_up', 'attempt.reserved']);
    expect(told.open('analyze')).toMatchObject([{ step: 'a0_s2', number: 1 }]);
    told.answer(told.open()[0], { kind: 'analyze', analysis: plainAnalysis });
    expect(told.last('decision.made')?.data.chosenBy).toBe('analysis');
  });
  it('goes on with children: those that ended with the task are told as failed, and new ones can be sent', () => {
    running({ deadlineMs: 600_000 });
    told.model('a0', modelAsks(delegating(researcher)));
    told.now += 600_000;
    told.tell({ kind: 'workflow_timer' });
    lost();
    expect(told.last('agent.ended')?.data).toMatchObject({ agent: 'a0-1', end: { kind: 'failed', code: 'DeadlineExceeded' } });
    told.tell(topUp({}, { deadlineMs: 600_000 }));
    told.model('a0', modelAsks(delegating(researcher, { fingerprint: 'f2' })));
    told.model('a0-2');
    told.model('a0');
    expect(told.workflow.phase).toBe('completed');
  });
});

describe('a freeze', () => {
  const frozen = { frozen: true };
  it('lets what runs come back, refuses everything new, and ends the task with what there is', () => {
    running();
    expect(
      told.tell({ kind: 'result', attempt: told.asked()!.id, outcome: 'succeeded', answer: modelSays('files__read') }, frozen),
    ).toEqual(['attempt.settled', 'step.refused', 'step.refused', 'task.failed', 'mandate.released']);
    expect(told.last('task.failed')?.data).toMatchObject({ code: 'SpendingFrozen', answerAt: expect.any(Number) });
  });
  it('refuses a new task at its first step', () => {
    told = new Telling();
    told.tell(submission({ pattern: 'direct' }), frozen);
    expect(told.workflow.failure?.code).toBe('SpendingFrozen');
    expect(told.agent().mandate.spent).toEqual(NONE);
  });
  it('keeps a step of a sequence: a top-up with nothing resumes it once the freeze is lifted', () => {
    told = new Telling();
    const team = [researcher, casting('creator@1')];
    told.tell({ ...submission({ pattern: 'sequential' }), environment: { ...environment, team } });
    told.tell({ kind: 'result', attempt: told.asked('a0-1')!.id, outcome: 'succeeded', answer: modelSays() }, frozen);
    expect(told.workflow.failure?.code).toBe('SpendingFrozen');
    expect(told.tell(topUp({}, { request: 'too-early' }), frozen).at(-1)).toBe('mandate.released');
    expect(told.workflow.phase).toBe('failed');
    told.tell(topUp({}, { request: 'now' }));
    expect(told.open().map(({ agent }) => told.agent(agent).granted.role)).toEqual(['creator@1']);
    expect(told.agent().decision?.pattern).toBe('sequential');
  });
});
