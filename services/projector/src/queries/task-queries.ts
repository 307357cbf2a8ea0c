import type { TaskDetail, TaskSummary } from '@mandate/contracts';
import type { ContentReader } from '@mandate/event-store';
import type { TaskRow } from '../models/task.ts';
import type { QueryHandlers } from './answer-queries.ts';
import { beginning, isThere, textIn } from './content.ts';
import { decodeCursor, toPage } from './cursor.ts';
import { projectedTask } from './projected-task.ts';
import { QueryProblem } from './query-problem.ts';

const EXCERPT_CHARACTERS = 200;

export const taskQueries = (contents: ContentReader): Pick<QueryHandlers, 'tasks.list' | 'tasks.get' | 'receipt.wait'> => ({
  'tasks.list': async ({ tenant, status, limit, cursor }, own) => {
    const after = cursor === undefined ? undefined : decodeCursor(cursor);
    const { rows } = await own.query<TaskRow>(
      `select * from tasks where tenant = $1 and ($2::text is null or status = $2)
         and ($3::bigint is null or (submitted_at, workflow) < ($3, $4)) order by submitted_at desc, workflow desc limit $5`,
      [tenant, status ?? null, after?.at ?? null, after?.workflow ?? null, limit + 1],
    );
    const texts = await contents.read(rows.filter(isThere).map((row) => ({ stream: row.workflow, version: 1 })));
    return toPage(
      rows,
      limit,
      (row) => ({ at: row.submitted_at, workflow: row.workflow, version: row.version }),
      (row) => summary(row, textIn(texts, row.workflow, 1, 'task')),
    );
  },

  'receipt.wait': async ({ tenant, workflow, version }, own) => {
    const task = await projectedTask(own, tenant, workflow, version).catch((error: unknown) => {
      if (error instanceof QueryProblem) return undefined;
      throw error;
    });
    if (task !== undefined && task.version >= version) return { version: task.version };
    throw new QueryProblem(
      'ReadBehind',
      'The read models have not seen yet what the receipt is of.',
      'Try again in a second; see mandate_projection_lag_events.',
    );
  },

  'tasks.get': async ({ tenant, workflow, minVersion }, own): Promise<TaskDetail> => {
    const task = await projectedTask(own, tenant, workflow, minVersion);
    const versions = [1, ...(task.answer_at === null ? [] : [task.answer_at])];
    const texts = await contents.read((isThere(task) ? versions : []).map((version) => ({ stream: workflow, version })));
    const text = textIn(texts, workflow, 1, 'task');
    return {
      ...summary(task, text),
      taskText: text,
      answer: textIn(texts, workflow, task.answer_at, 'text'),
      mandate: task.mandate === null ? null : { ...task.mandate, tools: [...task.mandate.tools] },
      resumable: task.resumable,
      forkedFrom: task.forked_from,
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
  erasedAt: row.erased_at,
});
