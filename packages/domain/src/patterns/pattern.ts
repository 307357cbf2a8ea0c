import type { CallFacts, CallRef, Outcome } from '../workflow/steps.ts';
import type { StepId } from '../ids.ts';
import type { RefusalCode } from '../refusals.ts';

/**
 * A pattern owes; it never acts. Everything it owes is recomputed from its state, so a crash loses nothing.
 * It knows neither money nor retries: it hears only how a step ended for good.
 */
export interface Pattern<State> {
  readonly initial: (brief: Brief) => State;
  readonly evolve: (state: State, event: StepEvent) => State;
  /** Every step that is owed now and was not asked for yet. */
  readonly pending: (state: State) => readonly OwedStep[];
  /** The answer once there is one; `undefined` while the agent is at work. */
  readonly outcome: (state: State) => PatternOutcome | undefined;
}

export interface Brief {
  readonly taskBytes: number;
  /** Bytes of system prompt and tool descriptions. */
  readonly promptBaseBytes: number;
}

export type OwedStep =
  | { readonly kind: 'llm'; readonly promptBytes: number; readonly messages: number }
  /** `tool` is null when the model named something that is not a tool of ours. */
  | { readonly kind: 'tool'; readonly tool: string | null; readonly call: CallRef };

export type StepEvent =
  | { readonly kind: 'asked'; readonly step: StepId; readonly owed: OwedStep }
  | { readonly kind: 'model_answered'; readonly version: number; readonly textBytes: number; readonly calls: readonly CallFacts[] }
  | { readonly kind: 'model_failed'; readonly code: string }
  | {
      readonly kind: 'tool_ended';
      readonly call: CallRef;
      readonly version: number;
      readonly outcome: Outcome;
      readonly resultBytes: number;
    }
  | { readonly kind: 'refused'; readonly call: CallRef | null; readonly version: number; readonly code: RefusalCode };

export type PatternOutcome =
  | { readonly kind: 'answered'; readonly version: number }
  /** `partialAt`: the version of the last text that the model gave, when there is one. */
  | { readonly kind: 'failed'; readonly code: string; readonly partialAt: number | null };
