import type { WorkflowEvent } from './events.ts';
import type { Circumstances, Environment, WorkflowInput } from './inputs.ts';
import { decide } from './decide.ts';
import { ABSENT, evolve, type Workflow } from './workflow.ts';

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
  for (const [index, recorded] of history.entries()) {
    const decided = decideAgain(recorded, workflow);
    if (JSON.stringify(decided) !== JSON.stringify(recorded.events.map(withoutCommandHash))) {
      return { kind: 'diverged', index, recorded: recorded.events, decided };
    }
    workflow = recorded.events.reduce((state, event) => evolve(state, event, recorded.at), workflow);
  }
  return { kind: 'same', workflow };
}

function decideAgain(recorded: RecordedDecision, workflow: Workflow): readonly WorkflowEvent[] {
  const [first] = recorded.events;
  const input = first === undefined ? undefined : inputOf(first, recorded.events);
  if (input === undefined) return [];
  const decision = decide(input, workflow, circumstancesOf(recorded));
  return decision.kind === 'events' ? decision.events : [];
}

/** The command's hash is added at the edge, after the decision. */
function withoutCommandHash(event: WorkflowEvent): WorkflowEvent {
  if (event.type !== 'attempt.reserved') return event;
  const { commandHash: _, ...data } = event.data;
  return { type: event.type, data };
}

function circumstancesOf(recorded: RecordedDecision): Circumstances {
  const reserved = recorded.events.find((event) => event.type === 'attempt.reserved');
  return { now: recorded.at, bus: reserved?.type === 'attempt.reserved' ? reserved.data.bus : '' };
}

function inputOf(first: WorkflowEvent, events: readonly WorkflowEvent[]): WorkflowInput | undefined {
  switch (first.type) {
    case 'task.submitted':
      return { kind: 'submit', ...first.data, environment: environmentOf(events) };
    case 'cancel.requested':
      return { kind: 'cancel', request: first.data.request };
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
      };
    }
    case 'attempt.answered_late':
      return lateAnswer(first.data);
    case 'timer.fired':
      if (first.data.timer === 'attempt') return { kind: 'attempt_timer', attempt: first.data.attempt };
      return first.data.timer === 'retry'
        ? { kind: 'retry_timer', step: first.data.step, attempt: first.data.attempt }
        : { kind: 'workflow_timer' };
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

function environmentOf(events: readonly WorkflowEvent[]): Environment {
  const granted = events.find((event) => event.type === 'mandate.granted');
  const timing = { queueMs: 0, analyzeMs: 0, llmMs: 0, toolMs: 0, graceMs: 0 };
  const free = {
    model: null,
    priceVersion: '',
    worstPrice: { inputMicroUsdPerMillionTokens: 0, outputMicroUsdPerMillionTokens: 0 },
    maxOutputTokens: 1,
  };
  if (granted?.type !== 'mandate.granted') {
    const rejected = events.find((event) => event.type === 'task.rejected');
    const modelUnknown = rejected?.type === 'task.rejected' && rejected.data.code === 'ModelUnknown';
    return { tools: [], catalogHash: null, promptBaseBytes: 0, role: '', model: modelUnknown ? null : free, timing };
  }
  const { tools, catalogHash, promptBaseBytes, role, model } = granted.data;
  return { tools, catalogHash, promptBaseBytes, role, model, timing: granted.data.timing };
}
