import { describe, expect, it } from 'vitest';
import { available, DEFAULT_ROOT } from '../mandate/mandate.ts';
import { environment, modelSays, submission, Telling, toolSays } from './given.ts';
import { rootOf } from './workflow.ts';

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
    [{ pattern: 'swarm' }, 'PatternUnknown'],
    [{ tools: ['other__tool'] }, 'ToolNotAllowed'],
  ] as const)('is rejected on the record for %j', (options, code) => {
    const told = new Telling();
    expect(told.tell(submission(options))).toEqual(['task.submitted', 'task.rejected']);
    expect(told.last('task.rejected')?.data.code).toBe(code);
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
  it('refuses a model call that could cost more than is left, and fails the task honestly', () => {
    const told = new Telling();
    expect(told.tell(submission({ pattern: 'direct', maxCostMicroUsd: 2_000 }))).toEqual([
      'task.submitted',
      'mandate.granted',
      'decision.made',
      'step.refused',
      'task.failed',
      'mandate.released',
    ]);
    expect(told.last('task.failed')?.data.code).toBe('CostBudgetExceeded');
  });
  it('refuses one tool call too many and lets the model go on', () => {
    const told = new Telling();
    told.tell(submission({ pattern: 'direct', maxToolCalls: 1 }));
    expect(told.answer(told.open('llm')[0], modelSays('files__read', 'files__read'))).toEqual([
      'attempt.settled',
      'attempt.reserved',
      'step.refused',
    ]);
    expect(told.last('step.refused')?.data.code).toBe('ToolCallBudgetExceeded');
    expect(told.answer(told.open('tool')[0], toolSays())).toEqual(['attempt.settled', 'attempt.reserved']);
  });
  it('refuses a prompt beyond the context limit with the exact words', () => {
    const told = running();
    told.answer(told.open('llm')[0], modelSays('files__read'));
    told.answer(told.open('tool')[0], toolSays(400_000));
    expect(told.last('step.refused')?.data.message).toBe('Agent context budget (100k tokens) exceeded. Simplify subtask.');
    expect(told.workflow.phase).toBe('failed');
  });
});

describe('retries', () => {
  it('wait with backoff, or as long as the provider asks', () => {
    const told = running();
    expect(
      told.tell({
        kind: 'result',
        attempt: told.open()[0]!.id,
        outcome: 'failed',
        failure: { code: 'rate_limit', retryable: true, billed: 'no', retryAfterMs: 7_000 },
      }),
    ).toEqual(['attempt.settled', 'retry.scheduled']);
    const dueAt = told.last('retry.scheduled')!.data.dueAt;
    expect(dueAt).toBe(told.now + 7_000);
    const step = told.last('retry.scheduled')!.data.step;
    expect(told.tell({ kind: 'retry_timer', step, attempt: 2 })).toEqual(['nothing']);
    told.now = dueAt;
    expect(told.tell({ kind: 'retry_timer', step, attempt: 2 })).toEqual(['timer.fired', 'attempt.reserved']);
  });
  it('end after the last try', () => {
    const told = running();
    for (let n = 0; n < 10 && told.workflow.phase === 'running'; n++) {
      const [asked] = told.open('llm');
      if (asked !== undefined)
        told.tell({
          kind: 'result',
          attempt: asked.id,
          outcome: 'failed',
          failure: { code: 'server_error', retryable: true, billed: 'no' },
        });
      told.now += 60_000;
      const scheduled = told.last('retry.scheduled');
      if (scheduled !== undefined) told.tell({ kind: 'retry_timer', ...scheduled.data });
    }
    expect(told.last('task.failed')?.data.code).toBe('server_error');
    expect(told.last('attempt.settled')?.data.attempt).toBe('a0_s1_t6');
  });
});

describe('a tool that must not be repeated', () => {
  const sending = (): Telling => {
    const told = running();
    told.answer(told.open('llm')[0], modelSays('mail__send'));
    return told;
  };
  it('may be started by one runner only', () => {
    const told = sending();
    const attempt = told.open('tool')[0]!.id;
    expect(told.tell({ kind: 'start', attempt, runner: 'one' })).toEqual(['attempt.started']);
    expect(told.tell({ kind: 'start', attempt, runner: 'one' })).toEqual(['nothing']);
    expect(told.tell({ kind: 'start', attempt, runner: 'two' })).toEqual(['AttemptNotLive']);
  });
  it('is unknown, and not tried again, when its runner never answers after the start', () => {
    const told = sending();
    const [attempt] = told.open('tool');
    told.tell({ kind: 'start', attempt: attempt!.id, runner: 'one' });
    told.now = attempt!.deadlineAt;
    expect(told.tell({ kind: 'attempt_timer', attempt: attempt!.id })).toEqual(['timer.fired', 'attempt.settled', 'attempt.reserved']);
    expect(told.last('attempt.settled')?.data).toMatchObject({ outcome: 'unknown', final: true, settledAt: 'worst_case' });
    expect(told.open('llm')).toHaveLength(1);
  });
  it('is tried again when it never started', () => {
    const told = sending();
    const [attempt] = told.open('tool');
    told.now = attempt!.deadlineAt;
    told.tell({ kind: 'attempt_timer', attempt: attempt!.id });
    expect(told.open('tool')[0]).toMatchObject({ number: 2 });
    expect(told.open('tool')[0]).not.toHaveProperty('runner');
  });
});

describe('a bus that lost its storage', () => {
  it('settles what its claims guarded, and leaves a committed start alone', () => {
    const told = running();
    told.answer(told.open('llm')[0], modelSays('files__read', 'mail__send'));
    const [, mail] = told.open('tool');
    told.tell({ kind: 'start', attempt: mail!.id, runner: 'one' });
    told.bus = 'bus-2';
    expect(told.tell({ kind: 'bus_reset', incarnation: 'bus-2' })).toEqual(['bus.reset', 'attempt.settled', 'attempt.reserved']);
    expect(told.open('tool').map((attempt) => [attempt.number, attempt.bus])).toEqual([
      [1, 'bus-1'],
      [2, 'bus-2'],
    ]);
    expect(told.tell({ kind: 'bus_reset', incarnation: 'bus-2' })).toEqual(['nothing']);
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
