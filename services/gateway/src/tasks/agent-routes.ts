import { agentDetail, agentSummary, contribution, decisionView, delegationStats, taskStatus } from '@mandate/contracts';
import { isToken } from '@mandate/domain';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { type GatewayApp, identityOf } from '../http/gateway-app.ts';
import { GatewayProblem } from '../http/problem.ts';
import { drawMermaid, drawText, nestAgents } from './agent-tree.ts';
import { dataOf, failures, params, taskOf, type TaskRoutesOptions } from './route-shapes.ts';
import { wantedFormat } from './wanted-format.ts';

const FORMATS = { json: 'application/json', text: 'text/plain', mermaid: 'text/vnd.mermaid' } as const;
type Format = keyof typeof FORMATS;
const STATS_DAYS = 30;
const DAY_MS = 24 * 60 * 60_000;

/** Nobody is deeper than two below the root. */
const node = <T extends z.ZodType>(below: T) => agentSummary.extend({ agents: z.array(below) });
const tree = z.object({
  workflowId: z.string(),
  status: taskStatus,
  version: z.number().int(),
  root: node(node(node(z.never()))).nullable(),
});

/** Who works on a task, how it was decided, what each brought; and how a tenant's tasks delegate. */
export function agentRoutes(app: GatewayApp, { ask }: TaskRoutesOptions): void {
  app.get(
    '/api/v1/tasks/:id/agents',
    {
      schema: {
        summary: 'The agents of a task: who sent whom, with what mandate, and what it cost',
        description: `As JSON, as an ASCII tree (${FORMATS.text}) or as a diagram (${FORMATS.mermaid}): by Accept, or by format.`,
        tags: ['tasks'],
        params,
        querystring: z.object({ format: z.enum(['json', 'text', 'mermaid']).optional() }),
        response: { 200: dataOf(tree), ...failures },
      },
    },
    async (request, reply) => {
      const agents = await ask('agents.list', taskOf(request));
      const format: Format = request.query.format ?? wantedFormat(request.headers.accept, FORMATS);
      if (format === 'text') return drawn(reply, format, drawText(agents));
      if (format === 'mermaid') return drawn(reply, format, drawMermaid(agents));
      const { workflow, status, version } = agents;
      return { data: { workflowId: workflow, status, version, root: nestAgents(agents) as z.infer<typeof tree>['root'] } };
    },
  );
  app.get(
    '/api/v1/tasks/:id/agents/:agent',
    {
      schema: {
        summary: 'One agent: what it was asked, what it answered, its mandate and what it spent',
        tags: ['tasks'],
        params: params.extend({ agent: z.string().max(64).describe('for example a0-1') }),
        response: { 200: dataOf(agentDetail), ...failures },
      },
    },
    async (request) => {
      const { agent } = request.params;
      if (!isToken(agent)) throw agentUnknown();
      return { data: await ask('agents.get', { ...taskOf(request), agent }) };
    },
  );
  app.get(
    '/api/v1/tasks/:id/contributions',
    {
      schema: {
        summary: 'What each agent of a task brought, shortened',
        tags: ['tasks'],
        params,
        response: { 200: dataOf(z.array(contribution)), ...failures },
      },
    },
    async (request) => ({ data: (await ask('contributions.list', taskOf(request))).items }),
  );
  app.get(
    '/api/v1/tasks/:id/decision',
    {
      schema: {
        summary: 'How a task is worked on, why, and why not otherwise',
        tags: ['tasks'],
        params,
        querystring: z.object({ agent: z.string().max(64).default('a0').describe('of another agent than the root') }),
        response: { 200: dataOf(decisionView), ...failures },
      },
    },
    async (request) => {
      const { agent } = request.query;
      if (!isToken(agent)) throw agentUnknown();
      return { data: await ask('decision.get', { ...taskOf(request), agent }) };
    },
  );
  app.get(
    '/api/v1/delegation-stats',
    {
      schema: {
        summary: 'How deep and how well this tenant’s tasks delegate, and what was refused',
        tags: ['tasks'],
        querystring: z.object({
          since: z.coerce
            .number()
            .int()
            .min(0)
            .optional()
            .describe(`submitted from then on (epoch ms); default: the last ${STATS_DAYS} days`),
        }),
        response: { 200: dataOf(delegationStats), ...failures },
      },
    },
    async (request) => {
      const since = request.query.since ?? Date.now() - STATS_DAYS * DAY_MS;
      return { data: await ask('delegation.stats', { tenant: identityOf(request).tenant, since }) };
    },
  );
}

const drawn = (reply: FastifyReply, format: Format, text: string): FastifyReply =>
  reply.type(`${FORMATS[format]}; charset=utf-8`).send(text);

const agentUnknown = (): GatewayProblem =>
  new GatewayProblem({
    status: 404,
    code: 'AgentUnknown',
    detail: 'There is no such agent in this workflow.',
    next: 'See GET /api/v1/tasks/:id/agents for who there is.',
  });
