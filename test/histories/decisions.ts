import { type StoredEvent, upcast } from '@mandate/contracts';
import type { RecordedDecision, WorkflowEvent } from '@mandate/domain';

/** A stored stream as the decisions that made it: an event caused by an earlier event of its decision is a consequence. */
export function decisionsOf(stored: readonly StoredEvent[]): readonly RecordedDecision[] {
  const decisions: { at: number; ids: Set<string>; events: WorkflowEvent[] }[] = [];
  for (const event of stored.map(upcast)) {
    const current = decisions.at(-1);
    const fact = { type: event.type, data: event.data } as WorkflowEvent;
    // Inputs are caused from outside, or by an event of an earlier decision.
    if (current !== undefined && [...current.ids][0] === event.causation) {
      current.ids.add(event.id);
      current.events.push(fact);
    } else decisions.push({ at: event.at, ids: new Set([event.id]), events: [fact] });
  }
  return decisions;
}
