import type { StoredEvent } from '@mandate/contracts';
import {
  type AgentId,
  type DecisionMade,
  type Figures,
  type GrantedErrand,
  type MandateGranted,
  type ModelTier,
  type PatternName,
  plus,
  ROOT_AGENT,
} from '@mandate/domain';
import { CANCELLED, ERASED, takenBack, type TaskRow, TOO_LATE } from './task.ts';

/**
 * A row of `agents`: one agent of a workflow. Figures are its own; what whoever works for it spent is added up when
 * it is asked for. Property names are column names; times are epoch milliseconds.
 */
export interface AgentRow {
  readonly workflow: string;
  readonly agent: string;
  readonly p: number;
  readonly tenant: string;
  readonly parent: string | null;
  readonly depth: number;
  readonly role: string;
  /** Roles that took its work over, in order. */
  readonly handed_over: readonly string[];
  readonly tier: ModelTier;
  readonly pattern: PatternName | null;
  readonly chosen_by: DecisionMade['chosenBy'] | null;
  /** Every pattern it was given, in order. */
  readonly tried: readonly PatternName[];
  /** Decisions that replaced a pattern that had failed. */
  readonly fallbacks: number;
  readonly state: AgentState;
  /** Why it failed, was cancelled, or is ending. */
  readonly code: string | null;
  readonly message: string | null;
  readonly granted_micro_usd: number;
  readonly granted_tokens: number;
  readonly granted_model_calls: number;
  readonly granted_tool_calls: number;
  readonly max_children: number;
  readonly deadline_at: number;
  readonly tools: readonly string[];
  readonly errand: GrantedErrand | null;
  readonly own_micro_usd: number;
  readonly own_tokens: number;
  readonly own_model_calls: number;
  readonly own_tool_calls: number;
  readonly own_reserved_micro_usd: number;
  readonly steps: number;
  readonly children: number;
  /** By code: its steps that were refused, and children that it was not granted. */
  readonly refused_steps: Counted;
  readonly refused_children: Counted;
  /** What it was told to be nearly used up, since its mandate was last raised. */
  readonly warned: readonly string[];
  /** Version of the event whose content is its answer, or its latest words when it did not answer. */
  readonly answer_at: number | null;
  readonly granted_version: number;
  readonly granted_at: number;
  readonly ended_version: number | null;
  readonly ended_at: number | null;
}

export type AgentState = 'running' | 'ending' | 'answered' | 'failed' | 'cancelled';
export type Counted = Readonly<Record<string, number>>;
/** The agents of one workflow, parents before their children. */
export type Agents = ReadonlyMap<string, AgentRow>;

/**
 * Folds one event into the agents of its workflow; rows that did not change stay the same objects. Pure.
 *
 * @param task the row before the event
 */
export function evolveAgents(agents: Agents, event: StoredEvent, task: TaskRow): Agents {
  switch (event.type) {
    case 'mandate.granted':
      return granted(agents, event, task.p);
    case 'decision.made':
      return changed(agents, event.data.agent, (agent) => decided(agent, event.data));
    case 'attempt.reserved': {
      const { agent: id, number, reservation } = event.data;
      return changed(agents, id, (agent) => ({
        steps: agent.steps + (number === 1 ? 1 : 0),
        own_reserved_micro_usd: agent.own_reserved_micro_usd + reservation.moneyMicroUsd,
      }));
    }
    case 'attempt.settled': {
      const { agent: id, attempt, spent } = event.data;
      return changed(agents, id, (agent) => ({
        ...ownFigures(plus(ownOf(agent), spent)),
        own_reserved_micro_usd: agent.own_reserved_micro_usd - (task.open[attempt]?.reservedMicroUsd ?? 0),
      }));
    }
    case 'attempt.reused': {
      const { agent: id, attempt } = event.data;
      return changed(agents, id, (agent) => ({
        own_reserved_micro_usd: agent.own_reserved_micro_usd - (task.open[attempt]?.reservedMicroUsd ?? 0),
      }));
    }
    case 'step.refused': {
      const { agent: id, code, slot } = event.data;
      return changed(agents, id, (agent) =>
        slot === undefined
          ? { refused_steps: counted(agent.refused_steps, code) }
          : { refused_children: counted(agent.refused_children, code) },
      );
    }
    case 'mandate.warned':
      return changed(agents, event.data.agent, ({ warned }) => ({ warned: [...warned, ...event.data.dimensions] }));
    case 'mandate.topped_up':
      return changed(agents, ROOT_AGENT, (root) => toppedUp(root, event.data.added, event.data.deadlineAt));
    case 'allowance.answered': {
      const back = takenBack(task, event.data);
      return back === 0 ? agents : changed(agents, ROOT_AGENT, (root) => ({ granted_micro_usd: root.granted_micro_usd - back }));
    }
    case 'agent.handed_over':
      return changed(agents, event.data.agent, ({ handed_over }) => ({ handed_over: [...handed_over, event.data.to.role] }));
    case 'agent.stopped':
      return ending(agents, event.data.agent, event.data);
    case 'agent.ended': {
      const { agent: id, end } = event.data;
      return changed(agents, id, () =>
        end.kind === 'answered'
          ? { ...ended(event), state: 'answered', code: null, message: null, answer_at: end.answerAt }
          : { ...ended(event), state: end.kind, code: end.code, message: end.message, answer_at: end.partialAt },
      );
    }
    case 'cancel.requested':
      return event.data.agent === undefined ? ending(agents, ROOT_AGENT, CANCELLED) : agents;
    case 'erasure.requested':
      return task.status === 'running' ? ending(agents, ROOT_AGENT, ERASED) : agents;
    case 'timer.fired':
      return event.data.timer === 'workflow' ? ending(agents, ROOT_AGENT, TOO_LATE) : agents;
    case 'task.completed':
      return changed(agents, ROOT_AGENT, () => ({ ...ended(event), state: 'answered', answer_at: event.data.answerAt }));
    case 'task.failed': {
      const { code, message, answerAt } = event.data;
      return changed(agents, ROOT_AGENT, () => ({ ...ended(event), state: 'failed', code, message, answer_at: answerAt }));
    }
    case 'task.cancelled':
      return changed(agents, ROOT_AGENT, () => ({
        ...ended(event),
        ...(task.code === ERASED.code ? ERASED : CANCELLED),
        state: 'cancelled',
      }));
    default:
      // All others inform of something that is no agent's.
      return agents;
  }
}

