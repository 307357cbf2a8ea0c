import { describe, expect, it } from 'vitest';
import type { RequestId } from '../ids.ts';
import { modelSays, submission, Telling } from './given.ts';
import type { WorkflowInput } from './inputs.ts';
import { pending } from './pending.ts';
import { replay } from './replay.ts';
import { isOpen, isUnfinished } from './workflow.ts';

const erase: WorkflowInput = { kind: 'erase', request: 'erase-1' as RequestId, of: 'workflow' };
const erased: WorkflowInput = { kind: 'erased', keys: 1 };
const topUp: WorkflowInput = {
  kind: 'top_up',
  request: 'up' as RequestId,
  added: { moneyMicroUsd: 0, tokens: 0, modelCalls: 3, toolCalls: 0 },
};

const running = (): Telling => {
  const told = new Telling();
  told.tell(submission());
  return told;
};

function ended(): Telling {
  const told = running();
  told.model('a0', modelSays());
  expect(told.workflow.phase).toBe('completed');
  return told;
}

describe('an erasure', () => {
  it('of a task that has ended is on the record, then that its keys were destroyed', () => {
    const told = ended();
    expect(told.tell(erase)).toEqual(['erasure.requested']);
    expect([isOpen(told.workflow), isUnfinished(told.workflow)]).toEqual([false, true]);
    expect(told.tell(erased)).toEqual(['content.erased']);
    expect([told.workflow.phase, isUnfinished(told.workflow)]).toEqual(['completed', false]);
  });

  it('ends a task that runs; its open attempt is stopped, never sent again, and settled without words', () => {
    const told = running();
    expect(told.tell(erase)).toEqual(['erasure.requested']);
    expect(told.workflow.ending).toMatchObject({ as: 'cancelled', code: 'ContentErased' });
    expect(pending(told.workflow)).toMatchObject({ dispatch: [], stop: [{ id: told.asked()?.id }] });
    expect(told.tell(erased)).toEqual(['content.erased']);
    expect(told.model('a0')).toEqual(['attempt.settled', 'task.cancelled', 'mandate.released']);
    expect(isUnfinished(told.workflow)).toBe(false);
  });

  it('is settled by the timers when nobody answers', () => {
    const told = running();
    told.tell(erase);
    const [timer] = pending(told.workflow).timers;
    told.now = timer?.at ?? 0;
    expect(timer?.fire.timer).toBe('attempt');
    const attempt = told.asked();
    expect(told.tell({ kind: 'attempt_timer', attempt: attempt?.id ?? ('' as never) })).toContain('task.cancelled');
  });

  it('twice is one', () => {
    const told = ended();
    told.tell(erase);
    expect(told.tell(erase)).toEqual(['nothing']);
    told.tell(erased);
    expect([told.tell(erase), told.tell(erased)]).toEqual([['nothing'], ['nothing']]);
  });

  it('is for ever: the same request and a top-up are refused', () => {
    const told = ended();
    told.tell(erase);
    expect(told.tell(submission())).toEqual(['ContentErased']);
    expect(told.tell(topUp)).toEqual(['ContentErased']);
    told.tell(erased);
    expect([told.tell(submission()), told.tell(topUp)]).toEqual([['ContentErased'], ['ContentErased']]);
  });

  it('of nothing is refused, and keys are not said to be destroyed unasked', () => {
    expect(new Telling().tell(erase)).toEqual(['WorkflowUnknown']);
    expect(ended().tell(erased)).toEqual(['nothing']);
  });

  it('is decided again as it was, without the content', () => {
    const told = running();
    told.tell(erase);
    told.now += 5;
    told.tell(erased);
    told.now += 5;
    told.model('a0');
    expect(replay(told.history).kind).toBe('same');
  });
});
