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
  IdempotencyConflict: 'Use a new request id (over HTTP: a new Idempotency-Key) for a different task.',
  MandateTooLarge: 'Ask for less than the ceiling, or have the operator raise it.',
  PatternUnknown: 'Use one of the patterns that the error names.',
  ModelUnknown: 'Use a model of GET /api/v1/models, or leave options.model out.',
  WorkflowUnknown: 'Check the workflow id; it may belong to another tenant.',
  WorkflowEnded: 'The workflow has already ended; read its result instead.',
  AttemptNotLive: 'Do not run this attempt; it was settled or never existed.',
} as const;
export type RefusalCode = keyof typeof REFUSALS;

export const refusal = (code: RefusalCode, message: string): Refusal => ({ code, message, next: REFUSALS[code] });
