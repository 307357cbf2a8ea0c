import type { AgentId, AttemptId, RequestId, StepId } from '../ids.ts';
import type { Figures, Limits, WorstPrice } from '../mandate/mandate.ts';
import type { RefusalCode } from '../refusals.ts';
import type { Tuning } from '../patterns/pattern.ts';
import type {
  AgentEnd,
  Answer,
  CallRef,
  Casting,
  GrantedTool,
  ModelTier,
  Outcome,
  Part,
  PatternName,
  Slot,
  Step,
  StepFailure,
  TextRef,
} from './steps.ts';

/**
 * What happened to a workflow, in the past tense. Events carry facts; their content (task text, prompts, answers,
 * arguments, results) is a row of the content table with the same stream and version.
 *
 * Events marked INPUT are what a decision consumed; all others are consequences of the input before them.
 * These shapes are frozen by recorded histories (test/histories): change one by a new schema version and an upcaster.
 */
export type WorkflowEvent =
  /** INPUT. content: { task } */
  | { readonly type: 'task.submitted'; readonly data: TaskSubmitted }
  /** INPUT, in place of `task.submitted`. content: { task } */
  | { readonly type: 'task.forked'; readonly data: TaskForked }
  | { readonly type: 'task.rejected'; readonly data: { readonly code: RefusalCode; readonly message: string } }
  | { readonly type: 'mandate.granted'; readonly data: MandateGranted }
  | { readonly type: 'decision.made'; readonly data: DecisionMade }
  /** One try at a step, reserved at its worst case. */
  | { readonly type: 'attempt.reserved'; readonly data: AttemptReserved }
  /** INPUT. A runner was allowed to start a non-idempotent tool. */
  | { readonly type: 'attempt.started'; readonly data: { readonly attempt: AttemptId; readonly runner: string } }
  /** INPUT when a worker answered; a consequence after `timer.fired` and `bus.reset`. content: text, calls, result or error */
  | { readonly type: 'attempt.settled'; readonly data: AttemptSettled }
  /** INPUT. A fork was answered what its origin was answered; it costs nothing. content: as of `attempt.settled` */
  | { readonly type: 'attempt.reused'; readonly data: AttemptReused }
  /** Everything that a fork does is live from here. INPUT when the origin's words are gone. */
  | { readonly type: 'reuse.ended'; readonly data: ReuseEnded }
  /** INPUT. An answer to an attempt that was already settled. Recorded for the bill; changes nothing. */
  | {
      readonly type: 'attempt.answered_late';
      readonly data: { readonly attempt: AttemptId; readonly outcome: Outcome; readonly costMicroUsd: number; readonly tokens: number };
    }
  | { readonly type: 'retry.scheduled'; readonly data: { readonly step: StepId; readonly attempt: number; readonly dueAt: number } }
  /** INPUT. */
  | { readonly type: 'timer.fired'; readonly data: TimerFired }
  /** INPUT. The bus lost its storage: claims made on the old one prove nothing any more. */
  | { readonly type: 'bus.reset'; readonly data: { readonly incarnation: string } }
  /** INPUT. content: { reason }. Without an agent the whole task. */
  | { readonly type: 'cancel.requested'; readonly data: { readonly request: RequestId; readonly agent?: AgentId } }
  /** INPUT. Its content is to go: the run ends, it is never carried on, and nobody's words are stored any more. */
  | { readonly type: 'erasure.requested'; readonly data: ErasureRequested }
  /** INPUT. The keys were destroyed: nobody can read content of this workflow any more. */
  | { readonly type: 'content.erased'; readonly data: { readonly keys: number } }
  /** A part of the mandate is nearly used up; the agent is told what is left. */
  | { readonly type: 'mandate.warned'; readonly data: MandateWarned }
  /** INPUT. The client gave more; what had run out is owed again. */
  | { readonly type: 'mandate.topped_up'; readonly data: MandateToppedUp }
  /** The tenant's account is asked to lease what the root mandate grants. */
  | { readonly type: 'allowance.asked'; readonly data: Allowance }
  /** INPUT. What the account said. */
  | { readonly type: 'allowance.answered'; readonly data: AllowanceAnswered }
  /** Another role goes on with the work of this agent. */
  | {
      readonly type: 'agent.handed_over';
      readonly data: {
        readonly agent: AgentId;
        readonly from: string;
        readonly to: Casting;
        readonly call: { readonly version: number; readonly index: number };
      };
    }
  /** It starts nothing more; it ends when its attempts are settled. */
  | {
      readonly type: 'agent.stopped';
      readonly data: { readonly agent: AgentId; readonly as: 'failed' | 'cancelled'; readonly code: string; readonly message: string };
    }
  /** A child has come to its end; its parent hears of it. */
  | { readonly type: 'agent.ended'; readonly data: { readonly agent: AgentId; readonly end: AgentEnd; readonly spent: Figures } }
  /** A tool call or model call that was not allowed. The model is told; nothing was spent. */
  | { readonly type: 'step.refused'; readonly data: StepRefused }
  | { readonly type: 'task.completed'; readonly data: TaskEnded & { readonly answerAt: number } }
  | {
      readonly type: 'task.failed';
      readonly data: TaskEnded & { readonly code: string; readonly message: string; readonly answerAt: number | null };
    }
  | { readonly type: 'task.cancelled'; readonly data: TaskEnded }
  | { readonly type: 'mandate.released'; readonly data: { readonly agent: AgentId; readonly returned: Figures } };

