import { changes } from '../changes.ts';
import { type Decision, nothing } from '../decider.ts';
import { type Divergence, divergenceOf } from '../divergence.ts';
import { ROOT_AGENT } from '../ids.ts';
import { MAX_AGENTS, MAX_DEPTH } from '../mandate/mandate.ts';
import type { EventData, ModelTerms, WorkflowEvent } from './events.ts';
import type { Circumstances, Environment, WorkflowInput } from './inputs.ts';
import { decide } from './decide.ts';
import type { Casting } from './steps.ts';
import { ABSENT, evolve, rootOf, type Workflow } from './workflow.ts';

/** One recorded decision: the input and its consequences, in order, with the time that was decided at. */
export interface RecordedDecision {
  readonly at: number;
  readonly events: readonly WorkflowEvent[];
}

export type Replay =
  | { readonly kind: 'same'; readonly workflow: Workflow }
  /** `index`: of the first decision that comes out differently. */
  | {
      readonly kind: 'diverged';
      readonly index: number;
      readonly recorded: readonly WorkflowEvent[];
      readonly decided: readonly WorkflowEvent[];
    };

/** Decides a recorded history again, input by input. Everything that a decision depends on stands in its events. */
export function replay(history: readonly RecordedDecision[]): Replay {
  let workflow = ABSENT;
  let index = 0;
  for (const { recorded, decided, after } of decidedAgain(history)) {
    if (changes(recorded, decided).length > 0) return { kind: 'diverged', index, recorded, decided };
    workflow = after;
    index++;
  }
  return { kind: 'same', workflow };
}

/** What is decided today, in place of `decide`. */
export type Decide = typeof decide;

/** A recorded decision beside what is decided today from the same input on the same state. */
interface DecidedAgain {
  /** Without the hashes of commands: they are added after a decision. */
  readonly recorded: readonly WorkflowEvent[];
  readonly decided: readonly WorkflowEvent[];
  /** Why nothing was decided, when nothing was. */
  readonly because?: string;
  /** The state after what is recorded. */
  readonly after: Workflow;
}

/** Decides every input of a history again. The state is the recorded one throughout: what comes after a divergence is still compared. */
function* decidedAgain(history: readonly RecordedDecision[], by: Decide = decide): Generator<DecidedAgain> {
  let workflow = ABSENT;
  for (const recorded of history) {
    const decision = decideOne(recorded, workflow, by);
    workflow = recorded.events.reduce((state, event) => evolve(state, event, recorded.at), workflow);
    yield {
      recorded: recorded.events.map(withoutCommandHash),
      decided: decision.kind === 'events' ? decision.events : [],
      ...(decision.kind === 'events' ? {} : { because: decision.kind === 'nothing' ? decision.because : decision.refusal.message }),
      after: workflow,
    };
  }
}

/** Where a history diverges, decision by decision; none when it is decided today as it was then. */
export interface Redecision {
  readonly divergences: readonly Divergence[];
  readonly workflow: Workflow;
}

export function redecide(history: readonly RecordedDecision[], by?: Decide): Redecision {
  const divergences: Divergence[] = [];
  let workflow = ABSENT;
  for (const { recorded, decided, because, after } of decidedAgain(history, by)) {
    const divergence = divergenceOf(workflow.version + 1, recorded, decided, because);
    if (divergence !== undefined) divergences.push(divergence);
    workflow = after;
  }
  return { divergences, workflow };
}

function decideOne(recorded: RecordedDecision, workflow: Workflow, by: Decide): Decision<WorkflowEvent> {
  const [first] = recorded.events;
  const input = first === undefined ? undefined : inputOf(first, recorded, workflow);
  if (input === undefined) return nothing('no input is recorded as such an event');
  return by(input, workflow, circumstancesOf(recorded));
}

/** The command's hash is added at the edge, after the decision. */
function withoutCommandHash(event: WorkflowEvent): WorkflowEvent {
  if (event.type !== 'attempt.reserved') return event;
  const { commandHash: _, ...data } = event.data;
  return { type: event.type, data };
}

function circumstancesOf(recorded: RecordedDecision): Circumstances {
  const reserved = recorded.events.find((event) => event.type === 'attempt.reserved');
  const frozen = recorded.events.some((event) => event.type === 'step.refused' && event.data.code === 'SpendingFrozen');
  return { now: recorded.at, bus: reserved?.type === 'attempt.reserved' ? reserved.data.bus : '', frozen };
}

