import { available, type Figures } from '../mandate/mandate.ts';
import type { DelegationTerms, ModelTerms, TaskForked, TaskSubmitted } from './events.ts';
import type { AgentEnd, Effect, ModelTier, OpenAttempt, PatternName } from './steps.ts';
import { type Agent, type Forked, type OpenStep, type Phase, stopOf, type Workflow } from './workflow.ts';

/**
 * A workflow's state to be read and compared: plain JSON, facts only. Whatever has an id stands under it, so that a
 * difference names whom it is about: `/agents/a0-1/mandate/left/tokens`.
 */
export interface WorkflowState {
  readonly version: number;
  /** Time of the last decision (epoch ms). */
  readonly at: number;
  readonly phase: Phase;
  /** What was submitted. */
  readonly task: TaskSubmitted | null;
  /** Whose past it began with; null for a task that was submitted. */
  readonly fork: ForkState | null;
  /** What it is coming to while attempts are out. */
  readonly ending: Workflow['ending'] | null;
  readonly failure: Workflow['failure'] | null;
  /** Version of the event that holds the answer. */
  readonly answerAt: number | null;
  readonly steps: number;
  readonly allowance: Workflow['allowance'] | null;
  readonly topUps: readonly string[];
  readonly erasure: Workflow['erasure'] | null;
  /** Settled without an answer: one late answer each is still recorded. */
  readonly unanswered: readonly string[];
  readonly agents: Readonly<Record<string, AgentState>>;
  /** Steps that are owed and have not ended for good. */
  readonly openSteps: Readonly<Record<string, OpenStep>>;
  /** Reserved and not settled. */
  readonly attempts: Readonly<Record<string, OpenAttempt>>;
}

export interface ForkState extends Pick<TaskForked, 'origin' | 'hops' | 'firewall' | 'changed'> {
  /** Answers of the origin that were reused, of so many that could be. */
  readonly reused: number;
  readonly reusable: number;
  /** Why its past ended; null while it is reused. */
  readonly ended: string | null;
}

export interface AgentState {
  readonly parent: string | null;
  readonly depth: number;
  readonly role: string;
  readonly tier: ModelTier;
  readonly grantedAt: number;
  /** `ending`: it starts nothing more and ends when its attempts are settled. The root ends with the workflow. */
  readonly state: 'running' | 'ending' | AgentEnd['kind'];
  readonly mandate: MandateState;
  readonly tools: Readonly<Record<string, Effect>>;
  readonly model: ModelTerms;
  readonly delegation: DelegationTerms;
  /** Edition of the rules that it is decided by. */
  readonly edition: number;
  readonly pattern: PatternName | null;
  readonly chosenBy: string | null;
  /** Patterns that were chosen so far. */
  readonly tried: readonly PatternName[];
  /** The pattern's own state: turns with their calls, plans, members, what was said to whom (by version). */
  readonly work: unknown;
  readonly steps: number;
  readonly children: number;
  readonly warned: readonly string[];
  readonly stopped: { readonly as: string; readonly code: string; readonly message: string } | null;
  readonly end: AgentEnd | null;
}

/** `granted = reserved + spent + left` in every dimension. */
export interface MandateState {
  readonly granted: Figures;
  /** For attempts that are not settled, and for children. */
  readonly reserved: Figures;
  readonly spent: Figures;
  readonly left: Figures;
  /** Put aside for the closing turn; a part of what is left. */
  readonly closing: Figures;
  readonly children: number;
  readonly contextTokens: number;
  readonly deadlineAt: number;
}

export function stateOf(workflow: Workflow): WorkflowState {
  return {
    version: workflow.version,
    at: workflow.at,
    phase: workflow.phase,
    task: workflow.submitted ?? null,
    fork: workflow.forked === undefined ? null : forkState(workflow.forked),
    ending: workflow.ending ?? null,
    failure: workflow.failure ?? null,
    answerAt: workflow.answerAt ?? null,
    steps: workflow.stepCount,
    allowance: workflow.allowance ?? null,
    topUps: [...workflow.topUps],
    erasure: workflow.erasure ?? null,
    unanswered: [...workflow.unanswered],
    agents: Object.fromEntries([...workflow.agents].map(([id, agent]) => [id, agentState(workflow, agent)])),
    openSteps: Object.fromEntries(workflow.steps),
    attempts: Object.fromEntries(workflow.attempts),
  };
}

function forkState({ data: { origin, hops, firewall, changed, reuse }, versions, ended }: Forked): ForkState {
  return { origin, hops, firewall, changed, reused: versions.size, reusable: reuse.steps.length, ended: ended ?? null };
}

function agentState(workflow: Workflow, agent: Agent): AgentState {
  const { granted, decision, stopped } = agent;
  return {
    parent: agent.parent,
    depth: agent.depth,
    role: granted.role,
    tier: granted.tier,
    grantedAt: agent.grantedAt,
    state: standing(workflow, agent),
    mandate: mandateState(agent),
    tools: Object.fromEntries(granted.tools.map(({ name, effect }) => [name, effect])),
    model: granted.model,
    delegation: granted.delegation,
    edition: granted.edition,
    pattern: decision?.pattern ?? null,
    chosenBy: decision?.chosenBy ?? null,
    tried: agent.tried,
    work: agent.work?.state ?? null,
    steps: agent.stepCount,
    children: agent.children,
    warned: agent.warned,
    stopped: stopped === undefined ? null : { as: stopped.as, code: stopped.code, message: stopped.message },
    end: agent.end ?? null,
  };
}

function standing(workflow: Workflow, agent: Agent): AgentState['state'] {
  if (agent.end !== undefined) return agent.end.kind;
  if (agent.parent === null) {
    if (workflow.phase === 'completed') return 'answered';
    if (workflow.phase === 'failed' || workflow.phase === 'cancelled') return workflow.phase;
  }
  return workflow.phase === 'ending' || stopOf(workflow, agent) !== undefined ? 'ending' : 'running';
}

function mandateState({ mandate, granted }: Agent): MandateState {
  const { moneyMicroUsd, tokens, modelCalls, toolCalls, children, contextTokens, deadlineAt } = mandate.limits;
  return {
    granted: { moneyMicroUsd, tokens, modelCalls, toolCalls },
    reserved: mandate.reserved,
    spent: mandate.spent,
    left: available(mandate),
    closing: granted.closing,
    children,
    contextTokens,
    deadlineAt,
  };
}