export type WorkflowEventType = WorkflowEvent['type'];
export type EventData<T extends WorkflowEventType> = Extract<WorkflowEvent, { type: T }>['data'];

export interface TaskSubmitted {
  readonly request: RequestId;
  readonly source: 'gateway' | 'bus';
  /** SHA-256 of task and options: the same request with another body is refused. */
  readonly bodyHash: string;
  readonly taskBytes: number;
  readonly options: TaskOptions;
}

/** A run that begins with the past of another one. */
export interface TaskForked extends TaskSubmitted {
  readonly origin: {
    readonly workflow: string;
    /** Its events up to this one are the past. */
    readonly version: number;
    /** Of the origin's stream at that version: its hash chain covers all of the past. */
    readonly hash: string;
  };
  /** Forks between this run and one that was submitted, 1 to 3. */
  readonly hops: number;
  /** Names of tools that may change the world all the same. */
  readonly firewall: { readonly allowed: readonly string[] };
  readonly changed: readonly ForkChange[];
  readonly reuse: {
    /** In the order in which the origin was answered. */
    readonly steps: readonly ReusableStep[];
    /** Why there are no more of them. `unanswered`: what happened to the origin's next step is not known. */
    readonly until: 'fork_point' | 'unanswered' | 'task_changed';
  };
}

export type ForkChange = 'task' | 'model' | 'mandate' | 'tools' | 'tool_versions' | 'pattern';

/** A step of the origin and the version at which it ended. */
export interface ReusableStep {
  readonly step: StepId;
  readonly version: number;
  readonly kind: Step['kind'];
  readonly part?: Part['name'];
  readonly tool?: string;
  /** In versions of the origin. */
  readonly argsAt?: CallRef;
}

export interface AttemptReused {
  readonly attempt: AttemptId;
  readonly step: StepId;
  readonly agent: AgentId;
  /** The origin's event, by its version and the hash of its stream there. */
  readonly from: { readonly version: number; readonly hash: string };
  readonly outcome: Outcome;
  readonly answer?: Answer;
  readonly failure?: StepFailure;
}

export interface ReuseEnded {
  /** `diverged`: the fork does not owe what its origin was answered next. `run_ended`: it was cancelled or ran out of time. */
  readonly why: 'fork_point' | 'unanswered' | 'task_changed' | 'diverged' | 'run_ended' | 'origin_erased';
  /** Answers that were reused. */
  readonly reused: number;
}

/** What a client may ask for. Everything has a default; ceilings are in `ROOT_CEILING`. */
export interface TaskOptions {
  readonly pattern?: PatternName;
  /** `provider/model` or a model name of the catalogue; default: chosen by the router. */
  readonly model?: string;
  readonly maxCostMicroUsd?: number;
  readonly maxTokens?: number;
  readonly maxModelCalls?: number;
  readonly maxToolCalls?: number;
  /** From submission. */
  readonly deadlineMs?: number;
  /** Only these of the tenant's tools. */
  readonly tools?: readonly string[];
  /** How deep it may delegate: 0 not at all. At most 2; default what the operator allows. */
  readonly maxDepth?: number;
  /** Agents in all beside the root. */
  readonly maxAgents?: number;
  /** How the pattern is run. */
  readonly tuning?: Tuning;
}

export interface ErasureRequested {
  readonly request: RequestId;
  /** Whether this workflow was named, or the person whom it is about. */
  readonly of: 'workflow' | 'data_subject';
}

export interface MandateWarned {
  readonly agent: AgentId;
  readonly dimensions: readonly (keyof Figures | 'time')[];
  readonly left: Figures;
}

/** What is added to the root mandate. */
export interface MandateToppedUp {
  readonly request: RequestId;
  readonly added: Figures;
  /** The new deadline (epoch ms). */
  readonly deadlineAt: number;
}

export interface Allowance {
  /** Of this workflow, from 1: a top-up asks again. */
  readonly number: number;
  readonly moneyMicroUsd: number;
  /** Nothing of it is spent later than this (epoch ms). */
  readonly expiresAt: number;
  readonly model: string | null;
}

export interface AllowanceAnswered {
  readonly number: number;
  readonly granted: boolean;
  readonly code?: RefusalCode;
  readonly message?: string;
}