function inputOf(first: WorkflowEvent, { events, at }: RecordedDecision, workflow: Workflow): WorkflowInput | undefined {
  switch (first.type) {
    case 'task.submitted':
      return { kind: 'submit', ...first.data, environment: environmentOf(events) };
    case 'task.forked':
      return { kind: 'fork', ...first.data, environment: environmentOf(events) };
    case 'attempt.reused': {
      const { step: _, agent: __, ...reused } = first.data;
      return { kind: 'reuse', ...reused, team: teamOf(events) };
    }
    case 'reuse.ended':
      return first.data.why === 'origin_erased' ? { kind: 'end_reuse', why: first.data.why } : undefined;
    case 'cancel.requested':
      return { kind: 'cancel', ...first.data };
    case 'erasure.requested':
      return { kind: 'erase', ...first.data };
    case 'content.erased':
      return { kind: 'erased', ...first.data };
    case 'mandate.topped_up':
      return {
        kind: 'top_up',
        request: first.data.request,
        added: first.data.added,
        ...timeAdded(first.data.deadlineAt, workflow, at),
        lease: isLeased(events),
      };
    case 'allowance.answered':
      return { kind: 'allowance', ...first.data };
    case 'attempt.started':
      return { kind: 'start', ...first.data };
    case 'attempt.settled': {
      const { attempt, outcome, answer, failure, worker, durationMs } = first.data;
      return {
        kind: 'result',
        attempt,
        outcome,
        ...(answer === undefined ? {} : { answer }),
        ...(failure === undefined ? {} : { failure }),
        ...(worker === undefined ? {} : { worker }),
        ...(durationMs === undefined ? {} : { durationMs }),
        team: teamOf(events),
      };
    }
    case 'attempt.answered_late':
      return lateAnswer(first.data);
    case 'timer.fired':
      return timerInput(first.data);
    case 'bus.reset':
      return { kind: 'bus_reset', incarnation: first.data.incarnation };
    default:
      return undefined;
  }
}

/** Only cost and tokens of a late answer are on the record; they are all that a decision takes from it. */
function lateAnswer(data: Extract<WorkflowEvent, { type: 'attempt.answered_late' }>['data']): WorkflowInput {
  const usage = { inputTokens: data.tokens, outputTokens: 0, cachedInputTokens: 0, reasoningTokens: 0 };
  const answer = {
    kind: 'llm',
    provider: '',
    model: '',
    priceVersion: '',
    usage,
    costMicroUsd: data.costMicroUsd,
    finishReason: '',
    textBytes: 0,
    calls: [],
    upstreamRequests: 1,
  } as const;
  return { kind: 'result', attempt: data.attempt, outcome: data.outcome, answer };
}

function timerInput(fired: EventData<'timer.fired'>): WorkflowInput {
  switch (fired.timer) {
    case 'attempt':
      return { kind: 'attempt_timer', attempt: fired.attempt };
    case 'retry':
      return { kind: 'retry_timer', step: fired.step, attempt: fired.attempt };
    case 'agent':
      return { kind: 'agent_timer', agent: fired.agent };
    case 'workflow':
      return { kind: 'workflow_timer' };
  }
}

/** The time that a top-up gave, from the deadline that it led to. */
function timeAdded(deadlineAt: number, workflow: Workflow, at: number): { readonly deadlineMs?: number } {
  const before = rootOf(workflow)?.mandate.limits.deadlineAt ?? 0;
  return deadlineAt === before ? {} : { deadlineMs: deadlineAt - Math.max(at, before) };
}

const teamOf = (events: readonly WorkflowEvent[]): readonly Casting[] => {
  const made = events.find((event) => event.type === 'decision.made' && event.data.agent === ROOT_AGENT);
  return made?.type === 'decision.made' ? made.data.team : [];
};

const isLeased = (events: readonly WorkflowEvent[]): boolean => events.some((event) => event.type === 'allowance.asked');

/** The world as it stands in the events that came of it. */
function environmentOf(events: readonly WorkflowEvent[]): Environment {
  const granted = events.find((event) => event.type === 'mandate.granted');
  if (granted?.type !== 'mandate.granted') return rejectingEnvironment(events);
  const { tools, catalogHash, promptBaseBytes, role, model, timing, edition, tier, fingerprint, delegation } = granted.data;
  const lease = isLeased(events);
  return { tools, catalogHash, promptBaseBytes, role, model, timing, edition, tier, fingerprint, delegation, team: teamOf(events), lease };
}

/** A world in which the task is rejected for the reason on the record. */
function rejectingEnvironment(events: readonly WorkflowEvent[]): Environment {
  const rejected = events.find((event) => event.type === 'task.rejected');
  const code = rejected?.type === 'task.rejected' ? rejected.data.code : undefined;
  const free: ModelTerms = {
    model: null,
    priceVersion: '',
    worstPrice: { inputMicroUsdPerMillionTokens: 0, outputMicroUsdPerMillionTokens: 0 },
    maxOutputTokens: 1,
  };
  return {
    tools: [],
    catalogHash: null,
    promptBaseBytes: 0,
    role: '',
    model: code === 'ModelUnknown' ? null : free,
    timing: { queueMs: 0, analyzeMs: 0, llmMs: 0, toolMs: 0, graceMs: 0 },
    edition: code === 'PatternUnknown' ? 1 : 2,
    tier: 'medium',
    fingerprint: '',
    delegation: { maxDepth: code === 'DelegationDepthExceeded' ? 0 : MAX_DEPTH, maxAgents: MAX_AGENTS.ceiling, deepest: 'read_only' },
    team: [],
    lease: false,
  };
}
