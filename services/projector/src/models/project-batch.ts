import { type StoredEvent, upcast } from '@mandate/contracts';
import { type LlmCall, llmCallOf, type ToolCall, toolCallOf } from './calls.ts';
import { evolveTask, type TaskRow } from './task.ts';
import { type TimelineRow, timelineRow } from './timeline.ts';

/** An event and its place in its partition of the log. */
export interface LoggedEvent {
  readonly position: number;
  readonly envelope: StoredEvent;
}

/** A row of `read.parked`: from this event on, the stream is not projected. */
export interface ParkedStream {
  readonly workflow: string;
  readonly p: number;
  readonly tenant: string;
  readonly version: number;
  readonly pos: number;
  readonly type: string;
  readonly reason: string;
}

/** Everything that a batch of events writes. */
export interface Changes {
  /** The last state of every task that was touched. */
  readonly tasks: ReadonlyMap<string, TaskRow>;
  readonly timeline: readonly TimelineRow[];
  readonly llmCalls: readonly LlmCall[];
  readonly toolCalls: readonly ToolCall[];
  readonly parked: readonly ParkedStream[];
}

/**
 * What a batch of one partition's events, in the order of the log, makes of the read models. Pure.
 * A stream with an event that this build does not understand is parked; all others go on.
 *
 * @param known tasks as they stand, for every stream of the batch that exists already
 * @param isParked whether a stream was parked before
 */
export function projectBatch(
  partition: number,
  events: readonly LoggedEvent[],
  known: (workflow: string) => TaskRow | undefined,
  isParked: (workflow: string) => boolean,
): Changes {
  const tasks = new Map<string, TaskRow>();
  const timeline: TimelineRow[] = [];
  const llmCalls: LlmCall[] = [];
  const toolCalls: ToolCall[] = [];
  const parked = new Map<string, ParkedStream>();
  for (const { position, envelope } of events) {
    const workflow = envelope.stream;
    if (parked.has(workflow) || isParked(workflow)) continue;
    try {
      const event = upcast(envelope);
      const before = tasks.get(workflow) ?? known(workflow);
      const after = evolveTask(before, event, partition);
      const llmCall = before === undefined ? undefined : llmCallOf(before, event);
      const toolCall = before === undefined ? undefined : toolCallOf(before, event);
      const row = timelineRow(event, partition);
      tasks.set(workflow, after);
      timeline.push(row);
      if (llmCall !== undefined) llmCalls.push(llmCall);
      if (toolCall !== undefined) toolCalls.push(toolCall);
    } catch (error) {
      parked.set(workflow, park(partition, position, envelope, (error as Error).message));
    }
  }
  return { tasks, timeline, llmCalls, toolCalls, parked: [...parked.values()] };
}

export const park = (partition: number, position: number, envelope: StoredEvent, reason: string): ParkedStream => ({
  workflow: envelope.stream,
  p: partition,
  tenant: envelope.tenant,
  version: envelope.version,
  pos: position,
  type: envelope.type,
  reason: reason.slice(0, 1_000),
});