type Event<T extends StoredEvent['type']> = Extract<StoredEvent, { type: T }>;

function granted(agents: Agents, event: Event<'mandate.granted'>, p: number): Agents {
  const { data } = event;
  const added = new Map(agents).set(data.agent, firstRow(event, p));
  return data.parent === null ? added : changed(added, data.parent, ({ children }) => ({ children: children + 1 }));
}

function firstRow(event: Event<'mandate.granted'>, p: number): AgentRow {
  const { data } = event;
  return {
    workflow: event.stream,
    agent: data.agent,
    p,
    tenant: event.tenant,
    parent: data.parent,
    depth: data.depth,
    role: data.role,
    handed_over: [],
    tier: data.tier,
    pattern: null,
    chosen_by: null,
    tried: [],
    fallbacks: 0,
    state: 'running',
    code: null,
    message: null,
    ...grantedFigures(data.limits),
    max_children: data.limits.children,
    deadline_at: data.limits.deadlineAt,
    tools: data.tools.map((tool) => tool.name),
    errand: data.errand,
    ...ownFigures({ moneyMicroUsd: 0, tokens: 0, modelCalls: 0, toolCalls: 0 }),
    own_reserved_micro_usd: 0,
    steps: 0,
    children: 0,
    refused_steps: {},
    refused_children: {},
    warned: [],
    answer_at: null,
    granted_version: event.version,
    granted_at: event.at,
    ended_version: null,
    ended_at: null,
  };
}

const decided = ({ tried, fallbacks }: AgentRow, { pattern, chosenBy }: DecisionMade): Partial<AgentRow> => ({
  pattern,
  chosen_by: chosenBy,
  tried: [...tried, pattern],
  fallbacks: fallbacks + (chosenBy === 'fallback' ? 1 : 0),
});

/** Whatever had run out is owed again: the root is at work as if it had not ended. */
const toppedUp = (root: AgentRow, added: Figures, deadlineAt: number): Partial<AgentRow> => ({
  ...grantedFigures(plus(grantedOf(root), added)),
  deadline_at: deadlineAt,
  state: 'running',
  code: null,
  message: null,
  warned: [],
  answer_at: null,
  ended_version: null,
  ended_at: null,
});

/** An agent and whoever works for it start nothing more. */
function ending(agents: Agents, above: string, { code, message }: { readonly code: string; readonly message: string }): Agents {
  let after = agents;
  for (const { agent, state } of agents.values())
    if (state === 'running' && isWithin(agents, agent, above)) after = changed(after, agent, () => ({ state: 'ending', code, message }));
  return after;
}

function isWithin(agents: Agents, agent: string, above: string): boolean {
  for (let id: string | null = agent; id !== null; id = agents.get(id)?.parent ?? null) if (id === above) return true;
  return false;
}

function changed(agents: Agents, id: AgentId | string, change: (agent: AgentRow) => Partial<AgentRow>): Agents {
  const agent = agents.get(id);
  return agent === undefined ? agents : new Map(agents).set(id, { ...agent, ...change(agent) });
}

const ended = (event: StoredEvent): Partial<AgentRow> => ({ ended_version: event.version, ended_at: event.at });
const counted = (before: Counted, code: string): Counted => ({ ...before, [code]: (before[code] ?? 0) + 1 });

export const ownOf = (agent: AgentRow): Figures => ({
  moneyMicroUsd: agent.own_micro_usd,
  tokens: agent.own_tokens,
  modelCalls: agent.own_model_calls,
  toolCalls: agent.own_tool_calls,
});

export const grantedOf = (agent: AgentRow): Figures => ({
  moneyMicroUsd: agent.granted_micro_usd,
  tokens: agent.granted_tokens,
  modelCalls: agent.granted_model_calls,
  toolCalls: agent.granted_tool_calls,
});

const ownFigures = (figures: Figures) => ({
  own_micro_usd: figures.moneyMicroUsd,
  own_tokens: figures.tokens,
  own_model_calls: figures.modelCalls,
  own_tool_calls: figures.toolCalls,
});

const grantedFigures = (figures: Figures | MandateGranted['limits']) => ({
  granted_micro_usd: figures.moneyMicroUsd,
  granted_tokens: figures.tokens,
  granted_model_calls: figures.modelCalls,
  granted_tool_calls: figures.toolCalls,
});
