import { randomBytes } from 'node:crypto';
import {
  LIMITS,
  parseCloudEvent,
  parseMessage,
  subjects,
  taskReceipt,
  type TaskReceipt,
  taskResult,
  type TaskResult,
  TYPES,
} from '@mandate/contracts';
import type { Bus } from '@mandate/messaging';
import { crashPoint } from '@mandate/service-kit';
import { GatewayProblem, requestTooLarge, unavailable } from '../http/problem.ts';
import type { Identity } from '../identity/api-keys.ts';

const RECEIPT_WITHIN_MS = 5_000;

export interface InboxCommand {
  readonly type:
    | typeof TYPES.taskSubmit
    | typeof TYPES.taskCancel
    | typeof TYPES.taskTopUp
    | typeof TYPES.taskFork
    | typeof TYPES.taskErase;
  readonly partition: number;
  readonly identity: Identity;
  readonly request: string;
  readonly workflow: string;
  readonly traceparent: string;
  readonly data: unknown;
}

/** An accepted command. `ended` resolves when the result is told; `close` stops listening. */
export interface Accepted {
  readonly receipt: Extract<TaskReceipt, { accepted: true }>;
  readonly ended: Promise<TaskResult>;
  close(): void;
}

/**
 * Puts a command into the inbox and waits until the orchestrator has it on the record: it listens for the receipt
 * first, then publishes. The same request again gets the same receipt, so a client may always try again.
 *
 * @throws GatewayProblem 409 or 422 when it was refused, 404 for an unknown workflow, 503 without a receipt within 5 s
 */
export async function sendCommand(bus: Bus, instance: string, command: InboxCommand): Promise<Accepted> {
  if (!bus.connected)
    throw unavailable('BusUnavailable', 'The message bus cannot be reached.', undefined, { workflowId: command.workflow });
  const id = `${command.request}.${randomBytes(6).toString('hex')}`;
  const receipt = Promise.withResolvers<TaskReceipt>();
  const ended = Promise.withResolvers<TaskResult>();
  const listening = bus.listen(subjects.out(command.identity.tenant, command.request), (message) => {
    const event = parseCloudEvent(message.data);
    if (!event.ok) return;
    // Others may use the same request at the same time: a receipt that names another message is theirs.
    const isOurs = event.value.causationid === undefined || event.value.causationid === id;
    const asReceipt = parseMessage(event.value, TYPES.taskReceipt, taskReceipt);
    if (asReceipt.ok) return isOurs ? receipt.resolve(asReceipt.value) : undefined;
    const asResult = parseMessage(event.value, TYPES.taskResult, taskResult);
    if (asResult.ok) ended.resolve(asResult.value);
  });
  const close = (): void => listening.stop();
  try {
    crashPoint('gateway:before-publish');
    await publish(bus, instance, id, command);
    crashPoint('gateway:after-publish');
    const received = await withinMs(receipt.promise, RECEIPT_WITHIN_MS);
    if (received === undefined)
      throw unavailable('NoReceipt', 'The request was not confirmed in time; it may still be carried out.', undefined, {
        workflowId: command.workflow,
      });
    if (!received.accepted) throw refused(received);
    return { receipt: received, ended: ended.promise, close };
  } catch (error) {
    close();
    throw error;
  }
}

async function publish(bus: Bus, instance: string, id: string, command: InboxCommand): Promise<void> {
  const { tenant, keyId } = command.identity;
  const message = JSON.stringify({
    specversion: '1.0',
    id,
    source: `/mandate/gateway/${instance}/key/${keyId}`,
    type: command.type,
    subject: command.request,
    time: new Date().toISOString(),
    datacontenttype: 'application/json',
    tenant,
    traceparent: command.traceparent,
    data: command.data,
  });
  // The orchestrator parks what is larger, and the client would wait for nothing.
  if (Buffer.byteLength(message) > LIMITS.requestBytes) throw requestTooLarge();
  await bus.publish(subjects.inbox(command.partition, 'gateway', tenant), message, { id }).catch((cause: unknown) => {
    throw unavailable('BusUnavailable', 'The message bus did not take the request.', cause, { workflowId: command.workflow });
  });
}

function refused(receipt: Extract<TaskReceipt, { accepted: false }>): GatewayProblem {
  const status =
    {
      ...{ IdempotencyConflict: 409, WorkflowEnded: 409, NotResumable: 409, ContentErased: 410, OriginErased: 410 },
      ...{ WorkflowUnknown: 404, VersionUnknown: 404 },
    }[receipt.code] ?? 422;
  return new GatewayProblem({
    status,
    code: receipt.code,
    detail: receipt.message,
    next: receipt.next,
    more: receipt.workflow === undefined ? {} : { workflowId: receipt.workflow },
  });
}

async function withinMs<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => (timer = setTimeout(() => resolve(undefined), ms)));
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
