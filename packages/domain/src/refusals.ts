/**
 * A typed no. Refusals are data: they go to the client, to the model as a tool result, and into the log.
 * Texts marked PRD are kept word for word (spec/sources.md, section 1).
 */
export interface Refusal {
  readonly code: RefusalCode;
  /** What happened, naming the thing and its figures. Never contains content. */
  readonly message: string;
  /** What helps. */
  readonly next: string;
}

export const REFUSALS = {
  CostBudgetExceeded: 'Raise options.maxCostMicroUsd or make the task smaller.',
  TokenBudgetExceeded: 'Raise options.maxTokens or make the task smaller.',
  ModelCallBudgetExceeded: 'Raise options.maxModelCalls or make the task smaller.',
  ToolCallBudgetExceeded: 'Raise options.maxToolCalls or ask for fewer tool calls.',
  ContextBudgetExceeded: 'Simplify the task or read less into the context.',
  DeadlineExceeded: 'Allow more time with options.deadlineMs or make the task smaller.',
  ToolNotAllowed: 'Use one of the tools in your list; a tenant administrator can grant more.',
  ToolArgumentsInvalid: 'Call the tool again with arguments that match its schema.',
  TooManyCallsInOneTurn: 'Ask for fewer tool calls in one turn.',
  DelegationDepthExceeded: 'Do this part yourself, with your own tools.',
  DelegationBudgetExceeded: 'Ask for a smaller share, or do this part yourself.',
  DelegationCycleDetected: 'Do the task yourself, or delegate a smaller part of it.',
  TooManyDelegations: 'Do the rest yourself, or put parts together.',
  RoleUnknown: 'Use one of the roles that the tool names.',
  TooManyConsults: 'Go on with what you know.',
  TooManyHandovers: 'Finish the task in your role.',
  PlanInvalid: 'Plan again: every step needs a known agent and a task, and may only depend on other steps, without a circle.',
  IdempotencyConflict: 'Use a new request id (over HTTP: a new Idempotency-Key) for a different task.',
  MandateTooLarge: 'Ask for less than the ceiling, or have the operator raise it.',
  PatternUnknown: 'Use one of the patterns that the error names.',
  ModelUnknown: 'Use a model of GET /api/v1/models, or leave options.model out.',
  QuotaExceeded: 'Wait until running tasks have settled, ask for less, or have the operator raise the budget of the account.',
  SpendingFrozen: 'Wait until the operator has lifted the freeze, then top the task up to go on.',
  BudgetsInvalid: 'Send the whole list of budgets: one per scope (tenant, key:<id>, model:<name>) and period, in whole micro-USD.',
  NotResumable: 'Submit the task again; only tasks that ran out of budget or time can be topped up.',
  WorkflowUnknown: 'Check the workflow id; it may belong to another tenant.',
  ContentErased: 'Submit the task again with a new request id (over HTTP: a new Idempotency-Key); what was erased does not come back.',
  WorkflowEnded: 'The workflow has already ended; read its result instead.',
  EffectNotAllowedInFork: 'Go on with what you know; whoever forks may name tools in allowEffects.',
  ForkTooDeep: 'Fork an earlier run of this line, or submit the task anew.',
  PastTooLong: 'Fork at an earlier version: the steps of a past are named in one event.',
  OriginErased: 'Submit the task again; what was erased cannot be reused.',
  VersionUnknown: 'Give a version that the run has: GET /api/v1/tasks/:id/events lists them.',
  AttemptNotLive: 'Do not run this attempt; it was settled or never existed.',
} as const;
export type RefusalCode = keyof typeof REFUSALS;

export const refusal = (code: RefusalCode, message: string): Refusal => ({ code, message, next: REFUSALS[code] });
