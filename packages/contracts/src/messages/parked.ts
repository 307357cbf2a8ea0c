import { z } from 'zod';
import { count, epochMs, fact, shortText, tenantId, token, word } from '../fields.ts';
import { LIMITS } from '../limits.ts';

/**
 * What could not be handled and waits for somebody to decide: a message, or a stream of which an event could not be
 * projected. `retrying` is asked for and not done yet; `retried` was handled; `abandoned` will not be.
 */
export const parkedStatus = fact(z.enum(['parked', 'retrying', 'retried', 'abandoned']));
export type ParkedItemStatus = z.infer<typeof parkedStatus>;

/** Facts alone: nobody is shown the words of a message that could not be handled. */
export const parkedItem = z.object({
  /** `m<number>` of a message; of a stream its workflow. */
  id: token,
  kind: fact(z.enum(['message', 'stream'])),
  status: parkedStatus,
  tenant: fact(z.string()).nullable(),
  /** Which service could not handle it. */
  service: word,
  /** Where the message was published; of a stream the event, `<workflow>.<version>`. */
  subject: fact(z.string()),
  reason: word,
  detail: shortText,
  /** How often it could not be handled. */
  attempts: count,
  /** Bytes of the message. */
  size: count.nullable(),
  /** Keyed: equal messages of a tenant have the same one. */
  digest: fact(z.string()).nullable(),
  traceparent: fact(z.string()).nullable(),
  at: epochMs,
  /** When it could not be handled the last time. */
  lastAt: epochMs,
  /** Who decided, as the log names actors, and when. */
  decidedBy: word.nullable(),
  decidedAt: epochMs.nullable(),
});
export type ParkedItem = z.infer<typeof parkedItem>;

/** `tenant` null: an operator asks, about all tenants. */
const whose = tenantId.nullable();

/** Where a page ended: the last item that was taken. */
const parkedBefore = z.object({ at: epochMs, id: token });

/** Asked of any orchestrator (`q.orchestrator.parked-…`) about messages, and of the projector about streams. */
export const parkedList = z.object({
  tenant: whose,
  status: parkedStatus.optional(),
  before: parkedBefore.optional(),
  limit: z
    .number()
    .int()
    .min(1)
    .max(LIMITS.pageRows + 1),
});
export const parkedGet = z.object({ tenant: whose, id: token });
/** `by`: the operator, as the log names actors. */
export const parkedDecision = z.object({ id: token, by: word });

/** `mandate.parked.retry.v1`: an orchestrator tells the owner of a partition to handle a parked message as if it were new. */
export const parkedRetry = z.object({ id: count, attempts: count });
export type ParkedRetry = z.infer<typeof parkedRetry>;
