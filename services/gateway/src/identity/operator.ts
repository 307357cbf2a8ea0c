import type { FastifyRequest } from 'fastify';
import { identityOf } from '../http/gateway-app.ts';
import { GatewayProblem } from '../http/problem.ts';
import type { Identity } from './api-keys.ts';

/** @throws GatewayProblem 403 for everybody else */
export function operatorOf(request: Pick<FastifyRequest, 'identity'>): Identity {
  const identity = identityOf(request);
  if (identity.role === 'operator') return identity;
  throw new GatewayProblem({
    status: 403,
    code: 'NotAnOperator',
    detail: 'This needs the key of an operator.',
    next: 'Ask the operator: a tenant cannot raise its own budget, lift a freeze, or decide what becomes of parked messages.',
  });
}
