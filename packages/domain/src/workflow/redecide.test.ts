import { describe, expect, it } from 'vitest';
import type { AttemptId, RequestId } from '../ids.ts';
import { decide } from './decide.ts';
import type { WorkflowEvent } from './events.ts';
import { submission, Telling } from './given.ts';
import { type Decide, type RecordedDecision, redecide } from './replay.ts';

/** Submitted, cancelled, and its analysis stops. */
function recorded(): readonly RecordedDecision[] {
  const told = new Telling();
  told.tell(submission());
  told.tell({ kind: 'cancel', request: 'stop' as RequestId });
  told.tell({ kind: 'result', attempt: 'a0_s1_t1' as AttemptId, outcome: 'cancelled' });
  return told.history;
}

/** Today's decisions, with one kind of event changed. */
const changed =
  (type: WorkflowEvent['type'], change: (event: WorkflowEvent) => readonly WorkflowEvent[]): Decide =>
  (input, workflow, circumstances) => {
    const decision = decide(input, workflow, circumstances);
    return decision.kind === 'events'
      ? { kind: 'events', events: decision.events.flatMap((event) => (event.type === type ? change(event) : [event])) }
      : decision;
  };

describe('a history that is decided again', () => {
  it('diverges nowhere by the code that decided it', () => {
    const { divergences, workflow } = redecide(recorded());
    expect(divergences).toEqual([]);
    expect(workflow.phase).toBe('cancelled');
  });

  it('names the first event and field of every decision that comes out differently, also behind another', () => {
    const later = (event: WorkflowEvent): readonly WorkflowEvent[] =>
      event.type === 'attempt.reserved' ? [{ ...event, data: { ...event.data, timeoutMs: event.data.timeoutMs + 1 } }] : [event];
    const history = recorded();
    const place = (history[0]?.events.findIndex(({ type }) => type === 'attempt.reserved') ?? -2) + 1;
    const [first] = redecide(history, changed('attempt.reserved', later)).divergences;
    expect(first).toMatchObject({ version: place, type: 'attempt.reserved', input: 'task.submitted', path: '/data/timeoutMs' });
    expect(Number(first?.decided) - Number(first?.recorded)).toBe(1);

    const both: Decide = (input, workflow, circumstances) =>
      input.kind === 'result'
        ? changed('task.cancelled', () => [])(input, workflow, circumstances)
        : changed('attempt.reserved', later)(input, workflow, circumstances);
    const { divergences, workflow } = redecide(history, both);
    expect(divergences.map(({ input }) => input)).toEqual(['task.submitted', 'attempt.settled']);
    expect(divergences[1]).toMatchObject({
      type: 'task.cancelled',
      path: '/type',
      recorded: 'task.cancelled',
      decided: 'mandate.released',
    });
    expect(workflow.phase).toBe('cancelled');
  });

  it('says where an event is missing or too many, and why nothing is decided', () => {
    const history = recorded();
    const last = history.flatMap(({ events }) => events).length;
    const [missing] = redecide(
      history,
      changed('mandate.released', () => []),
    ).divergences;
    expect(missing).toMatchObject({ version: last, type: 'mandate.released', path: '', recorded: { type: 'mandate.released' } });
    expect(missing).not.toHaveProperty('decided');
    const [much] = redecide(
      history,
      changed('mandate.released', (event) => [event, event]),
    ).divergences;
    expect(much).toMatchObject({ version: last + 1, path: '', decided: { type: 'mandate.released' } });
    const twice = redecide([...history, ...history.slice(1, 2)]).divergences;
    expect(twice).toMatchObject([{ version: last + 1, because: 'it is already cancelled or being cancelled' }]);
  });
});
