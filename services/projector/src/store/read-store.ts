import type { Pool } from 'pg';
import type { AgentRow } from '../models/agents.ts';
import type { Changes, Known } from '../models/project-batch.ts';
import type { TaskRow } from '../models/task.ts';
import { MODELS } from './tables.ts';
import {
  AGENT_COLUMNS,
  columnArrays,
  insertRows,
  LLM_CALL_COLUMNS,
  PARKED_COLUMNS,
  TASK_COLUMNS,
  TIMELINE_COLUMNS,
  TOOL_CALL_COLUMNS,
} from './row-columns.ts';

/** How far a partition of the log was applied. */
export interface Checkpoint {
  readonly incarnation: string;
  /** The next position to apply. */
  readonly next: number;
}

const TASK_CHANGES = [
  'status',
  'pattern',
  'agents',
  'cost_micro_usd',
  'reserved_micro_usd',
  'tokens',
  'steps',
  'model_calls',
  'tool_calls',
  'version',
  'updated_at',
  'ended_at',
  'closed',
  'code',
  'message',
  'answer_at',
  'mandate',
  'open',
  'held_mandates',
  'edition',
  'resumable',
  'allowance',
  'erased_at',
] satisfies (keyof TaskRow)[];
const AGENT_CHANGES = [
  'handed_over',
  'pattern',
  'chosen_by',
  'tried',
  'fallbacks',
  'state',
  'code',
  'message',
  'granted_micro_usd',
  'granted_tokens',
  'granted_model_calls',
  'granted_tool_calls',
  'deadline_at',
  'own_micro_usd',
  'own_tokens',
  'own_model_calls',
  'own_tool_calls',
  'own_reserved_micro_usd',
  'steps',
  'children',
  'refused_steps',
  'refused_children',
  'warned',
  'answer_at',
  'ended_version',
  'ended_at',
] satisfies (keyof AgentRow)[];

const NOW_MS = 'floor(extract(epoch from clock_timestamp()) * 1000)::bigint';

/** Parameters 1 to 4 are the checkpoint's. */
const FIRST = 5;
const AGENTS_FIRST = FIRST + size(TASK_COLUMNS);
const TIMELINE_FIRST = AGENTS_FIRST + size(AGENT_COLUMNS);
const LLM_CALLS_FIRST = TIMELINE_FIRST + size(TIMELINE_COLUMNS);
const TOOL_CALLS_FIRST = LLM_CALLS_FIRST + size(LLM_CALL_COLUMNS);
const PARKED_FIRST = TOOL_CALLS_FIRST + size(TOOL_CALL_COLUMNS);

/**
 * One statement, so one transaction and one round trip: the checkpoint moves only if it stands where this writer left it,
 * and rows are written only if it moved. Whoever wrote in between wins; nothing is ever applied twice.
 */
const WRITE = `
  with moved as (
    update checkpoint set next_position = $4 where p = $1 and incarnation = $2 and next_position = $3 returning p
  ), tasks as (
    ${insertRows('tasks', TASK_COLUMNS, FIRST)} on conflict (workflow) do update set ${overwritten(TASK_CHANGES)}
  ), agents as (
    ${insertRows('agents', AGENT_COLUMNS, AGENTS_FIRST)} on conflict (workflow, agent) do update set ${overwritten(AGENT_CHANGES)}
  ), timeline as (
    ${insertRows('timeline', TIMELINE_COLUMNS, TIMELINE_FIRST)}
  ), llm_calls as (
    ${insertRows('llm_calls', LLM_CALL_COLUMNS, LLM_CALLS_FIRST)}
  ), tool_calls as (
    ${insertRows('tool_calls', TOOL_CALL_COLUMNS, TOOL_CALLS_FIRST)}
  ), parked as (
    ${insertRows('parked', PARKED_COLUMNS, PARKED_FIRST)} on conflict (workflow) do update set ${overwritten(['version', 'pos', 'type', 'reason'])},
      status = 'parked', attempts = parked.attempts + 1, last_at = ${NOW_MS}
  )
  select count(*)::int as moved from moved`;

