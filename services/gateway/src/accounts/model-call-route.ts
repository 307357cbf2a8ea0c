import { type DirectAnswer, type DirectCall, content, directAnswer, LIMITS, type Problem, subjects } from '@mandate/contracts';
import type { Bus } from '@mandate/messaging';
import { z } from 'zod';
import { type GatewayApp, identityOf } from '../http/gateway-app.ts';
import { GatewayProblem, problemDetails, unavailable } from '../http/problem.ts';
import { requestIdOf } from '../identity/request-id.ts';

const failures = { '4xx': problemDetails, '5xx': problemDetails };
const MOST_OUTPUT_TOKENS = 32_768;
const LONGEST_MS = 120_000;
/** For the way to the router and back. */
const GRACE_MS = 3_000;

const text = content(z.string().refine((each) => each.isWellFormed(), 'must be well-formed Unicode'));
const body = z.strictObject({
  model: z
    .string()
    .regex(/^[A-Za-z0-9._:/@-]{1,120}$/, 'must be a model name')
    .optional(),
  system: text.default(''),
  messages: z
    .array(z.strictObject({ role: z.enum(['user', 'assistant']), text }))
    .min(1)
    .max(1_000),
  maxOutputTokens: z.number().int().min(1).max(MOST_OUTPUT_TOKENS).default(1_024),
  timeoutMs: z.number().int().min(1_000).max(LONGEST_MS).default(60_000),
});

/** One model call without a task: paid from the account of the tenant, and on its record. */
export function modelCallRoute(app: GatewayApp, bus: Bus): void {
  app.post(
    '/api/v1/model-calls',
    {
      schema: {
        summary: 'Call a model directly',
        description:
          'The worst case of the call is reserved from the budgets of the account before it is made. With an Idempotency-Key it is made once: a repetition is refused with 409, and the answer is not kept.',
        tags: ['models'],
        headers: z.object({
          'idempotency-key': z.string().optional().describe('1 to 255 printable characters; the same key again is the same call'),
        }),
        body,
        response: { 200: z.object({ data: directAnswer }), ...failures },
      },
    },
    async (request) => {
      const { tenant, keyId } = identityOf(request);
      const key = request.headers['idempotency-key'];
      const { model, messages, ...rest } = request.body;
      const call: DirectCall = {
        ...rest,
        messages: messages.map(({ role, text: said }) => ({ role, text: said })),
        model: model ?? null,
        tenant,
        key: keyId,
        idempotencyKey: key === undefined ? null : requestIdOf(tenant, key),
        ...(request.span === null ? {} : { traceparent: request.span.traceparent }),
      };
      return { data: await ask(bus, call) };
    },
  );
}

async function ask(bus: Bus, call: DirectCall): Promise<DirectAnswer> {
  const message = JSON.stringify(call);
  if (Buffer.byteLength(message) > LIMITS.messageBytes) throw unavailable('RequestTooLarge', 'The call does not fit into a message.');
  const reply = (await bus.ask(subjects.query('llm-router', 'call'), message, call.timeoutMs + GRACE_MS).catch((cause: unknown) => {
    if ((cause as { isNoResponders?: () => boolean }).isNoResponders?.() === true)
      throw unavailable('RouterUnavailable', 'No llm-router is there; nothing was spent.', cause);
    throw unavailable('NoAnswer', 'No llm-router answered; the call may have been made and billed.', cause);
  })) as { readonly ok: true; readonly value: DirectAnswer } | { readonly ok: false; readonly problem: Problem };
  if (reply.ok) return reply.value;
  const { code, message: detail, next } = reply.problem;
  throw new GatewayProblem({
    status: STATUS[code] ?? 502,
    code,
    detail,
    next,
    ...(code === 'overloaded' ? { headers: { 'retry-after': '1' } } : {}),
  });
}

/** Everything else is the vendor's failure. */
const STATUS: Readonly<Record<string, number>> = {
  QuotaExceeded: 429,
  SpendingFrozen: 403,
  IdempotencyConflict: 409,
  bad_request: 400,
  context_length: 422,
  no_capable_provider: 422,
  content_filter: 422,
  overloaded: 503,
  timeout: 504,
};
