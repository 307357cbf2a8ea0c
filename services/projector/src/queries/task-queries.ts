import type { TaskDetail, TaskSummary } from '@mandate/contracts';
import type { ContentReader } from '@mandate/event-store';
import type { Pool } from 'pg';
import type { TaskRow } from '../models/task.ts';
import type { QueryHandlers } from './answer-queries.ts';
import { beginning, textIn } from './content.ts';
import { decodeCursor, toPage } from './cursor.ts';
import { projectedTask } from './projected-task.ts';

const EXCERPT_CHARACTERS = 200;

export const taskQueries = (pool: Pool, contents: ContentReader): Pick<QueryHandlers, 'tasks.list' | 'tasks.get'> => ({
  'tasks.list': async ({ tenant, status, limit, cursor }) => {
    const after = cursor === undefined ? undefined : decodeCursor(cursor);
    const { rows } = await pool.query<TaskRow>(
      `select * from read.tasks where tenant = $1 and ($2::text is null or status = $2)
         and ($3::bigint is null or (submitted_at, workflow) < ($3, $4)) order by submitted_at desc, workflow desc limit $5`,
      [tenant, status ?? null, after?.at ?? null, after?.workflow ?? null, limit + 1],
    );
    const texts = await contents.read(rows.map((row) => ({ stream: row.workflow, version: 1 })));
    return toPage(
      rows,
      limit,
      (row) => ({ at: row.submitted_at, workflow: row.workflow, version: row.version }),
      (row) => summary(row, textIn(texts, row.workflow, 1, 'task')),
    );
  },

  'tasks.get': async ({ tenant, workflow, minVersion }): Promise<TaskDetail> => {
    const task = await projectedTask(pool, tenant, workflow, minVersion);
    const versions = [1, ...(task.answer_at === null ? [] : [task.answer_at])];
    const texts = await contents.read(versions.map((version) => ({ stream: workflow, version })));
    const text = textIn(texts, workflow, 1, 'task');
    return {
      ...summary(task, text),
      taskText: text,
      answer: textIn(texts, workflow, task.answer_at, 'text'),
      mandate: task.mandate === null ? null : { ...task.mandate, tools: [...task.mandate.tools] },
      resumable: task.resumable,
    };
  },
});

const summary = (row: TaskRow, text: string | null): TaskSummary => ({
  workflow: row.workflow,
  request: row.request,
  status: row.status,
  task: text === null ? null : beginning(text, EXCERPT_CHARACTERS),
  pattern: row.pattern,
  agents: row.agents,
  costMicroUsd: row.cost_micro_usd,
  reservedMicroUsd: row.reserved_micro_usd,
  tokens: row.tokens,
  steps: row.steps,
  modelCalls: row.model_calls,
  toolCalls: row.tool_calls,
  version: row.version,
  submittedAt: row.submitted_at,
  updatedAt: row.updated_at,
  endedAt: row.ended_at,
  code: row.code,
  message: row.message,
});
