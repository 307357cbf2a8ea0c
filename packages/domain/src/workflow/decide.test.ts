import { describe, expect, it } from 'vitest';
import { available, DEFAULT_ROOT } from '../mandate/mandate.ts';
import { environment, modelSays, submission, Telling, toolSays } from './given.ts';
import { PATTERN_NAMES } from './steps.ts';
import { rootOf } from './workflow.ts';

/** As every workflow was decided before there was delegation. */
const inEdition1 = (options: Parameters<typeof submission>[0]): ReturnType<typeof submission> => ({
  ...submission(options),
  environment: { ...environment, edition: 1 },
});
const running = (): Telling => {
  const told = new Telling();
  told.tell(submission());
  return told;
};

describe('a submission', () => {
  it('is recorded, granted a mandate and analyzed first', () => {
    expect(new Telling().tell(submission({}))).toEqual(['task.submitted', 'mandate.granted', 'attempt.reserved']);
  });
  it('skips the analysis when the client chose the pattern', () => {
    expect(new Telling().tell(submission())).toEqual(['task.submitted', 'mandate.granted', 'decision.made', 'attempt.reserved']);
  });
  it('decides nothing the second time', () => {
    expect(running().tell(submission())).toEqual(['nothing']);
  });
  it('is refused when the same request carries another task', () => {
    expect(running().tell({ ...submission(), bodyHash: 'd'.repeat(64) })).toEqual(['IdempotencyConflict']);
  });
  it.each([
    [{ maxCostMicroUsd: 100_000_001 }, 'MandateTooLarge'],
    [{ maxDepth: 3 }, 'MandateTooLarge'],
    [{ maxAgents: 61 }, 'MandateTooLarge'],
    [{ pattern: 'sequential', maxDepth: 0 }, 'DelegationDepthExceeded'],
    [{ tools: ['other__tool'] }, 'ToolNotAllowed'],
  ] as const)('is rejected on the record for %j', (options, code) => {
    const told = new Telling();
    expect(told.tell(submission(options))).toEqual(['task.submitted', 'task.rejected']);
    expect(told.last('task.rejected')?.data.code).toBe(code);
  });
  it.each(PATTERN_NAMES)('may ask for the pattern %s', (pattern) => {
    const told = new Telling();
    told.tell(submission({ pattern }));
    expect(told.workflow).toMatchObject({ phase: 'running' });
    expect(rootOf(told.workflow)?.decision).toMatchObject({ pattern, chosenBy: 'client' });
  });
  it('could ask for nothing but direct in edition 1', () => {
    const told = new Telling();
    told.tell(inEdition1({ pattern: 'swarm' }));
    expect(told.last('task.rejected')?.data).toMatchObject({
      code: 'PatternUnknown',
      message: 'Pattern swarm cannot be run; these can: direct.',
    });
  });
  it('may be forbidden to delegate by the operator: then it has no children to spend', () => {
    const told = new Telling();
    told.tell({ ...submission(), environment: { ...environment, delegation: { ...environment.delegation, maxDepth: 0 } } });
    expect(rootOf(told.workflow)?.mandate.limits.children).toBe(0);
  });
  it('is rejected on the record when its model is not in the catalogue', () => {
    const told = new Telling();
    told.tell({ ...submission({ pattern: 'direct', model: 'nobody/none' }), environment: { ...environment, model: null } });
    expect(told.last('task.rejected')?.data.code).toBe('ModelUnknown');
  });
});

describe('the direct pattern', () => {
  it('asks the model, runs its tools together, asks again, and completes with the answer', () => {
    const told = running();
    expect(told.answer(told.open('llm')[0], modelSays('files__read', 'files__read'))).toEqual([
      'attempt.settled',
      'attempt.reserved',
      'attempt.reserved',
    ]);
    const [first, second] = told.open('tool');
    expect(told.answer(first, toolSays())).toEqual(['attempt.settled']);
    expect(told.answer(second, toolSays())).toEqual(['attempt.settled', 'attempt.reserved']);
    expect(told.answer(told.open('llm')[0], modelSays())).toEqual(['attempt.settled', 'task.completed', 'mandate.released']);
    expect(told.workflow).toMatchObject({ phase: 'completed', stepCount: 4 });
  });
  it('tells the model of a tool that it was not granted, and spends nothing on it', () => {
    const told = running();
    expect(told.answer(told.open('llm')[0], modelSays(null))).toEqual(['attempt.settled', 'step.refused', 'attempt.reserved']);
    expect(rootOf(told.workflow)?.mandate.spent.toolCalls).toBe(0);
  });
  it('goes on after an analysis that failed for good', () => {
    const told = new Telling();
    told.tell(submission({}));
    told.tell({
      kind: 'result',
      attempt: told.open()[0]!.id,
      outcome: 'failed',
      failure: { code: 'bad_request', retryable: false, billed: 'no' },
    });
    expect(told.last('decision.made')?.data).toMatchObject({ pattern: 'direct', chosenBy: 'default' });
    expect(told.open('llm')).toHaveLength(1);
  });
});

