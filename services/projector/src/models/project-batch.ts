import { type StoredEvent, upcast } from '@mandate/contracts';
import { isAccountId } from '@mandate/domain';
import { type AgentRow, type Agents, evolveAgents } from './agents.ts';
import { type LlmCall, llmCallOf, type ToolCall, toolCallOf } from './calls.ts';
import { evolveTask, type TaskRow } from './task.ts';
import { type TimelineRow, timelineRow } from './timeline.ts';

/** An event and its place in its partition of the log. */
export interface LoggedEvent {
  readonly position: number;
  readonly envelope: StoredEvent;
}

/** What is known about one workflow. */
export interface Known {
  readonly task: TaskRow;
  readonly agents: Agents;
}

/** A row of `parked`: from this event on, the stream is not projected. */
export interface ParkedStream {
  readonly workflow: string;
  readonly p: number;
  readonly tenant: string;
  readonly version: number;
  readonly pos: number;
  readonly type: string;
  readonly reason: string;
  /** Of the event, epoch ms. */
  readonly at: number;
}

/** Everything that a batch of events writes. */
export interface Changes {
  /** The last state of every workflow that was touched. */
  readonly workflows: ReadonlyMap<string, Known>;
  /** The last state of every agent that was touched. */
  readonly agents: readonly AgentRow[];
  readonly timeline: readonly TimelineRow[];
  readonly llmCalls: readonly LlmCall[];
  readonly toolCalls: readonly ToolCall[];
  readonly parked: readonly ParkedStream[];
}

export const NO_CHANGES: Changes = { workflows: new Map(), agents: [], timeline: [], llmCalls: [], toolCalls: [], parked: [] };

/**
 * What a batch of one partition's events, in the order of the log, makes of the read models. Pure.
 * A stream with an event that this build does not understand is parked; all others go on. Accounts are asked of their
 * owners and have no read model.
 *
 * @param known workflows as they stand, for every stream of the batch that exists already
 * @param isParked whether a stream was parked before
 */
export function projectBatch(
  partition: number,
  events: readonly LoggedEvent[],
  known: (workflow: string) => Known | undefined,
  isParked: (workflow: string) => boolean,
): Changes {
  const workflows = new Map<string, Known>();
  const timeline: TimelineRow[] = [];
  const llmCalls: LlmCall[] = [];
  const toolCalls: ToolCall[] = [];
  const parked = new Map<string, ParkedStream>();
  for (const { position, envelope } of events) {
    const workflow = envelope.stream;
    if (isAccountId(workflow) || parked.has(workflow) || isParked(workflow)) continue;
    try {
      const event = upcast(envelope);
      const before = workflows.get(workflow) ?? known(workflow);
      const task = evolveTask(before?.task, event, partition);
      const agents = before === undefined ? NOBODY : evolveAgents(before.agents, event, before.task);
      const llmCall = before === undefined ? undefined : llmCallOf(before.task, event);
      const toolCall = before === undefined ? undefined : toolCallOf(before.task, event);
      const row = timelineRow(event, partition);
      workflows.set(workflow, { task, agents });
      timeline.push(row);
      if (llmCall !== undefined) llmCalls.push(llmCall);
      if (toolCall !== undefined) toolCalls.push(toolCall);
    } catch (error) {
      parked.set(workflow, park(partition, position, envelope, (error as Error).message));
    }
  }
  return { workflows, agents: changedAgents(workflows, known), timeline, llmCalls, toolCalls, parked: [...parked.values()] };
}

const NOBODY: Agents = new Map();

/** Agents that did not change stayed the same objects. */
function changedAgents(workflows: ReadonlyMap<string, Known>, known: (workflow: string) => Known | undefined): readonly AgentRow[] {
  return [...workflows].flatMap(([workflow, { agents }]) => {
    const before = known(workflow)?.agents ?? NOBODY;
    return agents === before ? [] : [...agents.values()].filter((agent) => before.get(agent.agent) !== agent);
  });
}

export const park = (partition: number, position: number, envelope: StoredEvent, reason: string): ParkedStream => ({
  workflow: envelope.stream,
  p: partition,
  tenant: envelope.tenant,
  version: envelope.version,
  pos: position,
  type: envelope.type,
  reason: reason.slice(0, 1_000),
  at: envelope.at,
});
