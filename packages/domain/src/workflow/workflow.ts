import type { AgentId, AttemptId, RequestId, StepId } from '../ids.ts';
import { ROOT_AGENT } from '../ids.ts';
import { unreachable } from '../decider.ts';
import { type Figures, grant, type Mandate, NONE, plus, reserve, settle } from '../mandate/mandate.ts';
import type { Brief, StepEvent } from '../patterns/pattern.ts';
import { goOn, startWork, type Work } from '../patterns/patterns.ts';
import { NOTE_BYTES, SUMMARY_BYTES } from '../patterns/prompt.ts';
import type {
  Allowance,
  AttemptReserved,
  AttemptReused,
  AttemptSettled,
  DecisionMade,
  EventData,
  MandateGranted,
  MandateToppedUp,
  ReuseEnded,
  StepRefused,
  TaskForked,
  TaskSubmitted,
  WorkflowEvent,
} from './events.ts';
import type { AgentEnd, OpenAttempt, PatternName, Step } from './steps.ts';

/**
 * A workflow carries out one task. One event stream holds the whole delegation tree, so its budget is one local decision.
 *
 *   absent ─submitted─▶ running ─▶ completed
 *      └──▶ rejected       ├─▶ ending ─(every attempt settled)─▶ failed | cancelled
 *                          └─(out of budget)─▶ failed ─topped up─▶ running
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
  /** With the past of another run. */
  readonly forked?: Forked;
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
  /** What the account was asked for last; nothing billable starts while it waits. */
  readonly allowance?: { readonly asked: Allowance; readonly waiting: boolean };
  /** Requests whose top-up was taken. */
  readonly topUps: ReadonlySet<RequestId>;
  /** `requested`: nothing is owed to its work any more, but its keys have to be destroyed. `done`: they were. */
  readonly erasure?: 'requested' | 'done';
}

export interface Forked {
  readonly data: TaskForked;
  /** Versions of the origin's answers that were reused so far, and what they are here. */
  readonly versions: ReadonlyMap<number, number>;
  /** Why the past ended; from then on everything is live. */
  readonly ended?: ReuseEnded['why'];
}

export type Phase = 'absent' | 'running' | 'ending' | 'completed' | 'failed' | 'cancelled' | 'rejected';

export interface Agent {
  readonly id: AgentId;
  readonly depth: number;
  readonly parent: AgentId | null;
  readonly granted: MandateGranted;
  /** When it was granted (epoch ms). */
  readonly grantedAt: number;
  readonly mandate: Mandate;
  readonly decision?: DecisionMade;
  /** Patterns that were chosen so far: when one fails, another is tried. */
  readonly tried: readonly PatternName[];
  /** The pattern and its own state, once one was chosen. */
  readonly work?: Work;
  readonly stepCount: number;
  /** Children that it ever had. */
  readonly children: number;
  /** Dimensions of its mandate that it was warned of. */
  readonly warned: readonly string[];
  /** It starts nothing more and ends when its attempts are settled. */
  readonly stopped?: EventData<'agent.stopped'> | undefined;
  /** How it ended; the root ends with the workflow. */
  readonly end?: AgentEnd;
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
  topUps: new Set(),
};

export const isOpen = (workflow: Workflow): boolean => workflow.phase === 'running' || workflow.phase === 'ending';

/** Whether anything has to be done about it still: a successor must find it. */
export const isUnfinished = (workflow: Workflow): boolean => isOpen(workflow) || workflow.erasure === 'requested';

