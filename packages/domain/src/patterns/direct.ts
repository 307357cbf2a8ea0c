import type { Brief, OwedStep, Pattern, PatternOutcome, StepEvent } from './pattern.ts';
import type { StepId } from '../ids.ts';

/**
 * One agent and its tool loop: ask the model, run the tools that it asks for (all of one turn at once),
 * ask again with their results, until it answers without asking for a tool.
 */
export interface DirectState {
  readonly turns: readonly Turn[];
  /** Bytes of the whole prompt so far: base, task, answers, results. */
  readonly promptBytes: number;
  readonly messages: number;
  /** The model call that was asked for and has not ended. */
  readonly asking: boolean;
  readonly failure?: string;
}

/** One model answer and what became of the calls in it. */
export interface Turn {
  readonly version: number;
  readonly calls: readonly Call[];
}

export interface Call {
  readonly tool: string | null;
  readonly argsBytes: number;
  readonly step?: StepId;
  /** Where the result or refusal is, once there is one. */
  readonly answer?: { readonly version: number; readonly status: 'ok' | 'failed' | 'unknown' | 'refused'; readonly code?: string };
}

/** What a failed, refused or unknown call tells the model is never longer: 300 characters of cause, and our own words. */
const NOTE_BYTES = 1_300;

export const direct: Pattern<DirectState> = {
  initial: (brief: Brief): DirectState => ({ turns: [], promptBytes: brief.promptBaseBytes + brief.taskBytes, messages: 2, asking: false }),
  evolve,
  pending,
  outcome,
};

function evolve(state: DirectState, event: StepEvent): DirectState {
  switch (event.kind) {
    case 'asked':
      return event.owed.kind === 'llm'
        ? { ...state, asking: true }
        : updateCall(state, event.owed.call, (call) => ({ ...call, step: event.step }));
    case 'model_answered': {
      const argsBytes = event.calls.reduce((sum, call) => sum + call.argsBytes, 0);
      return {
        ...state,
        asking: false,
        turns: [...state.turns, { version: event.version, calls: event.calls }],
        promptBytes: state.promptBytes + event.textBytes + argsBytes,
        messages: state.messages + 1 + event.calls.length,
      };
    }
    case 'model_failed':
      return { ...state, asking: false, failure: event.code };
    case 'tool_ended': {
      const status = event.outcome === 'succeeded' ? 'ok' : event.outcome === 'unknown' ? 'unknown' : 'failed';
      const grown = {
        ...state,
        promptBytes: state.promptBytes + Math.max(event.resultBytes, status === 'ok' ? 0 : NOTE_BYTES),
        messages: state.messages + 1,
      };
      return updateCall(grown, event.call, (call) => ({ ...call, answer: { version: event.version, status } }));
    }
    case 'refused':
      if (event.call === null) return { ...state, asking: false, failure: event.code };
      return updateCall({ ...state, promptBytes: state.promptBytes + NOTE_BYTES, messages: state.messages + 1 }, event.call, (call) => ({
        ...call,
        answer: { version: event.version, status: 'refused', code: event.code },
      }));
  }
}

function pending(state: DirectState): readonly OwedStep[] {
  if (state.asking || outcome(state) !== undefined) return [];
  const turn = state.turns.at(-1);
  const owed = (turn?.calls ?? []).flatMap((call, index): OwedStep[] =>
    call.step === undefined && call.answer === undefined && turn !== undefined
      ? [{ kind: 'tool', tool: call.tool, call: { version: turn.version, index } }]
      : [],
  );
  if (owed.length > 0) return owed;
  const waiting = turn?.calls.some((call) => call.answer === undefined) ?? false;
  return waiting ? [] : [{ kind: 'llm', promptBytes: state.promptBytes, messages: state.messages }];
}

function outcome(state: DirectState): PatternOutcome | undefined {
  const last = state.turns.at(-1);
  if (state.failure !== undefined) return { kind: 'failed', code: state.failure, partialAt: last?.version ?? null };
  if (last !== undefined && last.calls.length === 0) return { kind: 'answered', version: last.version };
  return undefined;
}

/** Only the latest turn can have open calls. */
function updateCall(
  state: DirectState,
  at: { readonly version: number; readonly index: number },
  change: (call: Call) => Call,
): DirectState {
  const turns = [...state.turns];
  const last = turns.length - 1;
  const turn = turns[last];
  if (turn === undefined || turn.version !== at.version) return state;
  turns[last] = { ...turn, calls: turn.calls.map((call, index) => (index === at.index ? change(call) : call)) };
  return { ...state, turns };
}
