import { parkedItem, type ParkedItem, parkedStatus, type Problem, subjects } from '@mandate/contracts';
import { isTenantId } from '@mandate/domain';
import type { Bus } from '@mandate/messaging';
import { z } from 'zod';
import { type GatewayApp, identityOf } from '../http/gateway-app.ts';
import { GatewayProblem, problemDetails, unavailable } from '../http/problem.ts';
import { operatorOf } from '../identity/operator.ts';
import { pageOf, pageQuery } from '../tasks/route-shapes.ts';
import { parkedPage } from './parked-page.ts';

const ANSWER_WITHIN_MS = 4_000;
const failures = { '4xx': problemDetails, '5xx': problemDetails };
const one = z.object({ id: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'must be an id of GET /api/v1/parked') });
const shown = { 200: z.object({ data: parkedItem }), ...failures };

/** What could not be handled: messages and streams in one list. A tenant sees its own; operators see all, and decide. */
export function parkedRoutes(app: GatewayApp, bus: Bus): void {
  const ask = asking(bus);
  app.get(
    '/api/v1/parked',
    {
      schema: {
        summary: 'What was parked, newest first',
        description:
          'Messages that could not be handled and streams that could not be projected, with the reason: facts alone, never the words of a message. A tenant sees its own; an operator sees all, or with `tenant` those of one.',
        tags: ['parked'],
        querystring: pageQuery.extend({ status: parkedStatus.optional(), tenant: z.string().optional() }),
        response: { 200: pageOf(parkedItem), ...failures },
      },
    },
    async (request) => {
      const { limit, cursor, status } = request.query;
      const tenant = whoseOf(request, request.query.tenant);
      const { items, cursor: next } = await parkedPage(limit, cursor, async (kind, before, atMost) => {
        const { items: found } = (await ask(kind, 'list', {
          tenant,
          limit: atMost,
          ...(status === undefined ? {} : { status }),
          ...(before === undefined ? {} : { before }),
        })) as { readonly items: readonly ParkedItem[] };
        return found;
      });
      return { data: items, page: { cursor: next } };
    },
  );
  app.get('/api/v1/parked/:id', { schema: { summary: 'One of them', tags: ['parked'], params: one, response: shown } }, async (request) => {
    const { id } = request.params;
    return { data: (await ask(kindOf(id), 'get', { tenant: whoseOf(request, undefined), id })) as ParkedItem };
  });
  for (const [action, summary, description] of [
    [
      'retry',
      'Handle it again (operators)',
      'As if it had just come in; a stream is projected from where it stopped. `retrying` until that is done. What fails again is parked again, with one attempt more; nothing is retried by itself.',
    ],
    ['abandon', 'Never handle it (operators)', 'It stays in the list.'],
  ] as const) {
    app.post(
      `/api/v1/parked/:id/${action}`,
      { schema: { summary, description, tags: ['parked'], params: one, response: shown } },
      async (request) => {
        const by = `key/${operatorOf(request).keyId}`;
        const { id } = request.params;
        return { data: (await ask(kindOf(id), action, { id, by })) as ParkedItem };
      },
    );
  }
}

type Kind = ParkedItem['kind'];

/** Whose are asked for; null: everybody's. @throws GatewayProblem 403 when a tenant names another one */
function whoseOf(request: Parameters<typeof identityOf>[0], named: string | undefined): string | null {
  const { tenant, role } = identityOf(request);
  if (role !== 'operator') {
    if (named !== undefined && named !== tenant) operatorOf(request);
    return tenant;
  }
  if (named === undefined || isTenantId(named)) return named ?? null;
  throw new GatewayProblem({
    status: 400,
    code: 'TenantInvalid',
    detail: 'tenant is not a tenant name.',
    next: 'Use a lower-case name of at most 32 characters.',
  });
}

const kindOf = (id: string): Kind => (id.startsWith('wf_') ? 'stream' : 'message');

/** Messages are the orchestrator’s, streams the projector’s. */
const asking =
  (bus: Bus) =>
  async (kind: Kind, question: string, body: unknown): Promise<unknown> => {
    const service = kind === 'message' ? 'orchestrator' : 'projector';
    const reply = (await bus
      .ask(subjects.query(service, `parked.${question}`), JSON.stringify(body), ANSWER_WITHIN_MS)
      .catch((cause: unknown) => {
        throw unavailable('ParkedUnavailable', `No ${service} answers.`, cause);
      })) as { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly problem: Problem };
    if (reply.ok) return reply.value;
    const { code, message, next } = reply.problem;
    const status = STATUS[code];
    throw status === undefined ? unavailable(code, message) : new GatewayProblem({ status, code, detail: message, next });
  };

const STATUS: Readonly<Record<string, number>> = {
  QueryInvalid: 400,
  ParkedUnknown: 404,
  ParkedAbandoned: 409,
  ParkedRetried: 409,
  ParkedIncomplete: 409,
  ParkedErased: 409,
};
