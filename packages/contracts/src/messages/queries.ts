import { z } from 'zod';
import { content, count, epochMs, fact, microUsd, shortText, tenantId, token, word, workflowId } from '../fields.ts';
import { LIMITS } from '../limits.ts';

/**
 * Questions to the projector on `q.projector.<name>`: JSON in, `{ ok: true, value }` or `{ ok: false, problem }` out.
 * The tenant comes from the gateway, which knows it from the credential.
 */
const page = { limit: z.number().int().min(1).max(LIMITS.pageRows).default(50), cursor: fact(z.string().max(200)).optional() };
const paged = <T extends z.ZodType>(item: T) => z.object({ items: z.array(item), cursor: fact(z.string()).nullable() });

export const taskStatus = fact(z.enum(['running', 'ending', 'completed', 'failed', 'cancelled', 'rejected']));

export const taskSummary = z.object({
  workflow: workflowId,
  request: token,
  status: taskStatus,
  /** First 200 characters of the task; null after erasure. */
  task: content(z.string()).nullable(),
  pattern: word.nullable(),
  costMicroUsd: microUsd,
  reservedMicroUsd: microUsd,
  tokens: count,
  steps: count,
  modelCalls: count,
  toolCalls: count,
  version: count,
  submittedAt: epochMs,
  updatedAt: epochMs,
  endedAt: epochMs.nullable(),
  code: word.nullable(),
  message: shortText.nullable(),
});
export type TaskSummary = z.infer<typeof taskSummary>;

export const taskDetail = taskSummary.extend({
  /** The whole text. */
  taskText: content(z.string()).nullable(),
  answer: content(z.string()).nullable(),
  mandate: z
    .object({
      moneyMicroUsd: microUsd,
      tokens: count,
      modelCalls: count,
      toolCalls: count,
      contextTokens: count,
      deadlineAt: epochMs,
      tools: z.array(word),
    })
    .nullable(),
});
export type TaskDetail = z.infer<typeof taskDetail>;

export const timelineEvent = z.object({
  id: fact(z.string()),
  type: word,
  version: count,
  at: epochMs,
  actor: word,
  causation: fact(z.string()),
  correlation: fact(z.string()),
  data: z.unknown(),
  /** Only when asked for; null when there is none or it was erased. */
  content: content(z.unknown()).optional(),
});
export type TimelineEvent = z.infer<typeof timelineEvent>;

export const llmCallRow = z.object({
  workflow: workflowId,
  attempt: token,
  agent: token,
  provider: word.nullable(),
  model: word.nullable(),
  priceVersion: word.nullable(),
  outcome: word,
  settledAt: word,
  inputTokens: count,
  outputTokens: count,
  costMicroUsd: microUsd,
  reservedMicroUsd: microUsd,
  durationMs: count.nullable(),
  at: epochMs,
  failure: word.nullable(),
});
export type LlmCallRow = z.infer<typeof llmCallRow>;

export const toolCallRow = z.object({
  workflow: workflowId,
  attempt: token,
  agent: token,
  tool: word,
  effect: word,
  outcome: word,
  isError: z.boolean().nullable(),
  resultBytes: count.nullable(),
  truncated: z.boolean().nullable(),
  durationMs: count.nullable(),
  at: epochMs,
  failure: word.nullable(),
});
export type ToolCallRow = z.infer<typeof toolCallRow>;

export const QUERIES = {
  'tasks.list': { ask: z.object({ tenant: tenantId, status: taskStatus.optional(), ...page }), answer: paged(taskSummary) },
  /** `minVersion`: wait up to 2 s until the projection has seen that version of the workflow (read your own writes). */
  'tasks.get': { ask: z.object({ tenant: tenantId, workflow: workflowId, minVersion: count.optional() }), answer: taskDetail },
  /** Events after version `after`, oldest first. `minVersion` as above. `ended`: the workflow will have no more. */
  'events.list': {
    ask: z.object({
      tenant: tenantId,
      workflow: workflowId,
      after: count.default(0),
      limit: z.number().int().min(1).max(LIMITS.pageRows).default(100),
      include: fact(z.enum(['facts', 'content'])).default('facts'),
      minVersion: count.optional(),
    }),
    answer: z.object({ items: z.array(timelineEvent), version: count, ended: z.boolean() }),
  },
  'llm-calls.list': { ask: z.object({ tenant: tenantId, workflow: workflowId.optional(), ...page }), answer: paged(llmCallRow) },
  'tool-calls.list': { ask: z.object({ tenant: tenantId, workflow: workflowId.optional(), ...page }), answer: paged(toolCallRow) },
  /** How far the read models are behind the log, per partition. */
  'projection.status': {
    ask: z.object({}),
    answer: z.object({
      partitions: z.array(z.object({ partition: count, position: z.number().int(), head: z.number().int() })),
      rebuilding: z.boolean(),
    }),
  },
} as const;
export type QueryName = keyof typeof QUERIES;
export type QueryAsk<N extends QueryName> = z.input<(typeof QUERIES)[N]['ask']>;
export type QueryAnswer<N extends QueryName> = z.infer<(typeof QUERIES)[N]['answer']>;
export type QueryReply<N extends QueryName> =
  | { readonly ok: true; readonly value: QueryAnswer<N> }
  | { readonly ok: false; readonly problem: { readonly code: string; readonly message: string; readonly next: string } };
