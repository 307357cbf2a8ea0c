import type { AgentId, AttemptId, StepId } from '../ids.ts';
import { ROOT_AGENT } from '../ids.ts';
import { unreachable } from '../decider.ts';
import { grant, type Mandate, reserve, settle } from '../mandate/mandate.ts';
import { direct, type DirectState } from '../patterns/direct.ts';
import type { StepEvent } from '../patterns/pattern.ts';
import type { AttemptReserved, AttemptSettled, DecisionMade, MandateGranted, StepRefused, TaskSubmitted, WorkflowEvent } from './events.ts';
import type { OpenAttempt, Step } from './steps.ts';

/**
 * A workflow carries out one task. One event stream holds the whole delegation tree, so its budget is one local decision.
 *
 *   absent ─submitted─▶ running ─▶ completed
 *      └──▶ rejected       ├─▶ ending ─(every attempt settled)─▶ failed | cancelled
 *
 * All state is folded from events and recomputed on recovery; nothing else is remembered anywhere.
 */
export interface Workflow {
  /** Events so far; 0 means that it does not exist. */
  readonly version: number;
  /** Time of the last decision (epoch ms): it never runs backwards. */
  readonly at: number;
  readonly phase: Phase;
  readonly submitted?: TaskSubmitted;
  readonly agents: ReadonlyMap<AgentId, Agent>;
  /** Reserved and not settled. */
  readonly attempts: ReadonlyMap<AttemptId, OpenAttempt>;
  /** Asked for by a pattern and not ended for good. */
  readonly steps: ReadonlyMap<StepId, OpenStep>;
  /** Settled without an answer; one late answer each is still recorded. */
  readonly unanswered: ReadonlySet<AttemptId>;
  readonly ending?: { readonly as: 'failed' | 'cancelled'; readonly code: string; readonly message: string };
  readonly stepCount: number;
  /** Version of the event that holds the answer, once there is one. */
  readonly answerAt?: number;
  /** Why it was rejected or failed. */
  readonly failure?: { readonly code: string; readonly message: string };
}

export type Phase = 'absent' | 'running' | 'ending' | 'completed' | 'failed' | 'cancelled' | 'rejected';

export interface Agent {
  readonly id: AgentId;
  readonly depth: number;
  readonly parent: AgentId | null;
  readonly granted: MandateGranted;
  readonly mandate: Mandate;
  readonly decision?: DecisionMade;
  /** The pattern's own state, once a pattern was chosen. */
  readonly work?: DirectState;
  readonly stepCount: number;
}

export interface OpenStep {
  readonly id: StepId;
  readonly agent: AgentId;
  readonly owes: Step;
  /** Attempts so far. */
  readonly attempts: number;
  /** Set between a failed attempt and its retry (epoch ms). */
  readonly retryAt?: number;
  /** The version of the event that scheduled it. */
  readonly retryVersion?: number;
}

export const ABSENT: Workflow = {
  version: 0,
  at: 0,
  phase: 'absent',
  agents: new Map(),
  attempts: new Map(),
  steps: new Map(),
  unanswered: new Set(),
  stepCount: 0,
};

export const isOpen = (workflow: Workflow): boolean => workflow.phase === 'running' || workflow.phase === 'ending';

/** Folds one event. `at` is the decision's time as it stands in the envelope. */
export function evolve(before: Workflow, event: WorkflowEvent, at: number): Workflow {
  const workflow: Workflow = { ...before, version: before.version + 1, at: Math.max(before.at, at) };
  switch (event.type) {
    case 'task.submitted':
      return { ...workflow, phase: 'running', submitted: event.data };
    case 'task.rejected':
      return { ...workflow, phase: 'rejected', failure: event.data };
    case 'mandate.granted':
      return withAgent(workflow, {
        id: event.data.agent,
        depth: event.data.depth,
        parent: event.data.parent,
        granted: event.data,
        mandate: grant(event.data.limits),
        stepCount: 0,
      });
    case 'decision.made':
      return decisionMade(workflow, event.data);
    case 'attempt.reserved':
      return attemptReserved(workflow, event.data);
    case 'attempt.started': {
      const attempt = workflow.attempts.get(event.data.attempt);
      return attempt === undefined
        ? workflow
        : { ...workflow, attempts: put(workflow.attempts, attempt.id, { ...attempt, runner: event.data.runner }) };
    }
    case 'attempt.settled':
      return attemptSettled(workflow, event.data);
    case 'attempt.answered_late':
      return { ...workflow, unanswered: new Set([...workflow.unanswered].filter((id) => id !== event.data.attempt)) };
    case 'retry.scheduled': {
      const step = workflow.steps.get(event.data.step);
      return step === undefined
        ? workflow
        : { ...workflow, steps: put(workflow.steps, step.id, { ...step, retryAt: event.data.dueAt, retryVersion: workflow.version }) };
    }
    case 'timer.fired':
      return event.data.timer === 'workflow'
        ? ending(workflow, 'failed', 'DeadlineExceeded', 'The deadline of the task has passed.')
        : workflow;
    case 'bus.reset':
      return workflow;
    case 'cancel.requested':
      return ending(workflow, 'cancelled', 'Cancelled', 'The task was cancelled.');
    case 'step.refused':
      return stepRefused(workflow, event.data);
    case 'task.completed':
      return { ...workflow, phase: 'completed', answerAt: event.data.answerAt };
    case 'task.failed':
      return {
        ...workflow,
        phase: 'failed',
        failure: { code: event.data.code, message: event.data.message },
        ...(event.data.answerAt === null ? {} : { answerAt: event.data.answerAt }),
      };
    case 'task.cancelled':
      return { ...workflow, phase: 'cancelled' };
    case 'mandate.released':
      return workflow;
    default:
      return unreachable(event);
  }
}

