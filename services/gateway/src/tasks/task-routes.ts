import { Readable } from 'node:stream';
import { partitionOfRequest } from '@mandate/domain';
import {
  llmCallRow,
  taskDetail,
  taskStatus,
  taskSubmit,
  taskSummary,
  timelineEvent,
  toolCallRow,
  TYPES,
  workflowIdFor,
} from '@mandate/contracts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { type GatewayApp, identityOf } from '../http/gateway-app.ts';
import { GatewayProblem } from '../http/problem.ts';
import { requestIdOf } from '../identity/request-id.ts';
import { agentRoutes } from './agent-routes.ts';
import { commandRoutes } from './command-routes.ts';
import { type Follower, followEvents } from './follow-events.ts';
import { dataOf, failures, idempotencyKey, limit, pageOf, pageQuery, params, taskOf, type TaskRoutesOptions } from './route-shapes.ts';
import { giveReceipt } from './receipts.ts';
import { sendCommand } from './send-command.ts';
import { resumeAfter } from './server-sent-events.ts';
import { stateRoutes } from './state-routes.ts';
import { waitForResult } from './wait-for-result.ts';

const MOST_WAIT_SECONDS = 60;

const submitted = z.object({
  workflowId: z.string(),
  requestId: z.string(),
  location: z.string(),
  duplicate: z.boolean().describe('this request was accepted before'),
});

/** Tasks over REST: submit, list, read, follow, give more, cancel; and who works on them. */
export function taskRoutes(app: GatewayApp, options: TaskRoutesOptions): void {
  submitRoutes(app, options);
  listRoutes(app, options);
  followRoute(app, options);
  commandRoutes(app, options);
  agentRoutes(app, options);
  stateRoutes(app, options);
}

function submitRoutes(app: GatewayApp, options: TaskRoutesOptions): void {
  for (const url of ['/api/v1/tasks', '/api/v1/autonomous/execute']) {
    app.post(
      url,
      {
        schema: {
          summary: url.endsWith('tasks') ? 'Submit a task' : 'Submit a task (another name of POST /api/v1/tasks)',
          tags: ['tasks'],
          headers: idempotencyKey,
          querystring: z.object({
            wait: z.coerce.number().int().min(0).max(MOST_WAIT_SECONDS).default(0).describe('seconds to wait for the result'),
          }),
          body: taskSubmit,
          response: { 200: dataOf(taskDetail), 202: dataOf(submitted), ...failures },
        },
      },
      async (request, reply) => {
        const { tenant, ...key } = identityOf(request);
        const id = requestIdOf(tenant, request.headers['idempotency-key']);
        const workflow = workflowIdFor(tenant, id);
        const { receipt, ended, close } = await sendCommand(options.bus, options.instance, {
          type: TYPES.taskSubmit,
          partition: partitionOfRequest(tenant, id),
          identity: { tenant, ...key },
          request: id,
          workflow,
          traceparent: request.span?.traceparent ?? '',
          data: request.body,
        });
        options.accepted.add(receipt.workflow);
        try {
          const location = `/api/v1/tasks/${receipt.workflow}`;
          reply.header('location', location);
          giveReceipt(reply, receipt);
          const waitMs = request.query.wait * 1_000;
          const detail =
            waitMs === 0
              ? undefined
              : await waitForResult(
                  options.ask,
                  { tenant, workflow: receipt.workflow },
                  ended,
                  waitMs,
                  AbortSignal.any([options.closing, goneSignal(reply)]),
                );
          if (detail !== undefined) return await reply.status(200).send({ data: detail });
          return await reply
            .status(202)
            .send({ data: { workflowId: receipt.workflow, requestId: id, location, duplicate: receipt.duplicate } });
        } finally {
          close();
        }
      },
    );
  }
}

function listRoutes(app: GatewayApp, { ask }: TaskRoutesOptions): void {
  app.get(
    '/api/v1/tasks',
    {
      schema: {
        summary: 'Tasks, newest first',
        tags: ['tasks'],
        querystring: pageQuery.extend({ status: taskStatus.optional() }),
        response: { 200: pageOf(taskSummary), ...failures },
      },
    },
    async (request) => {
      const { items, cursor } = await ask('tasks.list', { tenant: identityOf(request).tenant, ...defined(request.query) });
      return { data: items, page: { cursor } };
    },
  );
  app.get(
    '/api/v1/tasks/:id',
    {
      schema: {
        summary: 'A task with its answer, cost and mandate',
        tags: ['tasks'],
        params,
        response: { 200: dataOf(taskDetail), ...failures },
      },
    },
    async (request) => ({
      data: await ask('tasks.get', taskOf(request)),
    }),
  );
  app.get(
    '/api/v1/tasks/:id/llm-calls',
    {
      schema: {
        summary: 'Model calls of a task, in order',
        tags: ['tasks'],
        params,
        querystring: pageQuery,
        response: { 200: pageOf(llmCallRow), ...failures },
      },
    },
    async (request) => {
      // The list of an unknown workflow would be empty; it does not exist.
      await ask('tasks.get', taskOf(request));
      const { items, cursor } = await ask('llm-calls.list', { ...taskOf(request), ...defined(request.query) });
      return { data: items, page: { cursor } };
    },
  );
  app.get(
    '/api/v1/tasks/:id/tool-calls',
    {
      schema: {
        summary: 'Tool calls of a task, in order',
        tags: ['tasks'],
        params,
        querystring: pageQuery,
        response: { 200: pageOf(toolCallRow), ...failures },
      },
    },
    async (request) => {
      await ask('tasks.get', taskOf(request));
      const { items, cursor } = await ask('tool-calls.list', { ...taskOf(request), ...defined(request.query) });
      return { data: items, page: { cursor } };
    },
  );
}