/** Folds one event. `at` is the decision's time as it stands in the envelope. */
export function evolve(before: Workflow, event: WorkflowEvent, at: number): Workflow {
  const workflow: Workflow = { ...before, version: before.version + 1, at: Math.max(before.at, at) };
  switch (event.type) {
    case 'task.submitted':
      return { ...workflow, phase: 'running', submitted: event.data };
    case 'task.forked': {
      const { request, source, bodyHash, taskBytes, options } = event.data;
      const submitted = { request, source, bodyHash, taskBytes, options };
      return { ...workflow, phase: 'running', submitted, forked: { data: event.data, versions: new Map() } };
    }
    case 'attempt.reused':
      return attemptReused(workflow, event.data);
    case 'reuse.ended':
      return workflow.forked === undefined ? workflow : { ...workflow, forked: { ...workflow.forked, ended: event.data.why } };
    case 'task.rejected':
      return { ...workflow, phase: 'rejected', failure: event.data };
    case 'mandate.granted':
      return mandateGranted(workflow, event.data);
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
      if (event.data.agent !== undefined) return workflow;
      return ending(workflow, 'cancelled', 'Cancelled', 'The task was cancelled.');
    case 'erasure.requested': {
      const ended =
        workflow.phase === 'running' ? ending(workflow, 'cancelled', 'ContentErased', 'The content of the task was erased.') : workflow;
      return { ...ended, erasure: 'requested' };
    }
    case 'content.erased':
      return { ...workflow, erasure: 'done' };
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
      return mandateReleased(workflow, event.data.agent);
    case 'mandate.warned': {
      const { agent, dimensions, left } = event.data;
      return withAgent(hears(workflow, agent, { kind: 'told', note: { name: 'left', left } }), agent, ({ warned }) => ({
        warned: [...warned, ...dimensions],
      }));
    }
    case 'mandate.topped_up':
      return toppedUp(workflow, event.data);
    case 'allowance.asked':
      return { ...workflow, allowance: { asked: event.data, waiting: true } };
    case 'allowance.answered':
      return allowanceAnswered(workflow, event.data.granted);
    case 'agent.handed_over': {
      const { agent, to, call } = event.data;
      return hears(workflow, agent, { kind: 'handed_over', call, to, version: workflow.version });
    }
    case 'agent.stopped':
      return withAgent(
        withoutWaiting(workflow, (agent) => isWithin(workflow, agent, event.data.agent)),
        event.data.agent,
        () => ({ stopped: event.data }),
      );
    case 'agent.ended':
      return agentEnded(workflow, event.data.agent, event.data.end);
    default:
      return unreachable(event);
  }
}

function mandateGranted(workflow: Workflow, data: MandateGranted): Workflow {
  const agent: Agent = {
    id: data.agent,
    depth: data.depth,
    parent: data.parent,
    granted: data,
    grantedAt: workflow.at,
    mandate: grant(data.limits),
    tried: [],
    stepCount: 0,
    children: 0,
    warned: [],
  };
  const added: Workflow = { ...workflow, agents: put(workflow.agents, agent.id, agent) };
  if (data.parent === null || data.errand === null) return added;
  // What a child may spend is reserved in its parent: it is promised once.
  const lent = withAgent(added, data.parent, (parent) => ({
    mandate: reserve(parent.mandate, data.limits),
    children: parent.children + 1,
  }));
  return hears(lent, data.parent, { kind: 'child_sent', slot: data.errand.slot, child: data.agent, role: data.role });
}

function mandateReleased(workflow: Workflow, id: AgentId): Workflow {
  const agent = workflow.agents.get(id);
  if (agent?.parent === undefined || agent.parent === null) return workflow;
  return withAgent(workflow, agent.parent, (parent) => ({
    mandate: settle(parent.mandate, figuresOf(agent.mandate.limits), agent.mandate.spent),
  }));
}

const figuresOf = ({ moneyMicroUsd, tokens, modelCalls, toolCalls }: Figures): Figures => ({
  moneyMicroUsd,
  tokens,
  modelCalls,
  toolCalls,
});

function agentEnded(workflow: Workflow, id: AgentId, end: AgentEnd): Workflow {
  const agent = workflow.agents.get(id);
  if (agent === undefined) return workflow;
  const ended = withAgent(workflow, id, () => ({ end }));
  if (agent.parent === null || agent.granted.errand === null) return ended;
  return hears(ended, agent.parent, { kind: 'child_ended', slot: agent.granted.errand.slot, child: id, end });
}

/** What had run out is owed again; the time before does not count any more. */
function toppedUp(workflow: Workflow, data: MandateToppedUp): Workflow {
  const { ending: _, failure: __, answerAt: ___, ...open } = workflow;
  const raised = withAgent(
    { ...open, phase: 'running', topUps: new Set([...workflow.topUps, data.request]) },
    ROOT_AGENT,
    ({ mandate }) => ({
      stopped: undefined,
      mandate: { ...mandate, limits: { ...mandate.limits, ...plus(mandate.limits, data.added), deadlineAt: data.deadlineAt } },
      warned: [],
    }),
  );
  return hears(raised, ROOT_AGENT, { kind: 'raised' });
}

/** Whether nothing is out on lease for it: the account settles what has ended, and never leased what it refused. */
export const isUnleased = (workflow: Workflow): boolean => !isOpen(workflow) || rootOf(workflow)?.stopped !== undefined;

