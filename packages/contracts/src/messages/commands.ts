import { z } from 'zod';
import { content, count, epochMs, fact, microUsd, tenantId, token, workflowId } from '../fields.ts';
import { modelRequest } from './model-call.ts';

/**
 * What the orchestrator asks of a worker. A command is one attempt: one possibly billed or effectful request,
 * with its own reservation, used once. It is signed per destination (HMAC-SHA256 over the whole message, header
 * `Mandate-Signature`), it expires, and the worker claims the attempt before it acts.
 */
const command = <Body extends z.ZodType>(body: Body) =>
  z.object({
    workflow: workflowId,
    tenant: tenantId,
    agent: token,
    depth: z.number().int().min(0).max(2),
    attempt: token,
    /** Number of the try, from 1. */
    number: z.number().int().positive(),
    /** The worker must claim it before. */
    expiresAt: epochMs,
    /** The call may run for this long. */
    timeoutMs: count,
    /** What was reserved: the worker must not spend more. */
    reservation: z.object({ moneyMicroUsd: microUsd, tokens: count, modelCalls: count, toolCalls: count }),
    /** The claim store that guards it; another one proves nothing. */
    bus: fact(z.string()),
    body,
  });

export const analyzeCommand = command(z.object({ task: content(z.string()) }));
export const llmCommand = command(modelRequest);
export const toolCommand = command(
  z.object({ tool: fact(z.string()), effect: fact(z.enum(['read_only', 'idempotent', 'non_idempotent'])), args: content(z.unknown()) }),
);
export type AnalyzeCommand = z.infer<typeof analyzeCommand>;
export type LlmCommand = z.infer<typeof llmCommand>;
export type ToolCommand = z.infer<typeof toolCommand>;
export type Command = AnalyzeCommand | LlmCommand | ToolCommand;

/** `mandate.attempts.stop.v1`: stop these, queued or running. Told again until they are settled. */
export const stopNotice = z.object({ workflow: workflowId, attempts: z.array(token) });
export type StopNotice = z.infer<typeof stopNotice>;

/** `mandate.attempt.grant.v1`: the answer to `attempt.start`. */
export const startGrant = z.object({
  workflow: workflowId,
  attempt: token,
  granted: z.boolean(),
  /** Who was allowed to start it, when it was somebody else. */ runner: token.optional(),
});
export type StartGrant = z.infer<typeof startGrant>;
