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
  | {
      readonly kind: 'llm';
      readonly promptBytes: number;
      readonly messages: number;
      /** What for; absent: the next turn of the agent's own work. */
      readonly part?: Part;
      /** The answer may be so long; absent: as long as the terms of the mandate allow. */
      readonly maxOutputTokens?: number;
    }
  | { readonly kind: 'tool'; readonly tool: string; readonly effect: Effect; readonly argsAt: CallRef };

/** What a model is asked for beside the turns of a tool loop. */
export type Part =
  | { readonly name: 'closing' | 'plan' | 'choose' | 'join' | 'rate' }
  /** A question to another role: no agent, no tools, one call. */
  | { readonly name: 'consult'; readonly call: CallRef; readonly to: Casting };

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
  /** What it asks for, when it is one of our own tools. Read at the edge; its words stay in the content. */
  readonly ask?: Ask;
}

/** Tools that are carried out here and not by a tool-runner. */
export const OWN_TOOLS = ['delegate', 'consult', 'transfer_to', 'choose', 'plan', 'rate'] as const;
export type OwnTool = (typeof OWN_TOOLS)[number];

/** Who an agent is: a role of the catalogue, what it may use, and the bytes that this adds to every prompt. */
export interface Casting {
  /** `name@version` */
  readonly role: string;
  readonly tools: readonly string[];
  readonly baseBytes: number;
  readonly tier: ModelTier;
}
export type ModelTier = 'cheap' | 'medium' | 'powerful';

/** `to` is null when the role is not in the catalogue. */
export type Ask =
  | ({ readonly kind: 'delegate' } & Errand)
  | { readonly kind: 'consult' | 'transfer' | 'choose'; readonly to: Casting | null }
  | { readonly kind: 'plan'; readonly complete: boolean; readonly steps: readonly PlannedStep[] }
  | { readonly kind: 'rate'; readonly rating: 'poor' | 'fair' | 'good' | 'excellent' }
  /** The arguments are not what the tool takes; `problem` in our own words. */
  | { readonly kind: 'invalid'; readonly problem: string };

/** A task for somebody else, in facts. */
export interface Errand {
  readonly to: Casting | null;
  readonly taskBytes: number;
  /** Keyed digest of the task's words, for the search for cycles. */
  readonly fingerprint: string;
  readonly pattern?: PatternName;
  /** Only these; null for a name that the agent does not have, or that the role may not use. */
  readonly tools?: readonly (string | null)[];
  readonly sharePercent?: number;
  readonly moneyMicroUsd?: number;
  readonly estimateTokens?: number;
}

export interface PlannedStep extends Errand {
  readonly id: string;
  /** Ids of steps whose results it needs. */
  readonly after: readonly string[];
}

/** Where a child's task stands. */
export type TextRef = { readonly of: 'parent' } | { readonly of: 'call'; readonly call: CallRef; readonly item?: number };

/** The place of a child in its parent's work: a call of a model, or a part of the pattern. */
export type Slot = { readonly call: CallRef } | { readonly part: number };

/** How a child ended, as its parent hears it. */
export type AgentEnd =
  | { readonly kind: 'answered'; readonly answerAt: number; readonly bytes: number; readonly fingerprint?: string }
  | { readonly kind: 'failed' | 'cancelled'; readonly code: string; readonly message: string; readonly partialAt: number | null };

export const PATTERN_NAMES = [
  'direct',
  'sequential',
  'parallel',
  'router',
  'orchestrator-workers',
  'swarm',
  'evaluator-optimizer',
] as const;
export type PatternName = (typeof PATTERN_NAMES)[number];

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
      /** Keyed digest of the text's words, so that equal answers can be counted. */
      readonly fingerprint?: string;
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
  /** Which pattern fits. Older analyses lack it. */
  readonly fit?: PatternFit;
}

/** How well each of the seven patterns fits a task, the best first. */
export interface PatternFit {
  /** The version of the table that was asked. */
  readonly table: string;
  /** Scores 0–1 with three decimals. Reasons are a signed weight and a rule: `+0.50 ordered_steps`. */
  readonly scores: readonly { readonly pattern: PatternName; readonly score: number; readonly reasons: readonly string[] }[];
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
