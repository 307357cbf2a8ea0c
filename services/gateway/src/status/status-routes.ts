import type { Health, Presence } from '@mandate/service-kit';
import type { Registry } from 'prom-client';
import { z } from 'zod';
import type { GatewayApp } from '../http/gateway-app.ts';
import { problemDetails } from '../http/problem.ts';
import { systemStatus, systemStatusOf } from './service-status.ts';

export interface StatusRoutesOptions {
  readonly presence: Presence;
  readonly registry: Registry;
  readonly ready: () => Health;
}

const OPEN = { isOpen: true };
const PROBE = { isOpen: true, isProbe: true };
const hidden = { hide: true };

/** Who is there and how they are, and the doors for probes and scrapers. */
export function statusRoutes(app: GatewayApp, { presence, registry, ready }: StatusRoutesOptions): void {
  app.get(
    '/api/v1/status',
    {
      schema: {
        summary: 'Every service and its instances',
        tags: ['status'],
        response: { 200: z.object({ data: systemStatus }), '4xx': problemDetails },
      },
    },
    async () => ({
      data: systemStatusOf((service) => presence.of(service)),
    }),
  );
  app.get('/api/v1/openapi.json', { config: OPEN, schema: hidden }, async () => app.swagger());
  app.get('/livez', { config: PROBE, schema: hidden }, async (_, reply) => reply.type('text/plain').send('ok\n'));
  app.get('/readyz', { config: PROBE, schema: hidden }, async (_, reply) => {
    const health = ready();
    return reply.status(health.ok ? 200 : 503).send(health);
  });
  app.get('/metrics', { config: OPEN, schema: hidden }, async (_, reply) =>
    reply.type(registry.contentType).send(await registry.metrics()),
  );
}
