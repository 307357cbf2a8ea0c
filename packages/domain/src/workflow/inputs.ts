import type { AgentId, AttemptId, RequestId, StepId } from '../ids.ts';
import type { Figures } from '../mandate/mandate.ts';
import type { RefusalCode } from '../refusals.ts';
import type { Answer, Casting, GrantedTool, ModelTier, Outcome, StepFailure } from './steps.ts';
import type { DelegationTerms, ModelTerms, TaskForked, TaskOptions, Timing } from './events.ts';

/** What a workflow is told: a client's command, a worker's result, a timer, news of the bus. Facts only. */
export type WorkflowInput =
  | {
      readonly kind: 'submit';
      readonly request: RequestId;
      readonly source: 'gateway' | 'bus';
      readonly bodyHash: string;
      readonly taskBytes: number;
      readonly options: TaskOptions;
      readonly environment: Environment;
    }
  /** The past of another run, with something changed. */
  | ({ readonly kind: 'fork'; readonly environment: Environment } & TaskForked)
  | {
      readonly kind: 'reuse';
      readonly attempt: AttemptId;
      readonly from: { readonly version: number; readonly hash: string };
      readonly outcome: Outcome;
      readonly answer?: Answer;
      readonly failure?: StepFailure;
      /** As with a result. */
      readonly team?: readonly Casting[];
    }
  /** The rest of the origin's past cannot be had any more. */
  | { readonly kind: 'end_reuse'; readonly why: 'origin_erased' }
  | { readonly kind: 'cancel'; readonly request: RequestId; readonly agent?: AgentId }
  | {
      readonly kind: 'top_up';
      readonly request: RequestId;
      readonly added: Figures;
      readonly deadlineMs?: number;
      /** The tenant's account has limits, also when it had none when the task began. */
      readonly lease?: boolean;
    }
  | {
      readonly kind: 'allowance';
      readonly number: number;
      readonly granted: boolean;
      readonly code?: RefusalCode;
      readonly message?: string;
    }
  | { readonly kind: 'start'; readonly attempt: AttemptId; readonly runner: string }
  | {
      readonly kind: 'result';
      readonly attempt: AttemptId;
      readonly outcome: Outcome;
      readonly answer?: Answer;
      readonly failure?: StepFailure;
      readonly worker?: string;
      readonly durationMs?: number;
      /** With an analysis: who could do the work. Cast at the edge from the role catalogue, on the record in `decision.made`. */
      readonly team?: readonly Casting[];
    }
  | { readonly kind: 'erase'; readonly request: RequestId; readonly of: 'workflow' | 'data_subject' }
  /** The keys that an erasure asked for were destroyed: so many there were. */
  | { readonly kind: 'erased'; readonly keys: number }
  | { readonly kind: 'agent_timer'; readonly agent: AgentId }
  | { readonly kind: 'attempt_timer'; readonly attempt: AttemptId }
  | { readonly kind: 'retry_timer'; readonly step: StepId; readonly attempt: number }
  | { readonly kind: 'workflow_timer' }
  | { readonly kind: 'bus_reset'; readonly incarnation: string };

/** What the world offered when the task arrived. Recorded in `mandate.granted`, so that a replay sees the same world. */
export interface Environment {
  readonly tools: readonly GrantedTool[];
  readonly catalogHash: string | null;
  readonly promptBaseBytes: number;
  readonly role: string;
  /** Null when `options.model` names a model that is not in the catalogue. */
  readonly model: ModelTerms | null;
  readonly timing: Timing;
  readonly edition: 1 | 2;
  readonly tier: ModelTier;
  /** Keyed digest of the task's words. */
  readonly fingerprint: string;
  readonly delegation: DelegationTerms;
  /** For a pattern that the client chose: who could do the work. */
  readonly team: readonly Casting[];
  /** The tenant's account must lease what the root mandate grants. */
  readonly lease: boolean;
}

/** Given with every input. `now` and `bus` are recorded in the events that depend on them. */
export interface Circumstances {
  readonly now: number;
  /** Incarnation of the bus whose claim store guards new attempts. */
  readonly bus: string;
  /** Nothing new may be spent: the operator froze the tenant, or everybody. */
  readonly frozen?: boolean;
}