/** Writes a batch and moves the checkpoint from `from` to `to`. False: another writer was there before. */
export async function writeChanges(pool: Pool, partition: number, from: Checkpoint, to: number, changes: Changes): Promise<boolean> {
  const values = [
    ...[partition, from.incarnation, from.next, to],
    ...columnArrays(
      TASK_COLUMNS,
      Array.from(changes.workflows.values(), ({ task }) => task),
    ),
    ...columnArrays(AGENT_COLUMNS, changes.agents),
    ...columnArrays(TIMELINE_COLUMNS, changes.timeline),
    ...columnArrays(LLM_CALL_COLUMNS, changes.llmCalls),
    ...columnArrays(TOOL_CALL_COLUMNS, changes.toolCalls),
    ...columnArrays(PARKED_COLUMNS, changes.parked),
  ];
  const { rows } = await pool.query<{ moved: number }>({ name: 'write-changes', text: WRITE, values });
  return rows[0]?.moved === 1;
}

function overwritten(columns: readonly string[]): string {
  return columns.map((column) => `${column} = excluded.${column}`).join(', ');
}

function size(columns: object): number {
  return Object.keys(columns).length;
}

/** The checkpoint of a partition; a partition that was never projected starts at 0. */
export async function readCheckpoint(pool: Pool, partition: number, incarnation: string): Promise<Checkpoint> {
  await pool.query('insert into checkpoint (p, incarnation, next_position, rebuild_to) values ($1, $2, 0, 0) on conflict do nothing', [
    partition,
    incarnation,
  ]);
  const { rows } = await pool.query<{ incarnation: string; next_position: number }>(
    'select incarnation, next_position from checkpoint where p = $1',
    [partition],
  );
  const row = rows[0];
  if (row === undefined) throw new Error(`The checkpoint of partition ${partition} was lost while it was read.`);
  return { incarnation: row.incarnation, next: row.next_position };
}

export async function readParked(pool: Pool, partition: number): Promise<Set<string>> {
  const { rows } = await pool.query<{ workflow: string }>("select workflow from parked where p = $1 and status <> 'retried'", [partition]);
  return new Set(rows.map((row) => row.workflow));
}

/** Parked streams of a partition that somebody wants projected again. */
export async function readRetries(pool: Pool, partition: number): Promise<readonly string[]> {
  const { rows } = await pool.query<{ workflow: string }>("select workflow from parked where p = $1 and status = 'retrying'", [partition]);
  return rows.map((row) => row.workflow);
}

/** The stream is projected as far as the partition is. */
export async function noteRetried(pool: Pool, workflow: string): Promise<void> {
  await pool.query("update parked set status = 'retried' where workflow = $1 and status = 'retrying'", [workflow]);
}

/** Somebody decides about a parked stream; nothing when it was retried or abandoned before. */
export async function decideParked(pool: Pool, workflow: string, to: 'retrying' | 'abandoned', by: string): Promise<void> {
  await pool.query(
    `update parked set status = $2, decided_by = $3, decided_at = ${NOW_MS} where workflow = $1 and status in ('parked', 'retrying')`,
    [workflow, to, by],
  );
}

/** What was projected of these workflows; those that are not there yet are left out. */
export async function readKnown(pool: Pool, workflows: readonly string[]): Promise<readonly Known[]> {
  const [tasks, agents] = await Promise.all([
    pool.query<TaskRow>({ name: 'read-tasks', text: 'select * from tasks where workflow = any($1)', values: [workflows] }),
    pool.query<AgentRow>({
      name: 'read-agents',
      text: 'select * from agents where workflow = any($1) order by workflow, granted_version',
      values: [workflows],
    }),
  ]);
  const byWorkflow = Map.groupBy(agents.rows, (agent) => agent.workflow);
  return tasks.rows.map((task) => ({
    task,
    agents: new Map((byWorkflow.get(task.workflow) ?? []).map((agent) => [agent.agent, agent])),
  }));
}

/** Forgets one partition's rows, to apply a log of `incarnation` that now ends at `head` from its start. */
export async function clearPartition(pool: Pool, partition: number, incarnation: string, head: number): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    await client.query('update checkpoint set incarnation = $2, next_position = 0, rebuild_to = $3 where p = $1', [
      partition,
      incarnation,
      head,
    ]);
    for (const model of MODELS) await client.query(`delete from ${model} where p = $1`, [partition]);
    await client.query('commit');
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw error;
  } finally {
    client.release();
  }
}