describe('an answer', () => {
  it('is taken once: the same one again decides nothing', () => {
    const told = running();
    const [asked] = told.open('llm');
    told.answer(asked, modelSays('files__read'));
    expect(told.answer(asked, modelSays('files__read'))).toEqual(['nothing']);
  });
  it('of another kind than was asked for is refused', () => {
    const told = running();
    expect(told.answer(told.open('llm')[0], toolSays())).toEqual(['AttemptNotLive']);
  });
  it('that comes after its attempt was lost is recorded once and changes nothing', () => {
    const told = running();
    const [asked] = told.open('llm');
    told.tell({ kind: 'result', attempt: asked!.id, outcome: 'lost' });
    const spent = rootOf(told.workflow)?.mandate.spent;
    expect(told.answer(asked, modelSays())).toEqual(['attempt.answered_late']);
    expect(told.answer(asked, modelSays())).toEqual(['nothing']);
    expect(rootOf(told.workflow)?.mandate.spent).toEqual(spent);
  });
});

describe('the ledger', () => {
  it('reserves the worst case before a call and settles what it cost', () => {
    const told = running();
    const [asked] = told.open('llm');
    // 150 prompt bytes as tokens at most, 64 of framing, 1,000 of output: 214 at $1 and 1,000 at $2 per million.
    expect(asked?.reservation).toEqual({ moneyMicroUsd: 2_214, tokens: 1_214, modelCalls: 1, toolCalls: 0 });
    expect(available(rootOf(told.workflow)!.mandate).moneyMicroUsd).toBe(DEFAULT_ROOT.moneyMicroUsd - 2_214);
    told.answer(asked, modelSays('mail__send'));
    expect(rootOf(told.workflow)?.mandate).toMatchObject({
      spent: { moneyMicroUsd: 60, tokens: 50 },
      reserved: { toolCalls: 1, moneyMicroUsd: 0 },
    });
  });
  it('settles a lost call at its worst case and reserves the next try anew', () => {
    const told = running();
    const [asked] = told.open('llm');
    expect(told.tell({ kind: 'result', attempt: asked!.id, outcome: 'lost' })).toEqual(['attempt.settled', 'attempt.reserved']);
    expect(rootOf(told.workflow)?.mandate).toMatchObject({ spent: { moneyMicroUsd: 2_214 }, reserved: { moneyMicroUsd: 2_214 } });
    expect(told.open('llm')[0]).toMatchObject({ number: 2 });
  });
  it('frees the reservation of a call that was provably not billed', () => {
    const told = running();
    told.tell({
      kind: 'result',
      attempt: told.open()[0]!.id,
      outcome: 'failed',
      failure: { code: 'rate_limit', retryable: true, billed: 'no' },
    });
    expect(rootOf(told.workflow)?.mandate).toMatchObject({ spent: { moneyMicroUsd: 0 }, reserved: { moneyMicroUsd: 0 } });
  });
  it('cuts the answer to what is left', () => {
    const told = new Telling();
    told.tell(submission({ pattern: 'direct', maxCostMicroUsd: 2_000 }));
    // 214 for the prompt; the rest pays 893 tokens at $2 per million.
    expect(told.open('llm')[0]).toMatchObject({ owes: { maxOutputTokens: 893 }, reservation: { moneyMicroUsd: 2_000, tokens: 1_107 } });
    const tokens = new Telling();
    tokens.tell(submission({ pattern: 'direct', maxTokens: 1_000 }));
    expect(tokens.open('llm')[0]).toMatchObject({ owes: { maxOutputTokens: 786 }, reservation: { tokens: 1_000 } });
  });
  it.each([
    ['an answer that would be shorter than 256 tokens', submission({ pattern: 'direct', maxCostMicroUsd: 700 })],
    ['in edition 1 any answer that could cost more than is left', inEdition1({ pattern: 'direct', maxCostMicroUsd: 2_000 })],
  ])('refuses %s, and fails the task honestly', (_, input) => {
    const told = new Telling();
    expect(told.tell(input)).toEqual([
      'task.submitted',
      'mandate.granted',
      'decision.made',
      'step.refused',
      'task.failed',
      'mandate.released',
    ]);
    expect(told.last('task.failed')?.data.code).toBe('CostBudgetExceeded');
  });
  it.each([
    ['which knows that none are left', submission({ pattern: 'direct', maxToolCalls: 1 }), ['mandate.warned']],
    ['in edition 1 without a warning', inEdition1({ pattern: 'direct', maxToolCalls: 1 }), []],
  ])('refuses one tool call too many and lets the model go on, %s', (_, input, warned) => {
    const told = new Telling();
    told.tell(input);
    expect(told.answer(told.open('llm')[0], modelSays('files__read', 'files__read'))).toEqual([
      'attempt.settled',
      'attempt.reserved',
      'step.refused',
    ]);
    expect(told.last('step.refused')?.data.code).toBe('ToolCallBudgetExceeded');
    expect(told.answer(told.open('tool')[0], toolSays())).toEqual(['attempt.settled', ...warned, 'attempt.reserved']);
  });
  const reading = (input: ReturnType<typeof submission>): Telling => {
    const told = new Telling();
    told.tell(input);
    told.answer(told.open('llm')[0], modelSays('files__read'));
    told.answer(told.open('tool')[0], toolSays(400_000));
    expect(told.last('step.refused')?.data.message).toBe('Agent context budget (100k tokens) exceeded. Simplify subtask.');
    return told;
  };
  it('refuses a prompt beyond the context limit with the exact words, and lets the agent close', () => {
    const told = reading(submission());
    expect(told.open('llm')[0]?.owes).toMatchObject({ part: { name: 'closing' } });
    told.answer(told.open('llm')[0], modelSays());
    expect(told.last('task.failed')?.data).toMatchObject({ code: 'ContextBudgetExceeded', answerAt: told.workflow.version - 2 });
  });
  it('ended the task there and then in edition 1', () => {
    expect(reading(inEdition1({ pattern: 'direct' })).workflow).toMatchObject({
      phase: 'failed',
      failure: { code: 'ContextBudgetExceeded' },
    });
  });
});