function allowanceAnswered(workflow: Workflow, granted: boolean): Workflow {
  const { allowance } = workflow;
  if (allowance === undefined) return workflow;
  const answered = { ...workflow, allowance: { ...allowance, waiting: false } };
  if (allowance.asked.number === 1) return answered;
  // What had run out while the account was waited for is owed again.
  if (granted) return hears(answered, ROOT_AGENT, { kind: 'raised' });
  // A top-up that the account did not lease is taken back: nothing of it was spent.
  return withAgent(answered, ROOT_AGENT, ({ mandate }) => ({
    mandate: { ...mandate, limits: { ...mandate.limits, moneyMicroUsd: mandate.limits.moneyMicroUsd - allowance.asked.moneyMicroUsd } },
  }));
}

function decisionMade(workflow: Workflow, data: DecisionMade): Workflow {
  return withAgent(workflow, data.agent, (agent) => ({
    decision: data,
    tried: [...agent.tried, data.pattern],
    work: startWork(data.pattern, briefOf(workflow, agent, data)),
  }));
}

function briefOf(workflow: Workflow, agent: Agent, decision: DecisionMade): Brief {
  const { granted } = agent;
  const errand = granted.errand;
  const results = (errand?.after ?? []).reduce((sum, id) => {
    const end = workflow.agents.get(id)?.end;
    return sum + NOTE_BYTES + (end?.kind === 'answered' ? Math.min(SUMMARY_BYTES, end.bytes) : SUMMARY_BYTES);
  }, 0);
  return {
    taskBytes: (errand?.taskBytes ?? workflow.submitted?.taskBytes ?? 0) + results,
    promptBaseBytes: granted.promptBaseBytes,
    self: { role: granted.role, tools: granted.tools.map(({ name }) => name), baseBytes: granted.promptBaseBytes, tier: granted.tier },
    team: decision.team,
    tuning: decision.tuning,
    closing: granted.closing.modelCalls > NONE.modelCalls,
  };
}

function attemptReserved(workflow: Workflow, data: AttemptReserved): Workflow {
  const { commandHash: _, ...reserved } = data;
  const first = data.number === 1;
  const held = withAgent(workflow, data.agent, (agent) => ({
    mandate: reserve(agent.mandate, data.reservation),
    stepCount: agent.stepCount + (first ? 1 : 0),
  }));
  const asked =
    first && data.owes.kind !== 'analyze' ? hears(held, data.agent, { kind: 'asked', step: data.step, owed: owedOf(data.owes) }) : held;
  return {
    ...asked,
    stepCount: workflow.stepCount + (first ? 1 : 0),
    attempts: put(workflow.attempts, data.attempt, { id: data.attempt, ...reserved, version: workflow.version }),
    steps: put(workflow.steps, data.step, { id: data.step, agent: data.agent, owes: data.owes, attempts: data.number }),
  };
}

function attemptSettled(workflow: Workflow, data: AttemptSettled): Workflow {
  const attempt = workflow.attempts.get(data.attempt);
  if (attempt === undefined) return workflow;
  const unanswered = data.outcome === 'lost' || data.outcome === 'unknown';
  const event = data.final ? stepEvent(workflow.version, attempt, data) : undefined;
  const settled = withAgent(workflow, data.agent, ({ mandate }) => ({ mandate: settle(mandate, attempt.reservation, data.spent) }));
  return {
    ...(event === undefined ? settled : hears(settled, data.agent, event)),
    attempts: without(workflow.attempts, data.attempt),
    steps: data.final ? without(workflow.steps, data.step) : workflow.steps,
    unanswered: unanswered ? new Set([...workflow.unanswered, data.attempt]) : workflow.unanswered,
  };
}

/** As if it had been answered, for nothing. */
function attemptReused(workflow: Workflow, { from, ...data }: AttemptReused): Workflow {
  const settled = attemptSettled(workflow, { ...data, final: true, spent: NONE, settledAt: 'nothing' });
  const { forked } = settled;
  if (forked === undefined) return settled;
  return { ...settled, forked: { ...forked, versions: put(forked.versions, from.version, workflow.version) } };
}