function decisionMade(workflow: Workflow, data: DecisionMade): Workflow {
  const agent = workflow.agents.get(data.agent);
  if (agent === undefined || workflow.submitted === undefined) return workflow;
  const work = direct.initial({ taskBytes: workflow.submitted.taskBytes, promptBaseBytes: agent.granted.promptBaseBytes });
  return withAgent(workflow, { ...agent, decision: data, work });
}

function attemptReserved(workflow: Workflow, data: AttemptReserved): Workflow {
  const agent = workflow.agents.get(data.agent);
  if (agent === undefined) return workflow;
  const { commandHash: _, ...reserved } = data;
  const first = data.number === 1;
  const held = withAgent(workflow, {
    ...agent,
    mandate: reserve(agent.mandate, data.reservation),
    stepCount: agent.stepCount + (first ? 1 : 0),
    ...(first && agent.work !== undefined && data.owes.kind !== 'analyze'
      ? { work: direct.evolve(agent.work, { kind: 'asked', step: data.step, owed: owedOf(data.owes) }) }
      : {}),
  });
  return {
    ...held,
    stepCount: workflow.stepCount + (first ? 1 : 0),
    attempts: put(workflow.attempts, data.attempt, { id: data.attempt, ...reserved, version: workflow.version }),
    steps: put(workflow.steps, data.step, { id: data.step, agent: data.agent, owes: data.owes, attempts: data.number }),
  };
}

function attemptSettled(workflow: Workflow, data: AttemptSettled): Workflow {
  const attempt = workflow.attempts.get(data.attempt);
  const agent = workflow.agents.get(data.agent);
  if (attempt === undefined || agent === undefined) return workflow;
  const unanswered = data.outcome === 'lost' || data.outcome === 'unknown';
  const event = data.final ? stepEvent(workflow.version, attempt, data) : undefined;
  return {
    ...withAgent(workflow, {
      ...agent,
      mandate: settle(agent.mandate, attempt.reservation, data.spent),
      ...(agent.work !== undefined && event !== undefined ? { work: direct.evolve(agent.work, event) } : {}),
    }),
    attempts: without(workflow.attempts, data.attempt),
    steps: data.final ? without(workflow.steps, data.step) : workflow.steps,
    unanswered: unanswered ? new Set([...workflow.unanswered, data.attempt]) : workflow.unanswered,
  };
}

function stepEvent(version: number, attempt: OpenAttempt, data: AttemptSettled): StepEvent | undefined {
  if (attempt.owes.kind === 'llm') {
    return data.outcome === 'succeeded' && data.answer?.kind === 'llm'
      ? { kind: 'model_answered', version, textBytes: data.answer.textBytes, calls: data.answer.calls }
      : { kind: 'model_failed', code: data.failure?.code ?? data.outcome };
  }
  if (attempt.owes.kind === 'tool') {
    const resultBytes = data.answer?.kind === 'tool' ? data.answer.resultBytes : 0;
    return { kind: 'tool_ended', call: attempt.owes.argsAt, version, outcome: data.outcome, resultBytes };
  }
  return undefined;
}

function stepRefused(workflow: Workflow, data: StepRefused): Workflow {
  const agent = workflow.agents.get(data.agent);
  if (agent?.work === undefined) return workflow;
  const work = direct.evolve(agent.work, { kind: 'refused', call: data.call, version: workflow.version, code: data.code });
  return {
    ...withAgent(workflow, { ...agent, work, stepCount: Math.max(agent.stepCount, stepNumber(data.step)) }),
    steps: without(workflow.steps, data.step),
  };
}

const stepNumber = (step: StepId): number => Number(step.slice(step.lastIndexOf('_s') + 2));

function ending(workflow: Workflow, as: 'failed' | 'cancelled', code: string, message: string): Workflow {
  // Steps between two attempts are given up; open attempts are waited for.
  const open = new Set([...workflow.attempts.values()].map((attempt) => attempt.step));
  const steps = new Map([...workflow.steps].filter(([id]) => open.has(id)));
  return { ...workflow, phase: 'ending', ending: { as, code, message }, steps };
}

function owedOf(step: Exclude<Step, { kind: 'analyze' }>): Extract<StepEvent, { kind: 'asked' }>['owed'] {
  return step.kind === 'llm'
    ? { kind: 'llm', promptBytes: step.promptBytes, messages: step.messages }
    : { kind: 'tool', tool: step.tool, call: step.argsAt };
}

/** The whole tree's spending: the root's own, and later that of its descendants. */
export const rootOf = (workflow: Workflow): Agent | undefined => workflow.agents.get(ROOT_AGENT);

const withAgent = (workflow: Workflow, agent: Agent): Workflow => ({ ...workflow, agents: put(workflow.agents, agent.id, agent) });
const put = <K, V>(map: ReadonlyMap<K, V>, key: K, value: V): ReadonlyMap<K, V> => new Map(map).set(key, value);
function without<K, V>(map: ReadonlyMap<K, V>, key: K): ReadonlyMap<K, V> {
  const copy = new Map(map);
  copy.delete(key);
  return copy;
}
