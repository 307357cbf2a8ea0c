import type { AgentId, AttemptId, StepId } from '../ids.ts';
import type { Figures } from '../mandate/mandate.ts';

/**
 * What a tool may do to the world, from the operator's grant list (an MCP annotation is only a hint).
 * `read_only` and `idempotent` calls may be repeated; `non_idempotent` ones never, and they run only after
 * their start was committed.
 */
export type Effect = 'read_only' | 'idempotent' | 'non_idempotent';

/** A tool in an agent's scope. Facts only: descriptions and schemas stand in the catalogue artifact. */
export interface GrantedTool {
  readonly name: string;
  readonly effect: Effect;
}

/** What an agent owes next. A pattern names steps; the workflow reserves, dispatches and retries them. */
export type Step =
  | { readonly kind: 'analyze' }
  | { readonly kind: 'llm'; readonly promptBytes: number; readonly messages: number }
  | { readonly kind: 'tool'; readonly tool: string; readonly effect: Effect; readonly argsAt: CallRef };

export type StepKind = Step['kind'];

/** Where a tool call's arguments are: the call `index` of the model answer stored at `version`. */
export interface CallRef {
  readonly version: number;
  readonly index: number;
}

/**
 * How an attempt ended.
 * `expired`: it never ran and cost nothing. `lost`: claimed and never answered, settled at its worst case.
 * `unknown`: a non-idempotent effect that may have happened; never repeated.
 */
export type Outcome = 'succeeded' | 'failed' | 'expired' | 'cancelled' | 'lost' | 'unknown';

/** Why a worker could not do it, in facts. The provider's own words are content. */
export interface StepFailure {
  /** A word from contracts' list of worker errors, e.g. `rate_limit`, `timeout`, `tool_unavailable`. */
  readonly code: string;
  readonly retryable: boolean;
  /** Whether the provider may have charged for it. `no` only when that is provable. */
  readonly billed: 'no' | 'maybe' | 'yes';
  readonly retryAfterMs?: number;
}

export interface Usage {
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly cachedInputTokens: number;
  readonly reasoningTokens: number;
}

/** One tool call that a model asked for. `tool` is null when it is not a tool of ours: the name is then content. */
export interface CallFacts {
  readonly tool: string | null;
  readonly argsBytes: number;
}

/** What a worker answers to one attempt: facts only; texts travel beside as content. */
export type Answer =
  | { readonly kind: 'analyze'; readonly analysis: AnalysisFacts }
  | {
      readonly kind: 'llm';
      readonly provider: string;
      readonly model: string;
      readonly priceVersion: string;
      readonly usage: Usage;
      readonly costMicroUsd: number;
      readonly finishReason: string;
      readonly textBytes: number;
      readonly calls: readonly CallFacts[];
      /** Requests sent upstream: provably unbilled ones are retried by the router alone. */
      readonly upstreamRequests: number;
    }
  | { readonly kind: 'tool'; readonly isError: boolean; readonly resultBytes: number; readonly truncated: boolean };

/** The analyzer's reading, as far as a decision needs it. Reasons are rule ids; spans point into the task's text. */
export interface AnalysisFacts {
  readonly analyzerVersion: string;
  readonly intent: string;
  readonly taskType: string;
  readonly complexityScore: number;
  readonly tier: 'simple' | 'moderate' | 'complex' | 'expert';
  readonly capabilities: readonly string[];
  readonly estimatedSteps: number;
  readonly confidence: number;
  readonly language: string;
  readonly reasons: readonly { readonly claim: string; readonly ruleId: string; readonly start: number; readonly end: number }[];
}

/** An attempt that is not settled yet. */
export interface OpenAttempt {
  readonly id: AttemptId;
  readonly step: StepId;
  readonly agent: AgentId;
  readonly number: number;
  readonly owes: Step;
  readonly reservation: Figures;
  /** The worker must have claimed it before (epoch ms). */
  readonly expiresAt: number;
  /** Allowed to run for this long after the claim. */
  readonly timeoutMs: number;
  /** Without an answer until then it is settled as lost (epoch ms). Later than any claimed call can end. */
  readonly deadlineAt: number;
  /** The runner that was allowed to start a non-idempotent tool. */
  readonly runner?: string;
  /** The bus incarnation whose claim store guards it. */
  readonly bus: string;
  /** The version of its `attempt.reserved` event: the command's id derives from it. */
  readonly version: number;
}