const eventsQuery = z.object({
  after: z.coerce.number().int().min(0).default(0).describe('version of the last event that is known'),
  limit: limit.default(100),
  include: z.enum(['facts', 'content']).default('facts'),
  agent: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,64}$/, 'must be an agent id')
    .optional()
    .describe('only what tells of this agent'),
  type: z
    .string()
    .regex(/^[a-z._]{1,200}(,[a-z._]{1,200}){0,49}$/, 'must be event types, separated by commas')
    .optional()
    .describe('only events of these types, separated by commas'),
  stay: z.enum(['true', 'false']).default('false').describe('of a stream: stay connected after a failure that a top-up can undo'),
});
const eventsPage = z.object({
  data: z.array(timelineEvent),
  page: z.object({
    after: z.number().int().describe('pass it as `after` for the next page'),
    ended: z.boolean().describe('no more events will come, unless it is resumable and topped up'),
    resumable: z.boolean().describe('it failed for want of something that a top-up can give'),
  }),
});

function followRoute(app: GatewayApp, options: TaskRoutesOptions): void {
  app.get(
    '/api/v1/tasks/:id/events',
    {
      schema: {
        summary: 'Events of a task, oldest first',
        description:
          'With Accept: text/event-stream they are sent as they happen; Last-Event-ID resumes after a break. A stream ends with its task, and answers 204 once it was read to its end; with stay=true it goes on through a failure that a top-up can undo. Without it, connect again after the top-up.',
        tags: ['tasks'],
        params,
        querystring: eventsQuery,
        headers: z.object({ 'last-event-id': z.string().optional() }),
        response: { 200: eventsPage, ...failures },
      },
    },
    async (request, reply) => {
      const task = taskOf(request);
      const { after, limit: pageLimit, include, agent, type } = request.query;
      const only = defined({ agent, types: type?.split(',') });
      const stay = request.query.stay === 'true';
      if (wantsStream(request))
        return stream(options, request, reply, {
          ...task,
          ...only,
          include,
          stay,
          after: resumePoint(request.headers['last-event-id'], after),
        });
      const { items, version, upTo, ended, resumable } = await options.ask('events.list', {
        ...task,
        ...only,
        after,
        limit: pageLimit,
        include,
      });
      return { data: items, page: { after: upTo, ended: ended && upTo >= version, resumable } };
    },
  );
}

async function stream(
  options: TaskRoutesOptions,
  request: FastifyRequest,
  reply: FastifyReply,
  from: Omit<Follower, 'gone' | 'closing'>,
): Promise<FastifyReply> {
  const following = await followEvents(options.bus, options.ask, { ...from, gone: goneSignal(reply), closing: options.closing });
  if (following.isOver) {
    following.close();
    return reply.status(204).send();
  }
  // Each chunk is made when the socket has room for it.
  const chunks = Readable.from(following.chunks, { objectMode: false, highWaterMark: 16 * 1024 });
  options.metrics.openStreams.inc();
  chunks.once('close', () => {
    following.close();
    options.metrics.openStreams.dec();
  });
  request.raw.socket.setNoDelay(true);
  return reply
    .headers({ 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-store', 'x-accel-buffering': 'no' })
    .send(chunks);
}

const wantsStream = (request: FastifyRequest): boolean => /\btext\/event-stream\b/i.test(request.headers.accept ?? '');

function resumePoint(lastEventId: string | undefined, after: number): number {
  const from = resumeAfter(lastEventId, after);
  if (from === undefined)
    throw new GatewayProblem({
      status: 400,
      code: 'LastEventIdInvalid',
      detail: 'Last-Event-ID is not the id of an event of this stream.',
      next: 'Send the id of the last event that was received, or none.',
    });
  return from;
}

/** Aborts when the client's connection closes, or its answer is complete. */
function goneSignal(reply: FastifyReply): AbortSignal {
  const gone = new AbortController();
  reply.raw.once('close', () => gone.abort());
  return gone.signal;
}

/** Without the members that are undefined: an absent option is absent. */
const defined = <T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined)) as { [K in keyof T]: Exclude<T[K], undefined> };
