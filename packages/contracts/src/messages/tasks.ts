import { PATTERN_NAMES, RATINGS } from '@mandate/domain';
import { z } from 'zod';
import { content, count, epochMs, fact, microUsd, shortText, token, word, workflowId } from '../fields.ts';
import { LIMITS } from '../limits.ts';

const utf8Bytes = (text: string): number => new TextEncoder().encode(text).length;

/** How a pattern is run (docs/patterns.md). */
export const taskTuning = z.strictObject({
  mode: fact(z.enum(['sections', 'votes'])).optional(),
  votes: z.number().int().min(2).max(10).optional(),
  policy: fact(z.enum(['all', 'quorum', 'best_effort'])).optional(),
  quorum: z.number().int().min(1).max(10).optional(),
  planning: fact(z.enum(['full', 'iterative'])).optional(),
  minimumRating: fact(z.enum(RATINGS)).optional(),
  refinements: z.number().int().min(0).max(10).optional(),
  roles: z
    .array(fact(z.string().regex(/^[a-z][a-z0-9_-]{0,40}(@\d+)?$/, 'must be a role name')))
    .max(10)
    .optional(),
});

/** What a client may ask for. Strict: a misspelt option is an error, not a silent default. */
export const taskOptions = z.strictObject({
  pattern: fact(z.enum(PATTERN_NAMES)).optional(),
  model: fact(z.string().regex(/^[A-Za-z0-9._:/@-]{1,120}$/, 'must be a model name')).optional(),
  maxCostMicroUsd: microUsd.optional(),
  maxTokens: count.optional(),
  maxModelCalls: count.optional(),
  maxToolCalls: count.optional(),
  deadlineMs: z.number().int().min(1_000).optional(),
  tools: z
    .array(fact(z.string().regex(/^[A-Za-z0-9_.-]{1,128}$/, 'must be a tool name')))
    .max(500)
    .optional(),
  maxDepth: z.number().int().min(0).optional(),
  maxAgents: count.optional(),
  tuning: taskTuning.optional(),
});

/** The text of a task: not blank, at most 128 KiB of UTF-8. NUL is refused: no tool or model gives it a meaning. */
export const taskText = content(
  z
    .string()
    .refine((text) => text.trim().length > 0, 'must not be blank')
    .refine((text) => utf8Bytes(text) <= LIMITS.taskBytes, `must be at most ${LIMITS.taskBytes} bytes of UTF-8`)
    .refine((text) => !text.includes('\u0000'), 'must not contain the NUL character (\\u0000)')
    .refine((text) => text.isWellFormed(), 'must be well-formed Unicode (no lone surrogates)'),
);

/** Whom a task is about: an id of the tenant's own. Never on the record: kept as a keyed digest, and erased with the content. */
export const dataSubject = content(
  z
    .string()
    .min(1)
    .max(200)
    .refine((text) => text.isWellFormed(), 'must be well-formed Unicode'),
);

/** What a client may ask for, and what is not for the record. */
const submitOptions = taskOptions.extend({ dataSubject: dataSubject.optional() });

/** `mandate.task.submit.v1`: what another service publishes to `task.<tenant>.<request>`. */
export const taskSubmit = z.strictObject({ task: taskText, options: submitOptions.optional() });
export type TaskSubmit = z.infer<typeof taskSubmit>;

/** `mandate.task.cancel.v1` */
export const taskCancel = z.strictObject({
  workflow: workflowId,
  /** Only this child and whoever works for it. */ agent: token.optional(),
  reason: content(z.string().max(1_000)).optional(),
});
export type TaskCancel = z.infer<typeof taskCancel>;

/** `mandate.task.top_up.v1`: more for a task that runs, or that ran out of something; it goes on exactly where it stopped. */
export const taskTopUp = z.strictObject({
  workflow: workflowId,
  moneyMicroUsd: microUsd.optional(),
  tokens: count.optional(),
  modelCalls: count.optional(),
  toolCalls: count.optional(),
  /** More time, from now or from the old deadline, whichever is later. */
  deadlineMs: z.number().int().positive().optional(),
});

/**
 * `mandate.task.fork.v1`: another run that begins with the past of one that is there. What the options do not name is as in
 * the origin, but the money that it may spend is always named.
 */
export const taskFork = z.strictObject({
  origin: workflowId,
  /** Its events up to this one are the past. */
  version: z.number().int().positive(),
  /** Another task has another past: nothing of the origin is reused. */
  task: taskText.optional(),
  options: taskOptions.extend({ maxCostMicroUsd: microUsd }),
  /** Tools that may change the world although this is a fork. */
  allowEffects: z
    .array(fact(z.string().regex(/^[A-Za-z0-9_.-]{1,128}$/, 'must be a tool name')))
    .max(100)
    .optional(),
});
export type TaskFork = z.infer<typeof taskFork>;

/** `mandate.task.erase.v1`: nobody is to read the content of this workflow any more; it ends if it runs. */
export const taskErase = z.strictObject({
  workflow: workflowId,
  /** Between orchestrators: it was not this workflow that was named, and who asked. From anybody else it is not listened to. */
  forSubject: z.strictObject({ askedBy: word }).optional(),
});
export type TaskErase = z.infer<typeof taskErase>;

/** `mandate.data_subject.erase.v1`: the same for every workflow that names this person. */
export const subjectErase = z.strictObject({ dataSubject });
export type SubjectErase = z.infer<typeof subjectErase>;

/** `mandate.data_subject.receipt.v1`, on `out.<tenant>.<request>`: these workflows are being erased; each says so in its own log. */
export const subjectReceipt = z.object({
  request: token,
  /** The first thousand. */
  workflows: z.array(workflowId).max(1_000),
  total: count,
});
export type SubjectReceipt = z.infer<typeof subjectReceipt>;

/** `mandate.keys.destroyed.v1`, on `ctl.keys`. */
export const keysDestroyed = z.object({ keys: z.array(fact(z.string())) });

/** `mandate.task.receipt.v1`, on `out.<tenant>.<request>`: the request is on the record, or refused with a reason. */
export const taskReceipt = z.discriminatedUnion('accepted', [
  z.object({
    request: token,
    accepted: z.literal(true),
    workflow: workflowId,
    duplicate: z.boolean(),
    /** The workflow's log holds at least so many events now; whoever reads up to there sees what was accepted. */
    version: count.optional(),
  }),
  z.object({
    request: token,
    accepted: z.literal(false),
    workflow: workflowId.optional(),
    code: word,
    message: shortText,
    next: shortText,
  }),
]);
export type TaskReceipt = z.infer<typeof taskReceipt>;

/** `mandate.task.result.v1`, on `out.<tenant>.<request>` once the workflow has ended. */
export const taskResult = z.object({
  request: token,
  workflow: workflowId,
  status: fact(z.enum(['completed', 'failed', 'cancelled', 'rejected'])),
  answer: content(z.string()).optional(),
  code: word.optional(),
  message: shortText.optional(),
  costMicroUsd: microUsd,
  tokens: count,
  steps: count,
  endedAt: epochMs,
});
export type TaskResult = z.infer<typeof taskResult>;
