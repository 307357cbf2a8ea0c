export { type Decision, nothing, unreachable } from './decider.ts';
export {
  type AgentId,
  attemptId,
  type AttemptId,
  isRequestId,
  isTenantId,
  isToken,
  isWorkflowId,
  partitionOf,
  partitionOfRequest,
  PARTITIONS,
  type RequestId,
  ROOT_AGENT,
  stepId,
  type StepId,
  type TenantId,
  workflowIdOf,
  type WorkflowId,
} from './ids.ts';
export {
  available,
  costMicroUsd,
  DEFAULT_ROOT,
  type Figures,
  grant,
  likelyTokens,
  type Limits,
  type Mandate,
  MAX_CHILDREN,
  MAX_CONTEXT_TOKENS,
  MAX_DEPTH,
  minus,
  mostTokens,
  NONE,
  plus,
  reserve,
  ROOT_CEILING,
  settle,
  shortfall,
  type WorstPrice,
} from './mandate/mandate.ts';
export { type Call, direct, type DirectState, type Turn } from './patterns/direct.ts';
export type { Brief, OwedStep, Pattern, PatternOutcome, StepEvent } from './patterns/pattern.ts';
export { refusal, type Refusal, type RefusalCode, REFUSALS } from './refusals.ts';
export { backoffMs, RETRY, type RetryPolicy } from './retry.ts';
export { decide, MAX_CALLS_PER_TURN, PATTERNS_BUILT } from './workflow/decide.ts';
export {
  type AttemptReserved,
  type AttemptSettled,
  type DecisionMade,
  type EventData,
  type MandateGranted,
  type ModelTerms,
  PATTERN_NAMES,
  type PatternName,
  type StepRefused,
  type TaskEnded,
  type TaskOptions,
  type TaskSubmitted,
  type TimerFired,
  type Timing,
  type WorkflowEvent,
  type WorkflowEventType,
} from './workflow/events.ts';
export type { Circumstances, Environment, WorkflowInput } from './workflow/inputs.ts';
export { type RecordedDecision, replay, type Replay } from './workflow/replay.ts';
export { type DueTimer, pending, type Pending } from './workflow/pending.ts';
export type {
  AnalysisFacts,
  Answer,
  CallFacts,
  CallRef,
  Effect,
  GrantedTool,
  OpenAttempt,
  Outcome,
  Step,
  StepFailure,
  StepKind,
  Usage,
} from './workflow/steps.ts';
export { ABSENT, type Agent, evolve, isOpen, type OpenStep, type Phase, rootOf, type Workflow } from './workflow/workflow.ts';
