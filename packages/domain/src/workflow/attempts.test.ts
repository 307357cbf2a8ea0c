import { describe, expect, it } from 'vitest';
import { casting, delegating, environment, modelAsks, modelSays, submission, Telling } from './given.ts';
import type { Answer, Ask } from './steps.ts';

const running = (): Telling => {
  const told = new Telling();
  told.tell(submission());
  return told;
};

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

describe('a step whose answer nobody waits for any more', () => {
  it('is not tried again when the pattern of its agent has failed: nobody spends after its end', () => {
    const [one, other] = [casting('researcher@1'), casting('creator@1')];
    const passing = (to: typeof one): Ask => ({ kind: 'transfer', to });
    const told = new Telling();
    told.tell({ ...submission(), environment: { ...environment, team: [one, other] } });
    told.model('a0', modelAsks(delegating(one, { pattern: 'swarm' })));
    told.model('a0-1', modelAsks(passing(other)));
    told.model('a0-1', modelAsks(passing(one)));
    // The work goes to and fro, and in the same turn a tool is called that is to be tried again later.
    const turn = modelAsks(passing(other)) as Extract<Answer, { kind: 'llm' }>;
    told.model('a0-1', { ...turn, calls: [...turn.calls, { tool: 'files__read', argsBytes: 10 }] });
    const [reading] = told.open('tool');
    const failure = { code: 'rate_limit', retryable: true, billed: 'no', retryAfterMs: 7_000 } as const;
    expect(told.tell({ kind: 'result', attempt: reading!.id, outcome: 'failed', failure })).toEqual([
      'attempt.settled',
      'decision.made',
      'attempt.reserved',
    ]);
    expect(told.last('decision.made')?.data).toMatchObject({ agent: 'a0-1', chosenBy: 'fallback', reasons: ['failed.swarm.HandoverLoop'] });
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

describe('a runner that asks for a start', () => {
  it('is refused when the attempt is settled, or is to be stopped', () => {
    const told = running();
    told.answer(told.open('llm')[0], modelSays('mail__send'));
    const attempt = told.open('tool')[0]!.id;
    told.tell({ kind: 'cancel', request: submission().request });
    expect(told.tell({ kind: 'start', attempt, runner: 'one' })).toEqual(['AttemptNotLive']);
    told.tell({ kind: 'result', attempt, outcome: 'cancelled', failure: { code: 'cancelled', retryable: false, billed: 'no' } });
    expect(told.tell({ kind: 'start', attempt, runner: 'one' })).toEqual(['AttemptNotLive']);
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
