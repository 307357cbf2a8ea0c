import { setMaxListeners } from 'node:events';
import type { Health, ServiceContext, ServiceDefinition, Working } from '@mandate/service-kit';
import { z } from 'zod';
import { createApp } from './http/create-app.ts';
import { httpMetrics } from './http/http-metrics.ts';
import { ApiKeys } from './identity/api-keys.ts';
import { subjectRoutes } from './erasure/subject-routes.ts';
import { parkedRoutes } from './parked/parked-routes.ts';
import { accountRoutes } from './accounts/account-routes.ts';
import { modelCallRoute } from './accounts/model-call-route.ts';
import { catalogRoutes } from './catalog-routes.ts';
import { AcceptedLately } from './accepted-lately.ts';
import { projectorClient } from './projector-client.ts';
import { statusRoutes } from './status/status-routes.ts';
import { heedReceipts } from './tasks/receipts.ts';
import { taskRoutes } from './tasks/task-routes.ts';

const config = z.object({
  GATEWAY_PORT: z.coerce.number().int().min(0).max(65535).default(8080).describe('TCP port of the outside doors; default 8080'),
  GATEWAY_HOST: z.string().default('127.0.0.1').describe('address to listen on; default 127.0.0.1'),
  GATEWAY_ALLOWED_HOSTS: z
    .string()
    .default('')
    .transform((text) =>
      text
        .split(',')
        .map((host) => host.trim().toLowerCase())
        .filter((host) => host !== ''),
    )
    .describe('host names besides loopback under which the gateway is reached, separated by commas'),
  MANDATE_API_KEYS_FILE: z.string().min(1).describe('{"keys":[{"tenant","id","sha256","role"?: "operator"}]}; read again when it changes'),
});
type Config = z.infer<typeof config>;

/** Every outside door: identity, limits, validation; nothing is decided here. */
export const gateway: ServiceDefinition<typeof config> = { name: 'gateway', config, secrets: [], start };

async function start(context: ServiceContext<Config>): Promise<Working> {
  const { bus, log, metrics: registry } = context;
  const apiKeys = await ApiKeys.open(context.config.MANDATE_API_KEYS_FILE, (problem) => log.warn({ problem }, 'API keys'));
  const closing = new AbortController();
  // One listener per follower.
  setMaxListeners(0, closing.signal);
  const metrics = httpMetrics(registry);
  const app = await createApp({
    log,
    tracing: context.tracing,
    metrics,
    apiKeys,
    hostRules: { allowedHosts: context.config.GATEWAY_ALLOWED_HOSTS },
  });
  let inFlight = 0;
  app.addHook('onRequest', async (_, reply) => {
    inFlight++;
    reply.raw.once('close', () => inFlight--);
  });
  const ready = (): Health => (closing.signal.aborted ? { ok: false, missing: ['stopping'] } : { ok: true, missing: [] });
  const readyWithBus = (): Health => (bus.connected ? ready() : { ok: false, missing: ['nats', ...ready().missing] });
  catalogRoutes(app, bus);
  modelCallRoute(app, bus);
  accountRoutes(app, { bus, instance: context.instance });
  parkedRoutes(app, bus);
  subjectRoutes(app, { bus, instance: context.instance });
  const accepted = new AcceptedLately();
  const ask = projectorClient(bus, accepted);
  heedReceipts(app, ask);
  taskRoutes(app, { bus, ask, accepted, instance: context.instance, metrics, closing: closing.signal });
  statusRoutes(app, { presence: context.presence, registry, ready: readyWithBus });
  const url = await app.listen({ port: context.config.GATEWAY_PORT, host: context.config.GATEWAY_HOST });
  log.info({ url }, 'listening');
  return {
    ready,
    inFlight: () => inFlight,
    stop: async () => {
      closing.abort();
      // Kept-alive connections become idle only when their last answer is out.
      const sweeping = setInterval(() => app.server.closeIdleConnections(), 50);
      await app.close();
      clearInterval(sweeping);
      apiKeys.stop();
    },
  };
}
