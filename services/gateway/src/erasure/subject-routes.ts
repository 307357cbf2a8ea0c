import { randomBytes } from 'node:crypto';
import { dataSubject, parseCloudEvent, parseMessage, subjectReceipt, type SubjectReceipt, subjects, TYPES } from '@mandate/contracts';
import { isTenantId, partitionOfRequest, type RequestId } from '@mandate/domain';
import type { Bus } from '@mandate/messaging';
import { z } from 'zod';
import { type GatewayApp, identityOf } from '../http/gateway-app.ts';
import { GatewayProblem, problemDetails, unavailable } from '../http/problem.ts';
import type { Identity } from '../identity/api-keys.ts';
import { randomRequestId } from '../identity/request-id.ts';

const RECEIPT_WITHIN_MS = 5_000;
const erasing = z.object({
  workflows: z.array(z.string()).describe('the first thousand; `erasedAt` of each says when it was done'),
  total: z.number().int(),
});

/** Everything of a person, over all their tasks. */
export function subjectRoutes(app: GatewayApp, { bus, instance }: { readonly bus: Bus; readonly instance: string }): void {
  app.post(
    '/api/v1/data-subjects/erase',
    {
      schema: {
        summary: 'Erase the content of every task about a person',
        description:
          'Every task of the tenant that was submitted with this `options.dataSubject` is erased as POST /api/v1/tasks/:id/erase does it. Answered when all of them have been told; asked again, it lists those that are left.',
        tags: ['erasure'],
        querystring: z.object({ tenant: z.string().optional().describe('whose; only an operator may name another tenant than its own') }),
        body: z.strictObject({ dataSubject }),
        response: { 202: z.object({ data: erasing }), '4xx': problemDetails, '5xx': problemDetails },
      },
    },
    async (request, reply) => {
      const identity = identityOf(request);
      const { workflows, total } = await eraseSubject(bus, instance, {
        by: identity,
        tenant: tenantOf(identity, request.query.tenant),
        traceparent: request.span?.traceparent ?? '',
        data: request.body,
      });
      return reply.status(202).send({ data: { workflows, total } });
    },
  );
}

interface Asked {
  readonly by: Identity;
  readonly tenant: string;
  readonly traceparent: string;
  readonly data: { readonly dataSubject: string };
}

/** @throws GatewayProblem 503 without a receipt within 5 s; it may be asked again */
async function eraseSubject(bus: Bus, instance: string, { by, tenant, traceparent, data }: Asked): Promise<SubjectReceipt> {
  if (!bus.connected) throw unavailable('BusUnavailable', 'The message bus cannot be reached.');
  const request = randomRequestId();
  const id = `${request}.${randomBytes(6).toString('hex')}`;
  const receipt = Promise.withResolvers<SubjectReceipt | undefined>();
  const listening = bus.listen(subjects.out(tenant, request), (message) => {
    const event = parseCloudEvent(message.data);
    const parsed = event.ok ? parseMessage(event.value, TYPES.subjectReceipt, subjectReceipt) : event;
    if (parsed.ok) receipt.resolve(parsed.value);
  });
  const late = setTimeout(() => receipt.resolve(undefined), RECEIPT_WITHIN_MS);
  try {
    const source = `/mandate/gateway/${instance}/key/${by.keyId}`;
    const head = { specversion: '1.0', id, source, type: TYPES.subjectErase, subject: request, time: new Date().toISOString() };
    // Any partition can look it up; the workflows are told on their own.
    const inbox = subjects.inbox(partitionOfRequest(tenant, request as RequestId), 'gateway', tenant);
    await bus.publish(inbox, JSON.stringify({ ...head, tenant, traceparent, data }), { id }).catch((cause: unknown) => {
      throw unavailable('BusUnavailable', 'The message bus did not take the command.', cause);
    });
    const received = await receipt.promise;
    if (received === undefined) throw unavailable('NoReceipt', 'The command was not confirmed in time; it may still be carried out.');
    return received;
  } finally {
    clearTimeout(late);
    listening.stop();
  }
}

function tenantOf({ tenant, role }: Identity, named: string | undefined): string {
  if (named === undefined || named === tenant) return tenant;
  if (role !== 'operator')
    throw new GatewayProblem({
      status: 403,
      code: 'NotAnOperator',
      detail: 'This needs the key of an operator.',
      next: 'Leave `tenant` out to erase content of your own tenant.',
    });
  if (isTenantId(named)) return named;
  throw new GatewayProblem({
    status: 400,
    code: 'TenantInvalid',
    detail: 'tenant is not a tenant name.',
    next: 'Use a lower-case name of at most 32 characters.',
  });
}
