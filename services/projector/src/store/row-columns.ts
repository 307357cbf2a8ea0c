import type { AgentRow } from '../models/agents.ts';
import type { LlmCall, ToolCall } from '../models/calls.ts';
import type { ParkedStream } from '../models/project-batch.ts';
import type { TaskRow } from '../models/task.ts';
import type { TimelineRow } from '../models/timeline.ts';
import { binaryArray, type ColumnType } from './binary-arrays.ts';

/** Columns of a read model; their order is that of the parameters. */
export type Columns<Row> = Readonly<Record<keyof Row & string, ColumnType>>;

export const TASK_COLUMNS: Columns<TaskRow> = {
  workflow: 'text',
  p: 'int2',
  tenant: 'text',
  request: 'text',
  status: 'text',
  pattern: 'text',
  agents: 'int4',
  cost_micro_usd: 'int8',
  reserved_micro_usd: 'int8',
  tokens: 'int8',
  steps: 'int4',
  model_calls: 'int4',
  tool_calls: 'int4',
  version: 'int4',
  submitted_at: 'int8',
  updated_at: 'int8',
  ended_at: 'int8',
  closed: 'bool',
  code: 'text',
  message: 'text',
  answer_at: 'int4',
  mandate: 'json',
  open: 'json',
  held_mandates: 'int4',
  edition: 'int2',
  resumable: 'bool',
  allowance: 'json',
  erased_at: 'int8',
  forked_from: 'json',
};
export const AGENT_COLUMNS: Columns<AgentRow> = {
  workflow: 'text',
  agent: 'text',
  p: 'int2',
  tenant: 'text',
  parent: 'text',
  depth: 'int2',
  role: 'text',
  handed_over: 'json',
  tier: 'text',
  pattern: 'text',
  chosen_by: 'text',
  tried: 'json',
  fallbacks: 'int4',
  state: 'text',
  code: 'text',
  message: 'text',
  granted_micro_usd: 'int8',
  granted_tokens: 'int8',
  granted_model_calls: 'int4',
  granted_tool_calls: 'int4',
  max_children: 'int4',
  deadline_at: 'int8',
  tools: 'json',
  errand: 'json',
  own_micro_usd: 'int8',
  own_tokens: 'int8',
  own_model_calls: 'int4',
  own_tool_calls: 'int4',
  own_reserved_micro_usd: 'int8',
  steps: 'int4',
  children: 'int4',
  refused_steps: 'json',
  refused_children: 'json',
  warned: 'json',
  answer_at: 'int4',
  granted_version: 'int4',
  granted_at: 'int8',
  ended_version: 'int4',
  ended_at: 'int8',
};
export const TIMELINE_COLUMNS: Columns<TimelineRow> = {
  workflow: 'text',
  version: 'int4',
  p: 'int2',
  tenant: 'text',
  at: 'int8',
  id: 'text',
  type: 'text',
  actor: 'text',
  causation: 'text',
  correlation: 'text',
  has_content: 'bool',
  data: 'json',
};
const CALL_COLUMNS = {
  workflow: 'text',
  version: 'int4',
  p: 'int2',
  tenant: 'text',
  at: 'int8',
  attempt: 'text',
  agent: 'text',
  outcome: 'text',
  duration_ms: 'int8',
  failure: 'text',
} as const;
export const LLM_CALL_COLUMNS: Columns<LlmCall> = {
  ...CALL_COLUMNS,
  provider: 'text',
  model: 'text',
  price_version: 'text',
  settled_at: 'text',
  input_tokens: 'int8',
  output_tokens: 'int8',
  cost_micro_usd: 'int8',
  reserved_micro_usd: 'int8',
};
export const TOOL_CALL_COLUMNS: Columns<ToolCall> = {
  ...CALL_COLUMNS,
  tool: 'text',
  effect: 'text',
  is_error: 'bool',
  result_bytes: 'int8',
  truncated: 'bool',
};
export const PARKED_COLUMNS: Columns<ParkedStream> = {
  workflow: 'text',
  p: 'int2',
  tenant: 'text',
  version: 'int4',
  pos: 'int8',
  type: 'text',
  reason: 'text',
  at: 'int8',
};

/** `insert into … select …` of rows that come as one array per column, from parameter `first` on, guarded by `moved`. */
export function insertRows(table: string, columns: Readonly<Record<string, ColumnType>>, first: number): string {
  const names = Object.keys(columns).join(', ');
  const arrays = Object.values(columns).map((type, index) => `$${first + index}::${type}[]`);
  return `insert into ${table} (${names}) select r.* from moved, unnest(${arrays.join(', ')}) r`;
}

/** The parameters of `insertRows`. */
export const columnArrays = <Row>(columns: Columns<Row>, rows: readonly Row[]): Buffer[] =>
  Object.entries<ColumnType>(columns).map(([name, type]) =>
    binaryArray(
      type,
      rows.map((row) => row[name as keyof Row]),
    ),
  );