function stepEvent(version: number, attempt: OpenAttempt, data: AttemptSettled): StepEvent | undefined {
  const { answer } = data;
  if (attempt.owes.kind === 'llm') {
    const part = attempt.owes.part === undefined ? {} : { part: attempt.owes.part };
    if (data.outcome !== 'succeeded' || answer?.kind !== 'llm')
      return { kind: 'model_failed', ...part, code: data.failure?.code ?? data.outcome, version };
    const { textBytes, calls, fingerprint } = answer;
    return { kind: 'model_answered', ...part, version, textBytes, calls, ...(fingerprint === undefined ? {} : { fingerprint }) };
  }
  if (attempt.owes.kind === 'tool') {
    return {
      kind: 'tool_ended',
      call: attempt.owes.argsAt,
      version,
      outcome: data.outcome,
      resultBytes: answer?.kind === 'tool' ? answer.resultBytes : 0,
    };
  }
  return undefined;
}

function stepRefused(workflow: Workflow, data: StepRefused): Workflow {
  const { call, part, slot, code, message } = data;
  const counted = withAgent(workflow, data.agent, ({ stepCount }) => ({ stepCount: Math.max(stepCount, stepNumber(data.step)) }));
  const told = hears(counted, data.agent, {
    kind: 'refused',
    call,
    ...(part === undefined ? {} : { part }),
    ...(slot === undefined ? {} : { slot }),
    version: workflow.version,
    code,
    message,
  });
  return { ...told, steps: without(workflow.steps, data.step) };
}

const stepNumber = (step: StepId): number => Number(step.slice(step.lastIndexOf('_s') + 2));

function ending(workflow: Workflow, as: 'failed' | 'cancelled', code: string, message: string): Workflow {
  return { ...withoutWaiting(workflow, () => true), phase: 'ending', ending: { as, code, message } };
}

/** Steps between two attempts are given up; open attempts are waited for. */
function withoutWaiting(workflow: Workflow, whose: (agent: AgentId) => boolean): Workflow {
  const open = new Set([...workflow.attempts.values()].map((attempt) => attempt.step));
  let left = workflow;
  for (const step of workflow.steps.values()) {
    if (open.has(step.id) || !whose(step.agent)) continue;
    left = { ...left, steps: without(left.steps, step.id) };
    if (step.owes.kind === 'llm') {
      const part = step.owes.part === undefined ? {} : { part: step.owes.part };
      left = hears(left, step.agent, { kind: 'model_failed', ...part, code: 'cancelled', version: workflow.version });
    } else if (step.owes.kind === 'tool') {
      left = hears(left, step.agent, {
        kind: 'tool_ended',
        call: step.owes.argsAt,
        version: workflow.version,
        outcome: 'cancelled',
        resultBytes: 0,
      });
    }
  }
  return left;
}

function owedOf(step: Exclude<Step, { kind: 'analyze' }>): Extract<StepEvent, { kind: 'asked' }>['owed'] {
  return step.kind === 'llm'
    ? { kind: 'llm', promptBytes: step.promptBytes, messages: step.messages, ...(step.part === undefined ? {} : { part: step.part }) }
    : { kind: 'tool', tool: step.tool, call: step.argsAt };
}

export const rootOf = (workflow: Workflow): Agent | undefined => workflow.agents.get(ROOT_AGENT);

/** Whether `agent` is `above` or works for it, however far down. */
export function isWithin(workflow: Workflow, agent: AgentId, above: AgentId): boolean {
  for (let id: AgentId | null = agent; id !== null; id = workflow.agents.get(id)?.parent ?? null) if (id === above) return true;
  return false;
}

/** The stop that holds for an agent: its own, or that of somebody above it. */
export function stopOf(workflow: Workflow, agent: Agent): Agent['stopped'] {
  for (let at: Agent | undefined = agent; at !== undefined; at = at.parent === null ? undefined : workflow.agents.get(at.parent)) {
    if (at.stopped !== undefined) return at.stopped;
  }
  return undefined;
}

/** The agent's pattern hears of something. */
function hears(workflow: Workflow, id: AgentId, event: StepEvent): Workflow {
  return withAgent(workflow, id, ({ work }) => (work === undefined ? {} : { work: goOn(work, event) }));
}

function withAgent(workflow: Workflow, id: AgentId, change: (agent: Agent) => Partial<Agent>): Workflow {
  const agent = workflow.agents.get(id);
  return agent === undefined ? workflow : { ...workflow, agents: put(workflow.agents, id, { ...agent, ...change(agent) }) };
}

const put = <K, V>(map: ReadonlyMap<K, V>, key: K, value: V): ReadonlyMap<K, V> => new Map(map).set(key, value);
function without<K, V>(map: ReadonlyMap<K, V>, key: K): ReadonlyMap<K, V> {
  const copy = new Map(map);
  copy.delete(key);
  return copy;
}
