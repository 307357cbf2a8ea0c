import { LIMITS } from '@mandate/contracts';
import { isWorkflowId } from '@mandate/domain';
import type { Bus } from '@mandate/messaging';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { AcceptedLately } from '../accepted-lately.ts';
import { identityOf } from '../http/gateway-app.ts';
import type { HttpMetrics } from '../http/http-metrics.ts';
import { problemDetails, workflowUnknown } from '../http/problem.ts';
import type { AskProjector } from '../projector-client.ts';

/** What all routes of tasks are given, and the shapes that they share. */
export interface TaskRoutesOptions {
  readonly bus: Bus;
  readonly ask: AskProjector;
  readonly accepted: AcceptedLately;
  readonly instance: string;
  readonly metrics: HttpMetrics;
  /** Aborted when this gateway stops: whoever waits is answered now. */
  readonly closing: AbortSignal;
}

export const failures = { '4xx': problemDetails, '5xx': problemDetails };
export const limit = z.coerce.number().int().min(1).max(LIMITS.pageRows);
export const pageQuery = z.object({ limit: limit.default(50), cursor: z.string().max(200).optional() });
export const params = z.object({ id: z.string().max(64).describe('workflow id') });
export const idempotencyKey = z.object({
  'idempotency-key': z.string().optional().describe('1 to 255 printable characters; the same key again is the same request'),
});
export const dataOf = <T extends z.ZodType>(data: T) => z.object({ data });
export const pageOf = <T extends z.ZodType>(item: T) =>
  z.object({ data: z.array(item), page: z.object({ cursor: z.string().nullable() }) });

/** The task that a path names. Nobody learns whether another tenant has it. @throws GatewayProblem 404 */
export function taskOf(request: { readonly params: { readonly id: string }; readonly identity: FastifyRequest['identity'] }): {
  readonly tenant: string;
  readonly workflow: string;
} {
  const { tenant } = identityOf(request);
  if (!isWorkflowId(request.params.id)) throw workflowUnknown();
  return { tenant, workflow: request.params.id };
}