export interface MandateGranted {
  readonly agent: AgentId;
  readonly parent: AgentId | null;
  readonly depth: number;
  readonly role: string;
  readonly limits: Limits;
  readonly tools: readonly GrantedTool[];
  /** SHA-256 of the tool catalogue whose descriptions and schemas the model sees; null without tools. */
  readonly catalogHash: string | null;
  /** Bytes of system prompt and tool descriptions in every prompt of this agent. */
  readonly promptBaseBytes: number;
  readonly model: ModelTerms;
  readonly timing: Timing;
  /** The edition of the rules that this workflow is decided by, for ever. 1: one agent, no delegation, no landing. */
  readonly edition: 1 | 2;
  readonly tier: ModelTier;
  /** A child's task and its place; null for the root, whose task was submitted. */
  readonly errand: GrantedErrand | null;
  /** Keyed digest of the task's words. */
  readonly fingerprint: string;
  /** Put aside for the closing turn. */
  readonly closing: Figures;
  readonly delegation: DelegationTerms;
}

export interface GrantedErrand {
  readonly task: TextRef;
  readonly taskBytes: number;
  readonly after: readonly AgentId[];
  readonly slot: Slot;
}

/** How far a workflow may delegate. Configuration and clients only lower it. */
export interface DelegationTerms {
  readonly maxDepth: number;
  /** Children in the whole workflow. */
  readonly maxAgents: number;
  /** What agents at depth 2 may do to the world. */
  readonly deepest: 'read_only' | 'any';
}

/** At what terms model calls are reserved: recorded, so that a replay reserves the same. */
export interface ModelTerms {
  readonly model: string | null;
  readonly priceVersion: string;
  readonly worstPrice: WorstPrice;
  readonly maxOutputTokens: number;
}

/** Milliseconds that an attempt may take: waiting in the queue, then running. */
export interface Timing {
  readonly queueMs: number;
  readonly analyzeMs: number;
  readonly llmMs: number;
  readonly toolMs: number;
  /** Added to every attempt's deadline for the way there and back. */
  readonly graceMs: number;
}

export interface DecisionMade {
  readonly agent: AgentId;
  readonly pattern: PatternName;
  readonly chosenBy: 'client' | 'analysis' | 'default' | 'parent' | 'fallback';
  readonly reasons: readonly string[];
  /** All seven, best first, and why each was or was not chosen. Empty when nobody weighed them. */
  readonly weighed: readonly WeighedPattern[];
  /** What is tried next when this fails. */
  readonly alternatives: readonly PatternName[];
  readonly team: readonly Casting[];
  readonly tuning: Tuning;
}

export interface WeighedPattern {
  readonly pattern: PatternName;
  /** 0 to 1. */
  readonly score: number;
  readonly reasons: readonly string[];
  /** `not_possible`: the mandate does not allow it. */
  readonly verdict: 'chosen' | 'alternative' | 'lower' | 'not_possible';
}

export interface AttemptReserved {
  readonly attempt: AttemptId;
  readonly step: StepId;
  readonly agent: AgentId;
  readonly number: number;
  readonly owes: Step;
  readonly reservation: Figures;
  readonly expiresAt: number;
  readonly timeoutMs: number;
  readonly deadlineAt: number;
  readonly bus: string;
  /** SHA-256 of the command as it is composed from state; added at the edge, absent only in pure tests. */
  readonly commandHash?: string;
}

export interface AttemptSettled {
  readonly attempt: AttemptId;
  readonly step: StepId;
  readonly agent: AgentId;
  readonly outcome: Outcome;
  /** True when the step ended with it; false when it is tried again. */
  readonly final: boolean;
  /** What the reservation became. */
  readonly spent: Figures;
  readonly settledAt: 'actual' | 'worst_case' | 'nothing';
  readonly answer?: Answer;
  readonly failure?: StepFailure;
  /** Who did it and how long it took, for the record. */
  readonly worker?: string;
  readonly durationMs?: number;
}

export type TimerFired =
  | { readonly timer: 'attempt'; readonly attempt: AttemptId }
  | { readonly timer: 'retry'; readonly step: StepId; readonly attempt: number }
  | { readonly timer: 'workflow' }
  /** The deadline of a child. */
  | { readonly timer: 'agent'; readonly agent: AgentId };

export interface StepRefused {
  readonly agent: AgentId;
  readonly step: StepId;
  readonly code: RefusalCode;
  readonly message: string;
  /** The tool call it answers; null for a model call. */
  readonly call: { readonly version: number; readonly index: number } | null;
  /** The part of the work that the model call was for. */
  readonly part?: Part;
  /** The child that was not granted. */
  readonly slot?: Slot;
}

export interface TaskEnded {
  readonly spent: Figures;
  readonly steps: number;
}
