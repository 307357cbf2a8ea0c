import { Readable } from 'node:stream';
import { isWorkflowId, partitionOf, partitionOfRequest } from '@mandate/domain';
import {
  LIMITS,
  llmCallRow,
  taskCancel,
  taskDetail,
  taskStatus,
  taskSubmit,
  taskSummary,
  timelineEvent,
  toolCallRow,
  TYPES,
  workflowIdFor,
} from '@mandate/contracts';
import type { Bus } from '@mandate/messaging';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { AcceptedLately } from '../accepted-lately.ts';
import { type GatewayApp, identityOf } from '../http/gateway-app.ts';
import type { HttpMetrics } from '../http/http-metrics.ts';
import { GatewayProblem, problemDetails, workflowUnknown } from '../http/problem.ts';
import { randomRequestId, requestIdOf } from '../identity/request-id.ts';
import type { AskProjector } from '../projector-client.ts';
import { followEvents } from './follow-events.ts';
import { sendCommand } from './send-command.ts';
import { resumeAfter } from './server-sent-events.ts';
import { waitForResult } from './wait-for-result.ts';

export interface TaskRoutesOptions {
  readonly bus: Bus;
  readonly ask: AskProjector;
  readonly accepted: AcceptedLately;
  readonly instance: string;
  readonly metrics: HttpMetrics;
  /** Aborted when this gateway stops: whoever waits is answered now. */
  readonly closing: AbortSignal;
}

const MOST_WAIT_SECONDS = 60;
const failures = { '4xx': problemDetails, '5xx': problemDetails };
const limit = z.coerce.number().int().min(1).max(LIMITS.pageRows);
const page = z.object({ cursor: z.string().nullable() });
const pageQuery = z.object({ limit: limit.default(50), cursor: z.string().max(200).optional() });
const params = z.object({ id: z.string().max(64).describe('workflow id') });
const dataOf = <T extends z.ZodType>(data: T) => z.object({ data });
const pageOf = <T extends z.ZodType>(item: T) => z.object({ data: z.array(item), page });

const submitted = z.object({
  workflowId: z.string(),
  requestId: z.string(),
  location: z.string(),
  duplicate: z.boolean().describe('this request was accepted before'),
});

/** Tasks over REST: submit, list, read, follow, cancel. */
export function taskRoutes(app: GatewayApp, options: TaskRoutesOptions): void {
  submitRoutes(app, options);
  listRoutes(app, options);
  followRoute(app, options);
  cancelRoute(app, options);
}

function submitRoutes(app: GatewayApp, options: TaskRoutesOptions): void {
  for (const url of ['/api/v1/tasks', '/api/v1/autonomous/execute']) {
    app.post(
      url,
      {
        schema: {
          summary: url.endsWith('tasks') ? 'Submit a task' : 'Submit a task (another name of POST /api/v1/tasks)',
          tags: ['tasks'],
          headers: z.object({
            'idempotency-key': z.string().optional().describe('1 to 255 printable characters; the same key again is the same task'),
          }),
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
});
const eventsPage = z.object({
  data: z.array(timelineEvent),
  page: z.object({
    after: z.number().int().describe('pass it as `after` for the next page'),
    ended: z.boolean().describe('no more events will come'),
  }),
});

function followRoute(app: GatewayApp, options: TaskRoutesOptions): void {
  app.get(
    '/api/v1/tasks/:id/events',
    {
      schema: {
        summary: 'Events of a task, oldest first',
        description:
          'With Accept: text/event-stream they are sent as they happen; Last-Event-ID resumes after a break. A stream that is over and was read to its end answers 204.',
        tags: ['tasks'],
        params,
        querystring: eventsQuery,
        headers: z.object({ 'last-event-id': z.string().optional() }),
        response: { 200: eventsPage, ...failures },
      },
    },
    async (request, reply) => {
      const task = taskOf(request);
      const { after, limit: pageLimit, include } = request.query;
      if (wantsStream(request))
        return stream(options, request, reply, { ...task, include, after: resumePoint(request.headers['last-event-id'], after) });
      const { items, version, ended } = await options.ask('events.list', { ...task, after, limit: pageLimit, include });
      const last = items.at(-1)?.version ?? after;
      return { data: items, page: { after: last, ended: ended && last >= version } };
    },
  );
}

async function stream(
  options: TaskRoutesOptions,
  request: FastifyRequest,
  reply: FastifyReply,
  from: { readonly tenant: string; readonly workflow: string; readonly after: number; readonly include: 'facts' | 'content' },
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

function cancelRoute(app: GatewayApp, options: TaskRoutesOptions): void {
  app.post(
    '/api/v1/tasks/:id/cancel',
    {
      schema: {
        summary: 'Cancel a task',
        description: 'It is `ending` until every call that was begun is settled, then `cancelled`.',
        tags: ['tasks'],
        params,
        body: taskCancel.pick({ reason: true }).nullish(),
        response: { 202: dataOf(z.object({ workflowId: z.string(), status: taskStatus })), ...failures },
      },
    },
    async (request, reply) => {
      const { tenant, workflow } = taskOf(request);
      const reason = request.body?.reason;
      const accepted = await sendCommand(options.bus, options.instance, {
        type: TYPES.taskCancel,
        partition: partitionOf(workflow) ?? 0,
        identity: identityOf(request),
        request: randomRequestId(),
        workflow,
        traceparent: request.span?.traceparent ?? '',
        data: { workflow, ...(reason === undefined ? {} : { reason }) },
      });
      accepted.close();
      const status = await options.ask('tasks.get', { tenant, workflow }).then(
        (task) => task.status,
        () => 'ending' as const,
      );
      // The read model may not have seen it yet.
      return reply.status(202).send({ data: { workflowId: workflow, status: status === 'running' ? 'ending' : status } });
    },
  );
}

/** The task that a path names. Nobody learns whether another tenant has it. @throws GatewayProblem 404 */
function taskOf(request: { readonly params: { readonly id: string }; readonly identity: FastifyRequest['identity'] }): {
  readonly tenant: string;
  readonly workflow: string;
} {
  const { tenant } = identityOf(request);
  if (!isWorkflowId(request.params.id)) throw workflowUnknown();
  return { tenant, workflow: request.params.id };
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
