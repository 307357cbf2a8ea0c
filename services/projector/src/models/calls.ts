import type { StoredEvent } from '@mandate/contracts';
import type { OpenAttempt, TaskRow } from './task.ts';

/** Rows of `llm_calls` and `tool_calls`: one per settled attempt, never changed. Property names are column names. */
interface CallRow {
  readonly workflow: string;
  /** Of the event that settled the attempt. */
  readonly version: number;
  readonly p: number;
  readonly tenant: string;
  readonly at: number;
  readonly attempt: string;
  readonly agent: string;
  readonly outcome: string;
  readonly duration_ms: number | null;
  /** Code of the failure. */
  readonly failure: string | null;
}

export interface LlmCall extends CallRow {
  readonly provider: string | null;
  readonly model: string | null;
  readonly price_version: string | null;
  readonly settled_at: string;
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly cost_micro_usd: number;
  readonly reserved_micro_usd: number;
}

export interface ToolCall extends CallRow {
  readonly tool: string;
  readonly effect: string;
  readonly is_error: boolean | null;
  readonly result_bytes: number | null;
  readonly truncated: boolean | null;
}

type Settled = Extract<StoredEvent, { type: 'attempt.settled' }>;

/** The model call that an event settled. `task` is the row before the event. */
export function llmCallOf(task: TaskRow, event: StoredEvent): LlmCall | undefined {
  const attempt = settledAttempt(task, event, 'llm');
  if (attempt === undefined || event.type !== 'attempt.settled') return undefined;
  const answer = event.data.answer?.kind === 'llm' ? event.data.answer : undefined;
  return {
    ...callRow(task, event),
    provider: answer?.provider ?? null,
    model: answer?.model ?? null,
    price_version: answer?.priceVersion ?? null,
    settled_at: event.data.settledAt,
    input_tokens: answer?.usage.inputTokens ?? 0,
    output_tokens: answer?.usage.outputTokens ?? 0,
    cost_micro_usd: event.data.spent.moneyMicroUsd,
    reserved_micro_usd: attempt.reservedMicroUsd,
  };
}

/** The tool call that an event settled. `task` is the row before the event. */
export function toolCallOf(task: TaskRow, event: StoredEvent): ToolCall | undefined {
  const attempt = settledAttempt(task, event, 'tool');
  if (attempt === undefined || event.type !== 'attempt.settled') return undefined;
  const answer = event.data.answer?.kind === 'tool' ? event.data.answer : undefined;
  return {
    ...callRow(task, event),
    tool: attempt.tool ?? '',
    effect: attempt.effect ?? '',
    is_error: answer?.isError ?? null,
    result_bytes: answer?.resultBytes ?? null,
    truncated: answer?.truncated ?? null,
  };
}

function settledAttempt(task: TaskRow, event: StoredEvent, kind: OpenAttempt['kind']): OpenAttempt | undefined {
  const attempt = event.type === 'attempt.settled' ? task.open[event.data.attempt] : undefined;
  return attempt?.kind === kind ? attempt : undefined;
}

const callRow = (task: TaskRow, event: Settled): CallRow => ({
  workflow: event.stream,
  version: event.version,
  p: task.p,
  tenant: event.tenant,
  at: event.at,
  attempt: event.data.attempt,
  agent: event.data.agent,
  outcome: event.data.outcome,
  duration_ms: event.data.durationMs ?? null,
  failure: event.data.failure?.code ?? null,
});
