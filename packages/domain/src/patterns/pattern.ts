import type { AgentId, StepId } from '../ids.ts';
import type { AgentEnd, CallFacts, CallRef, Casting, Outcome, Part, PatternName, Slot, TextRef } from '../workflow/steps.ts';
import type { RefusalCode } from '../refusals.ts';
import type { Note, Prompt } from './prompt.ts';

/**
 * A pattern owes; it never acts. Everything it owes is recomputed from its state, so a crash loses nothing.
 * It knows neither money nor retries: it hears only how a step ended for good, and what became of its children.
 */
export interface Pattern<State> {
  readonly initial: (brief: Brief) => State;
  readonly evolve: (state: State, event: StepEvent) => State;
  /** Everything that is owed now and was not asked for yet. */
  readonly pending: (state: State) => readonly OwedStep[];
  /** The answer once there is one; `undefined` while the agent is at work. */
  readonly outcome: (state: State) => PatternOutcome | undefined;
  /** What the model is asked in a part that is owed or open. */
  readonly prompt: (state: State, part: Part | undefined) => Prompt;
}

export interface Brief {
  readonly taskBytes: number;
  /** Bytes of system prompt and tool descriptions. */
  readonly promptBaseBytes: number;
  /** The agent in its own role. */
  readonly self: Casting;
  /** Whom it may send, best first; empty when it works alone. */
  readonly team: readonly Casting[];
  readonly tuning: Tuning;
  /** Whether something was put aside for a closing turn. */
  readonly closing: boolean;
}

/** How a client wants a pattern to be run. Everything has a default. */
export interface Tuning {
  /** parallel: each of the team takes its section, or all do the same and the majority is the answer. Default sections. */
  readonly mode?: 'sections' | 'votes';
  /** parallel: how many vote. Default 3. */
  readonly votes?: number;
  /** parallel: who must succeed. Default best_effort. */
  readonly policy?: 'all' | 'quorum' | 'best_effort';
  /** parallel, policy quorum: how many must succeed. Default the majority. */
  readonly quorum?: number;
  /** orchestrator-workers: one plan, or a new one after every round. Default full. */
  readonly planning?: 'full' | 'iterative';
  /** evaluator-optimizer: good enough. Default good. */
  readonly minimumRating?: Rating;
  /** evaluator-optimizer: how often it is improved at most. Default 3. */
  readonly refinements?: number;
  /** Roles of the team, instead of those that the capabilities call for. */
  readonly roles?: readonly string[];
}

export const RATINGS = ['poor', 'fair', 'good', 'excellent'] as const;
export type Rating = (typeof RATINGS)[number];

export type OwedStep =
  | { readonly kind: 'llm'; readonly promptBytes: number; readonly messages: number; readonly part?: Part }
  /** `tool` is null when the model named something that is not a tool of ours. */
  | { readonly kind: 'tool'; readonly tool: string | null; readonly call: CallRef }
  | OwedChild
  /** A call that is not allowed, whatever the mandate says. */
  | { readonly kind: 'refuse'; readonly call: CallRef; readonly code: RefusalCode; readonly message: string }
  | { readonly kind: 'hand_over'; readonly call: CallRef; readonly to: Casting }
  /** A child that is not needed any more. */
  | { readonly kind: 'stop'; readonly child: AgentId };

export interface OwedChild {
  readonly kind: 'child';
  readonly slot: Slot;
  /** Null when the model named nobody that we know. */
  readonly to: Casting | null;
  readonly task: TextRef;
  readonly taskBytes: number;
  /** Children whose results stand in its task. */
  readonly after: readonly AgentId[];
  readonly pattern: PatternName;
  /** It gets one of so many equal parts of what is left. */
  readonly of: number;
  /** Of what is left, in percent: instead of an equal part. */
  readonly sharePercent?: number;
  /** In money, instead of an equal part. */
  readonly moneyMicroUsd?: number;
  readonly tools?: readonly (string | null)[];
  /** Tools of the role that asks, when the agent works in another role than its own: it can give no others. */
  readonly scope?: readonly string[];
  /** Keyed digest of the task; empty when it is the parent's own. */
  readonly fingerprint: string;
  /** Asked by a model, so cycles are looked for. */
  readonly asked: boolean;
  readonly estimateTokens?: number;
}

export type StepEvent =
  | { readonly kind: 'asked'; readonly step: StepId; readonly owed: Extract<OwedStep, { kind: 'llm' | 'tool' }> }
  | {
      readonly kind: 'model_answered';
      readonly part?: Part;
      readonly version: number;
      readonly textBytes: number;
      readonly calls: readonly CallFacts[];
      readonly fingerprint?: string;
    }
  | { readonly kind: 'model_failed'; readonly part?: Part; readonly code: string; readonly version: number }
  | {
      readonly kind: 'tool_ended';
      readonly call: CallRef;
      readonly version: number;
      readonly outcome: Outcome;
      readonly resultBytes: number;
    }
  | {
      readonly kind: 'refused';
      readonly call: CallRef | null;
      readonly part?: Part;
      readonly slot?: Slot;
      readonly version: number;
      readonly code: RefusalCode;
      readonly message: string;
    }
  | { readonly kind: 'child_sent'; readonly slot: Slot; readonly child: AgentId; readonly role: string }
  | { readonly kind: 'child_ended'; readonly slot: Slot; readonly child: AgentId; readonly end: AgentEnd }
  | { readonly kind: 'handed_over'; readonly call: CallRef; readonly to: Casting; readonly version: number }
  | { readonly kind: 'told'; readonly note: Note }
  /** The mandate was raised: whatever it had run out of is owed again. */
  | { readonly kind: 'raised' };

export type PatternOutcome =
  | { readonly kind: 'answered'; readonly version: number; readonly bytes: number; readonly fingerprint?: string }
  /** `partialAt`: the version of the last text that the model gave, when there is one. */
  | { readonly kind: 'failed'; readonly code: string; readonly message?: string; readonly partialAt: number | null };