describe('cancelling', () => {
  it('stays ending until every attempt is settled', () => {
    const told = running();
    told.answer(told.open('llm')[0], modelSays('files__read', 'files__read'));
    const [first, second] = told.open('tool');
    expect(told.tell({ kind: 'cancel', request: submission().request })).toEqual(['cancel.requested']);
    told.answer(first, toolSays());
    expect(told.workflow.phase).toBe('ending');
    expect(
      told.tell({
        kind: 'result',
        attempt: second!.id,
        outcome: 'cancelled',
        failure: { code: 'cancelled', retryable: false, billed: 'no' },
      }),
    ).toEqual(['attempt.settled', 'task.cancelled', 'mandate.released']);
  });
  it('gives up a step that was waiting for its retry', () => {
    const told = running();
    told.tell({
      kind: 'result',
      attempt: told.open()[0]!.id,
      outcome: 'failed',
      failure: { code: 'rate_limit', retryable: true, billed: 'no', retryAfterMs: 5_000 },
    });
    expect(told.tell({ kind: 'cancel', request: submission().request })).toEqual([
      'cancel.requested',
      'task.cancelled',
      'mandate.released',
    ]);
  });
  it('is refused once the workflow has ended, and when there is none', () => {
    const told = running();
    told.answer(told.open('llm')[0], modelSays());
    expect(told.tell({ kind: 'cancel', request: submission().request })).toEqual(['WorkflowEnded']);
    expect(new Telling().tell({ kind: 'cancel', request: submission().request })).toEqual(['WorkflowUnknown']);
  });
});

describe('the deadline', () => {
  it('ends the task after its open attempts are settled', () => {
    const told = new Telling();
    told.tell(submission({ pattern: 'direct', deadlineMs: 1_000 }));
    told.now += 1_000;
    expect(told.tell({ kind: 'workflow_timer' })).toEqual(['timer.fired']);
    told.tell({
      kind: 'result',
      attempt: told.open()[0]!.id,
      outcome: 'cancelled',
      failure: { code: 'cancelled', retryable: false, billed: 'maybe' },
    });
    expect(told.last('task.failed')?.data.code).toBe('DeadlineExceeded');
  });
});
