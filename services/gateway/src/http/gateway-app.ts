import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ActiveSpan } from '@mandate/service-kit';
import type { FastifyBaseLogger, FastifyInstance, FastifyRequest, RawServerDefault } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { Identity } from '../identity/api-keys.ts';
import { GatewayProblem } from './problem.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Set on every route that is not open. */
    identity: Identity | null;
    span: ActiveSpan | null;
    startedAt: number;
  }
  interface FastifyContextConfig {
    /** Needs no API key. @default false */
    readonly isOpen?: boolean;
    /** Answers under any Host header: probes come by address. @default false */
    readonly isProbe?: boolean;
  }
}

export type GatewayApp = FastifyInstance<RawServerDefault, IncomingMessage, ServerResponse, FastifyBaseLogger, ZodTypeProvider>;

/** Who asks. @throws GatewayProblem 401 */
export function identityOf(request: Pick<FastifyRequest, 'identity'>): Identity {
  if (request.identity !== null) return request.identity;
  throw new GatewayProblem({
    status: 401,
    code: 'NotAuthenticated',
    detail: 'The request carries no valid API key.',
    next: 'Send Authorization: Bearer mk_<id>.<secret>.',
    headers: { 'www-authenticate': 'Bearer realm="mandate"' },
  });
}
