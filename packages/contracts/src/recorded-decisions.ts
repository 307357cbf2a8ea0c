import type { AccountEvent, RecordedAccountDecision, RecordedDecision, WorkflowEvent } from '@mandate/domain';
import { type StoredAccountEvent, upcastAccountEvent } from './account-events.ts';
import { type StoredEvent, upcast } from './events.ts';

/**
 * A stored stream as the decisions that made it, in today's shapes. A decision's input is caused from outside or by an
 * earlier event, and its consequences by its input. @throws UnknownEventVersion
 */
export const decisionsOf = (stored: readonly StoredEvent[]): readonly RecordedDecision[] => grouped<WorkflowEvent>(stored.map(upcast));

/** The same for an account. */
export const accountDecisionsOf = (stored: readonly StoredAccountEvent[]): readonly RecordedAccountDecision[] =>
  grouped<AccountEvent>(stored.map(upcastAccountEvent));

/** They are inputs whatever caused them: a timer of the whole workflow is caused by its first event, which may be the latest input. */
const ALWAYS_INPUTS: ReadonlySet<string> = new Set(['bus.reset', 'timer.fired']);

function grouped<Event extends { readonly type: string; readonly data: unknown }>(
  stored: readonly (Pick<StoredEvent, 'id' | 'at' | 'causation'> & { readonly type: Event['type']; readonly data: Event['data'] })[],
): readonly { readonly at: number; readonly events: readonly Event[] }[] {
  const decisions: { readonly input: string; readonly at: number; readonly events: Event[] }[] = [];
  for (const { id, at, causation, type, data } of stored) {
    const current = decisions.at(-1);
    const event = { type, data } as Event;
    if (current?.input === causation && !ALWAYS_INPUTS.has(type)) current.events.push(event);
    else decisions.push({ input: id, at, events: [event] });
  }
  return decisions.map(({ at, events }) => ({ at, events }));
}
