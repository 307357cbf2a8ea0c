import { PATTERN_NAMES } from '@mandate/domain';
import { z } from 'zod';
import { content, count, fact, microUsd, sha256Hex, tenantId, token, word, workflowId } from '../fields.ts';
import { PARK_REASONS, type ParkReason, WORKER_ERROR_CODES } from '../errors.ts';

export const analysisFacts = z.object({
  analyzerVersion: word,
  intent: word,
  taskType: word,
  complexityScore: z.number().min(0).max(10),
  tier: fact(z.enum(['simple', 'moderate', 'complex', 'expert'])),
  capabilities: z.array(word),
  estimatedSteps: count,
  confidence: z.number().min(0).max(1),
  language: word,
  reasons: z.array(z.object({ claim: word, ruleId: word, start: count, end: count })),
  fit: z
    .object({
      table: word,
      scores: z.array(z.object({ pattern: fact(z.enum(PATTERN_NAMES)), score: z.number().min(0).max(1), reasons: z.array(word) })),
    })
    .exactOptional(),
});

export const usage = z.object({ inputTokens: count, outputTokens: count, cachedInputTokens: count, reasoningTokens: count });

/** Texts of a model answer. `tool` is the name that the model used, ours or not. */
export const llmContent = z.object({
  text: content(z.string()),
  calls: z.array(z.object({ callId: fact(z.string()), tool: content(z.string()), args: content(z.unknown()) })),
});
export type LlmContent = z.infer<typeof llmContent>;

const answer = z.discriminatedUnion('kind', [
  z.object({ kind: fact(z.literal('analyze')), analysis: analysisFacts }),
  z.object({
    kind: fact(z.literal('llm')),
    provider: word,
    model: word,
    priceVersion: word,
    usage,
    costMicroUsd: microUsd,
    finishReason: word,
    upstreamRequests: count,
    content: llmContent,
  }),
  z.object({
    kind: fact(z.literal('tool')),
    isError: z.boolean(),
    truncated: z.boolean(),
    content: z.object({ text: content(z.string()) }),
  }),
]);
export type WorkerAnswer = z.infer<typeof answer>;

/**
 * `mandate.attempt.result.v1`: what a worker says about one attempt. With an `answer` the attempt is billed as the
 * answer says; without one, `failure.billed: "no"` frees the reservation and everything else costs its worst case.
 */
export const attemptResult = z.object({
  workflow: workflowId,
  attempt: token,
  outcome: fact(z.enum(['succeeded', 'failed', 'expired', 'cancelled', 'lost', 'unknown'])),
  answer: answer.optional(),
  failure: z
    .object({
      code: fact(z.enum(WORKER_ERROR_CODES)),
      retryable: z.boolean(),
      billed: fact(z.enum(['no', 'maybe', 'yes'])),
      retryAfterMs: count.optional(),
      /** The other side's own words, cut to 2,000 characters. */
      message: content(z.string().max(2_000)).optional(),
    })
    .optional(),
  /** `<service>/<instance>` */
  worker: word,
  durationMs: count,
});
export type AttemptResult = z.infer<typeof attemptResult>;

/** `mandate.attempt.start.v1`: may this runner start this non-idempotent call? Answered on `ctl.grant.<runner>`. */
export const attemptStart = z.object({ workflow: workflowId, attempt: token, runner: token });
export type AttemptStart = z.infer<typeof attemptStart>;

/** `mandate.message.parked.v1`: a worker reports a command that it could not even read. */
export const messageParked = z.object({
  service: word,
  tenant: tenantId.nullable(),
  subject: fact(z.string()),
  reason: fact(z.enum(Object.keys(PARK_REASONS) as [ParkReason, ...ParkReason[]])),
  detail: fact(z.string().max(1_000)),
  bytesSha256: sha256Hex,
  /** As it stood beside the command. */
  signature: fact(z.string().max(200)).optional(),
  /** The message itself, base64; its beginning when it is large. */
  body: content(z.string()),
});
export type MessageParked = z.infer<typeof messageParked>;
