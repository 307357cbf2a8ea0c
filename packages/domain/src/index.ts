export { type Change, changes } from './changes.ts';
export { type Decision, nothing, unreachable } from './decider.ts';
export { type Divergence } from './divergence.ts';
export {
  type Account,
  evolveAccount,
  hasLimits,
  isActive,
  type Lease,
  NO_ACCOUNT,
  startingBefore,
} from './account/account.ts';
export { alertedAt } from './account/alerts.ts';
export { type Budget, dayOf, usedOf } from './account/budgets.ts';
export {
  type AccountInput,
  decideAccount,
  type LeaseStanding,
  standingOf,
} from './account/decide.ts';
export type {
  AccountEvent,
  AccountEventData,
  AccountEventType,
  LeaseAsk,
  LeaseUsage,
  Settlement,
} from './account/events.ts';
export { dueOf, nextDue } from './account/pending.ts';
export { type DecideAccount, type RecordedAccountDecision, redecideAccount, replayAccount } from './account/replay.ts';
export { askedInText, MAX_ASK_LENGTH, MAX_ASKS, MAX_QUESTION_LENGTH, type TextAsk } from './agents/asked-in-text.ts';
export { fingerprintWords } from './agents/fingerprint-words.ts';
export { castRole, type CastRole, isFreeName, type NamedAgent } from './agents/named-agents.ts';
export {
  currentRoles,
  DEFAULT_ROLE,
  findRole,
  readRoleName,
  type Role,
  ROLE_CATALOGUE,
  type RoleCatalogue,
  roleId,
  roleText,
  type Stage,
  STAGES,
} from './agents/roles.ts';
export {
  assembleTeam,
  MAX_TEAM,
  type Team,
  TEAM_WEIGHTS,
  type TeamMember,
  type TeamNeed,
  type ToolOnOffer,
  toolScope,
} from './agents/team.ts';
export { CAPABILITIES, type Capability, TASK_TYPES, type TaskType } from './agents/vocabulary.ts';
export {
  type AccountId,
  accountIdOf,
  type AgentId,
  attemptId,
  type AttemptId,
  isAccountId,
  isRequestId,
  isTenantId,
  isToken,
  isWorkflowId,
  partitionOf,
  partitionOfRequest,
  PARTITIONS,
  PLATFORM,
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
  MAX_AGENTS,
  MAX_CHILDREN,
  CLOSING,
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
export { type Call, type CallAnswer, type Dialogue, MAX_CONSULTS, type Remark, type Turn } from './patterns/dialogue.ts';
export { MAX_PLAN_STEPS, MAX_ROUNDS } from './patterns/orchestrator-workers.ts';
export {
  type Brief,
  type OwedStep,
  type Pattern,
  type PatternOutcome,
  type Rating,
  RATINGS,
  type StepEvent,
  type Tuning,
} from './patterns/pattern.ts';
export { promptOfWork, type Work } from './patterns/patterns.ts';
export { type Line, type Note, NOTE_BYTES, type Prompt, SUMMARY_BYTES, type Words } from './patterns/prompt.ts';
export { refusal, type Refusal, type RefusalCode, REFUSALS } from './refusals.ts';
export { backoffMs, RETRY, type RetryPolicy } from './retry.ts';
export { MAX_CALLS_PER_TURN } from './workflow/advance.ts';
export { type DueReuse, forkChanges, isReusing, MAX_HOPS, reusableSteps } from './workflow/fork.ts';
export { decide, RESUMABLE, submittedBefore } from './workflow/decide.ts';
export {
  type Allowance,
  type AllowanceAnswered,
  type DelegationTerms,
  type GrantedErrand,
  type MandateToppedUp,
  type MandateWarned,
  type WeighedPattern,
  type AttemptReserved,
  type AttemptSettled,
  type DecisionMade,
  type EventData,
  type MandateGranted,
  type ModelTerms,
  type StepRefused,
  type TaskEnded,
  type AttemptReused,
  type ForkChange,
  type ReusableStep,
  type TaskForked,
  type TaskOptions,
  type TaskSubmitted,
  type TimerFired,
  type Timing,
  type WorkflowEvent,
  type WorkflowEventType,
} from './workflow/events.ts';
export {
  type AgentEnd,
  type Ask,
  type Casting,
  type Errand,
  type ModelTier,
  OWN_TOOLS,
  type OwnTool,
  type Part,
  PATTERN_NAMES,
  type PatternName,
  type PlannedStep,
  type Slot,
  type TextRef,
} from './workflow/steps.ts';
export type { Circumstances, Environment, WorkflowInput } from './workflow/inputs.ts';
export { type Decide, type RecordedDecision, redecide, type Redecision, replay, type Replay } from './workflow/replay.ts';
export { type AgentState, type ForkState, type MandateState, stateOf, type WorkflowState } from './workflow/state-view.ts';
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
  PatternFit,
  Step,
  StepFailure,
  StepKind,
  Usage,
} from './workflow/steps.ts';
export {
  ABSENT,
  type Agent,
  evolve,
  type Forked,
  isOpen,
  isUnfinished,
  isWithin,
  type OpenStep,
  type Phase,
  rootOf,
  type Workflow,
} from './workflow/workflow.ts';
