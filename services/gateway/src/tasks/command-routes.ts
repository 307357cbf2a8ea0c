import { partitionOf, partitionOfRequest } from '@mandate/domain';
import { taskCancel, taskFork, taskStatus, taskTopUp, TYPES, workflowIdFor } from '@mandate/contracts';
import { z } from 'zod';
import { type GatewayApp, identityOf } from '../http/gateway-app.ts';
import { randomRequestId, requestIdOf } from '../identity/request-id.ts';
import { dataOf, failures, idempotencyKey, params, taskOf, type TaskRoutesOptions } from './route-shapes.ts';
import { giveReceipt } from './receipts.ts';
import { sendCommand } from './send-command.ts';

/** With nothing in it a task that was frozen goes on, once the freeze is lifted. */
const more = taskTopUp.omit({ workflow: true });

/** What can be asked of a task that exists. */
export function commandRoutes(app: GatewayApp, options: TaskRoutesOptions): void {
  cancelRoute(app, options);
  topUpRoute(app, options);
  forkRoute(app, options);
  eraseRoute(app, options);
}

function cancelRoute(app: GatewayApp, options: TaskRoutesOptions): void {
  app.post(
    '/api/v1/tasks/:id/cancel',
    {
      schema: {
        summary: 'Cancel a task, or one of its agents',
        description:
          'It is `ending` until every call that was begun is settled, then `cancelled`. With `agent` only that agent and whoever works for it end; the one that sent it goes on.',
        tags: ['tasks'],
        params,
        body: taskCancel.pick({ agent: true, reason: true }).nullish(),
        response: { 202: dataOf(z.object({ workflowId: z.string(), status: taskStatus })), ...failures },
      },
    },
    async (request, reply) => {
      const { tenant, workflow } = taskOf(request);
      const { agent, reason } = request.body ?? {};
      const accepted = await sendCommand(options.bus, options.instance, {
        type: TYPES.taskCancel,
        partition: partitionOf(workflow) ?? 0,
        identity: identityOf(request),
        request: randomRequestId(),
        workflow,
        traceparent: request.span?.traceparent ?? '',
        data: { workflow, ...(agent === undefined ? {} : { agent }), ...(reason === undefined ? {} : { reason }) },
      });
      accepted.close();
      giveReceipt(reply, accepted.receipt);
      const status = await options.ask('tasks.get', { tenant, workflow }).then(
        (task) => task.status,
        () => (agent === undefined ? ('ending' as const) : ('running' as const)),
      );
      // The read model may not have seen it yet.
      const isEnding = agent === undefined && status === 'running';
      return reply.status(202).send({ data: { workflowId: workflow, status: isEnding ? 'ending' : status } });
    },
  );
}

const toppedUp = z.object({
  workflowId: z.string(),
  requestId: z.string(),
  duplicate: z.boolean().describe('this request was accepted before; it gave nothing twice'),
});

function topUpRoute(app: GatewayApp, options: TaskRoutesOptions): void {
  app.post(
    '/api/v1/tasks/:id/top-up',
    {
      schema: {
        summary: 'Give a task more',
        description:
          'More money, tokens, calls or time for a task that runs, or that failed for want of it (`resumable`): it goes on exactly where it stopped.',
        tags: ['tasks'],
        params,
        headers: idempotencyKey,
        body: more,
        response: { 202: dataOf(toppedUp), ...failures },
      },
    },
    async (request, reply) => {
      const { tenant, workflow } = taskOf(request);
      const id = requestIdOf(tenant, request.headers['idempotency-key']);
      const { receipt, close } = await sendCommand(options.bus, options.instance, {
        type: TYPES.taskTopUp,
        partition: partitionOf(workflow) ?? 0,
        identity: identityOf(request),
        request: id,
        workflow,
        traceparent: request.span?.traceparent ?? '',
        data: { ...request.body, workflow },
      });
      close();
      giveReceipt(reply, receipt);
      return reply.status(202).send({ data: { workflowId: workflow, requestId: id, duplicate: receipt.duplicate } });
    },
  );
}

const forked = z.object({
  workflowId: z.string(),
  requestId: z.string(),
  origin: z.string(),
  duplicate: z.boolean().describe('this request was accepted before; it is the same fork'),
});

function forkRoute(app: GatewayApp, options: TaskRoutesOptions): void {
  app.post(
    '/api/v1/tasks/:id/fork',
    {
      schema: {
        summary: 'Run a task again from one of its events, with something changed',
        description:
          'A new run that reuses what the task was answered up to `version`, for nothing, and goes on by itself from there or from where it owes something else: another model, mandate, scope of tools or task. What `options` does not name is as in the origin; `maxCostMicroUsd` is always named. After the past an effect firewall refuses every tool that is not read-only and not in `allowEffects`. At most three forks follow each other.',
        tags: ['tasks'],
        params,
        headers: idempotencyKey,
        body: taskFork.omit({ origin: true }),
        response: { 202: dataOf(forked), ...failures },
      },
    },
    async (request, reply) => {
      const { tenant, workflow: origin } = taskOf(request);
      const id = requestIdOf(tenant, request.headers['idempotency-key']);
      const workflow = workflowIdFor(tenant, id);
      const { receipt, close } = await sendCommand(options.bus, options.instance, {
        type: TYPES.taskFork,
        partition: partitionOfRequest(tenant, id),
        identity: identityOf(request),
        request: id,
        workflow,
        traceparent: request.span?.traceparent ?? '',
        data: { ...request.body, origin },
      });
      close();
      options.accepted.add(receipt.workflow);
      giveReceipt(reply, receipt);
      reply.header('location', `/api/v1/tasks/${receipt.workflow}`);
      return reply.status(202).send({ data: { workflowId: receipt.workflow, requestId: id, origin, duplicate: receipt.duplicate } });
    },
  );
}

const erased = z.object({
  workflowId: z.string(),
  duplicate: z.boolean().describe('it was erased before; what may have come back was destroyed again'),
});

function eraseRoute(app: GatewayApp, options: TaskRoutesOptions): void {
  app.post(
    '/api/v1/tasks/:id/erase',
    {
      schema: {
        summary: 'Erase the content of a task, for ever',
        description:
          'It ends if it runs. Answered when the key of its content is destroyed: texts, answers, arguments and results are null from then on and `erasedAt` says since when. Facts and figures stay. It can never be carried on.',
        tags: ['erasure'],
        params,
        response: { 200: dataOf(erased), ...failures },
      },
    },
    async (request, reply) => {
      const { workflow } = taskOf(request);
      const { receipt, close } = await sendCommand(options.bus, options.instance, {
        type: TYPES.taskErase,
        partition: partitionOf(workflow) ?? 0,
        identity: identityOf(request),
        request: randomRequestId(),
        workflow,
        traceparent: request.span?.traceparent ?? '',
        data: { workflow },
      });
      close();
      giveReceipt(reply, receipt);
      return { data: { workflowId: workflow, duplicate: receipt.duplicate } };
    },
  );
}
