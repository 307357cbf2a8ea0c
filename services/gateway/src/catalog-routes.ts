import { modelCatalog, type Problem, subjects, toolCatalog } from '@mandate/contracts';
import { CAPABILITIES, currentRoles, ROLE_CATALOGUE, roleId, STAGES, TASK_TYPES } from '@mandate/domain';
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

const role = z.object({
  role: z.string().describe('name@version, as the record has it'),
  name: z.string().describe('as options.tuning.roles and models name it'),
  version: z.number().int(),
  latest: z.boolean().describe('what the name without a version means'),
  otherNames: z.array(z.string()),
  capabilities: z.array(z.enum(CAPABILITIES)),
  tier: z.enum(['cheap', 'medium', 'powerful']).describe('the model that it deserves'),
  priority: z.number().int().describe('1 to 5, the highest'),
  preferredFor: z.array(z.enum(TASK_TYPES)),
  stage: z.enum(STAGES).describe("when its turn comes in a team's work"),
  effects: z.enum(['read_only', 'any']).describe('read_only: it never gets a tool that changes something'),
});

/** What a task of this tenant can use: tools that it was granted, models with their prices, roles that can be sent. */
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
  app.get(
    '/api/v1/roles',
    {
      schema: {
        summary: 'Roles that agents work in, in every version',
        tags: ['catalog'],
        response: { 200: z.object({ data: z.array(role) }), ...failures },
      },
    },
    async () => ({ data: roles() }),
  );
}

function roles(): z.infer<typeof role>[] {
  const latest = new Set(currentRoles(ROLE_CATALOGUE));
  return ROLE_CATALOGUE.roles.map((each) => ({
    role: roleId(each),
    name: each.name,
    version: each.version,
    latest: latest.has(each),
    otherNames: [...ROLE_CATALOGUE.aliases].flatMap(([other, name]) => (name === each.name ? [other] : [])),
    capabilities: [...each.capabilities],
    tier: each.tier,
    priority: each.priority,
    preferredFor: [...each.preferredFor],
    stage: each.stage,
    effects: each.effects,
  }));
}

async function ask(bus: Bus, service: 'tool-runner' | 'llm-router'): Promise<unknown> {
  const reply = (await bus.ask(subjects.query(service, 'catalog'), '{}', 4_000).catch((cause: unknown) => {
    throw unavailable('CatalogUnavailable', `No ${service} answers.`, cause);
  })) as { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly problem: Problem };
  if (reply.ok) return reply.value;
  throw unavailable(reply.problem.code, reply.problem.message);
}
