import { accountDefine, accountView, PLATFORM, TYPES } from '@mandate/contracts';
import { isTenantId } from '@mandate/domain';
import type { Bus } from '@mandate/messaging';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { type GatewayApp, identityOf } from '../http/gateway-app.ts';
import { GatewayProblem, problemDetails } from '../http/problem.ts';
import { operatorOf } from '../identity/operator.ts';
import { requestIdOf } from '../identity/request-id.ts';
import { type AccountCommand, commandAccount, readAccount } from './account-command.ts';

export interface AccountRoutesOptions {
  readonly bus: Bus;
  readonly instance: string;
}

const failures = { '4xx': problemDetails, '5xx': problemDetails };
const whose = z.object({
  tenant: z.string().optional().describe('whose account; only an operator may name another tenant than its own'),
});
const keyed = z.object({ 'idempotency-key': z.string().optional().describe('the same key again is the same command') });
const response = { 200: z.object({ data: accountView }), ...failures };

/** Accounts: tenants read their own; operators define budgets, freeze and thaw. */
export function accountRoutes(app: GatewayApp, options: AccountRoutesOptions): void {
  app.get(
    '/api/v1/account',
    { schema: { summary: 'Budgets, what is spent and what is out on lease', tags: ['account'], querystring: whose, response } },
    async (request) => ({ data: await readAccount(options.bus, tenantOf(request, request.query.tenant)) }),
  );
  app.put(
    '/api/v1/account/budgets',
    {
      schema: {
        summary: 'Define all budgets and the slots of an account (operators)',
        description: 'What is not in the list is no budget any more. Holds for everything that is asked for from now on.',
        tags: ['account'],
        querystring: whose,
        headers: keyed,
        body: accountDefine,
        response,
      },
    },
    async (request) => ({ data: await send(options, request, TYPES.accountDefine, request.query.tenant, request.body) }),
  );
  for (const [action, type] of [
    ['freeze', TYPES.accountFreeze],
    ['thaw', TYPES.accountThaw],
  ] as const) {
    const summary = action === 'freeze' ? 'Stop all new spending' : 'Let spending go on';
    app.post(
      `/api/v1/account/${action}`,
      { schema: { summary: `${summary} of a tenant (operators)`, tags: ['account'], querystring: whose, headers: keyed, response } },
      async (request) => ({ data: await send(options, request, type, request.query.tenant, {}) }),
    );
    app.post(
      `/api/v1/operator/${action}`,
      { schema: { summary: `${summary} of all tenants (operators)`, tags: ['account'], headers: keyed, response } },
      async (request) => ({ data: await send(options, request, type, PLATFORM, {}) }),
    );
  }
}

type Asking = Pick<FastifyRequest, 'identity' | 'span'> & { readonly headers: { readonly 'idempotency-key'?: string | undefined } };

function send(
  { bus, instance }: AccountRoutesOptions,
  request: Asking,
  type: AccountCommand['type'],
  named: string | undefined,
  data: unknown,
): ReturnType<typeof commandAccount> {
  const by = operatorOf(request);
  const tenant = tenantOf(request, named);
  if (type === TYPES.accountDefine && tenant === PLATFORM)
    throw new GatewayProblem({
      status: 400,
      code: 'TenantInvalid',
      detail: 'The platform has no budgets of its own.',
      next: 'Define the budgets of each tenant.',
    });
  return commandAccount(bus, instance, {
    type,
    tenant,
    by,
    request: requestIdOf(tenant, request.headers['idempotency-key']),
    traceparent: request.span?.traceparent ?? '',
    data,
  });
}

function tenantOf(request: Pick<FastifyRequest, 'identity'>, named: string | undefined): string {
  const { tenant } = identityOf(request);
  if (named === undefined || named === tenant) return tenant;
  operatorOf(request);
  if (isTenantId(named)) return named;
  throw new GatewayProblem({
    status: 400,
    code: 'TenantInvalid',
    detail: 'tenant is not a tenant name.',
    next: 'Use a lower-case name of at most 32 characters.',
  });
}
