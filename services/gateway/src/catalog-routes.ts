import { modelCatalog, type Problem, subjects, toolCatalog } from '@mandate/contracts';
import type { Bus } from '@mandate/messaging';
import { z } from 'zod';
import { type GatewayApp, identityOf } from './http/gateway-app.ts';
import { problemDetails, unavailable } from './http/problem.ts';

const failures = { '4xx': problemDetails, '5xx': problemDetails };
const tool = z.object({
  name: z.string().describe('<server>__<tool>, as models and options.tools name it'),
  description: z.string(),
  effect: z.enum(['read_only', 'idempotent', 'non_idempotent']),
  inputSchema: z.unknown(),
});

/** What a task of this tenant can use: tools that it was granted, and models with their prices. */
export function catalogRoutes(app: GatewayApp, bus: Bus): void {
  app.get(
    '/api/v1/tools',
    {
      schema: {
        summary: 'Tools granted to this tenant, of all servers',
        tags: ['catalog'],
        response: { 200: z.object({ data: z.array(tool) }), ...failures },
      },
    },
    async (request) => {
      const { tenant } = identityOf(request);
      const { tools } = toolCatalog.parse(await ask(bus, 'tool-runner'));
      return {
        data: tools
          .filter(({ tenants }) => tenants.includes(tenant))
          .map(({ name, description, effect, inputSchema }) => ({ name, description, effect, inputSchema })),
      };
    },
  );
  app.get(
    '/api/v1/models',
    {
      schema: {
        summary: 'Models, with prices in micro-USD per million tokens',
        tags: ['catalog'],
        response: { 200: z.object({ data: modelCatalog }), ...failures },
      },
    },
    async () => ({ data: modelCatalog.parse(await ask(bus, 'llm-router')) }),
  );
}

async function ask(bus: Bus, service: 'tool-runner' | 'llm-router'): Promise<unknown> {
  const reply = (await bus.ask(subjects.query(service, 'catalog'), '{}', 4_000).catch((cause: unknown) => {
    throw unavailable('CatalogUnavailable', `No ${service} answers.`, cause);
  })) as { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly problem: Problem };
  if (reply.ok) return reply.value;
  throw unavailable(reply.problem.code, reply.problem.message);
}
