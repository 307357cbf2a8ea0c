import type { LlmCallRow, ToolCallRow } from '@mandate/contracts';
import type { LlmCall, ToolCall } from '../models/calls.ts';
import type { Ask, QueryHandlers } from './answer-queries.ts';
import { decodeCursor, toPage } from './cursor.ts';
import type { TenantRows } from '../store/read-models.ts';

/** Calls of one workflow come in the order in which they ended, calls of a whole tenant newest first. */
export const callQueries: Pick<QueryHandlers, 'llm-calls.list' | 'tool-calls.list'> = {
  'llm-calls.list': async (ask, own) => toPage(await readCalls<LlmCall>(own, 'llm_calls', ask), ask.limit, cursorOf, llmCallRowOf),
  'tool-calls.list': async (ask, own) => toPage(await readCalls<ToolCall>(own, 'tool_calls', ask), ask.limit, cursorOf, toolCallRowOf),
};

async function readCalls<Row extends LlmCall | ToolCall>(
  own: TenantRows,
  table: 'llm_calls' | 'tool_calls',
  ask: Ask<'llm-calls.list'>,
): Promise<readonly Row[]> {
  const after = ask.cursor === undefined ? undefined : decodeCursor(ask.cursor);
  if (ask.workflow !== undefined) {
    const { rows } = await own.query<Row>(
      `select * from ${table} where workflow = $1 and tenant = $2 and version > $3 order by version limit $4`,
      [ask.workflow, ask.tenant, after?.version ?? 0, ask.limit + 1],
    );
    return rows;
  }
  const { rows } = await own.query<Row>(
    `select * from ${table} where tenant = $1 and ($2::bigint is null or (at, workflow, version) < ($2, $3, $4)) order by at desc, workflow desc, version desc limit $5`,
    [ask.tenant, after?.at ?? null, after?.workflow ?? null, after?.version ?? null, ask.limit + 1],
  );
  return rows;
}

const cursorOf = (row: LlmCall | ToolCall) => ({ at: row.at, workflow: row.workflow, version: row.version });

const llmCallRowOf = (row: LlmCall): LlmCallRow => ({
  workflow: row.workflow,
  attempt: row.attempt,
  agent: row.agent,
  provider: row.provider,
  model: row.model,
  priceVersion: row.price_version,
  outcome: row.outcome,
  settledAt: row.settled_at,
  inputTokens: row.input_tokens,
  outputTokens: row.output_tokens,
  costMicroUsd: row.cost_micro_usd,
  reservedMicroUsd: row.reserved_micro_usd,
  durationMs: row.duration_ms,
  at: row.at,
  failure: row.failure,
});

const toolCallRowOf = (row: ToolCall): ToolCallRow => ({
  workflow: row.workflow,
  attempt: row.attempt,
  agent: row.agent,
  tool: row.tool,
  effect: row.effect,
  outcome: row.outcome,
  isError: row.is_error,
  resultBytes: row.result_bytes,
  truncated: row.truncated,
  durationMs: row.duration_ms,
  at: row.at,
  failure: row.failure,
});
