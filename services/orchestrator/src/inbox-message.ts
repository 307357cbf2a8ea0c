import {
  attemptResult,
  attemptStart,
  type AttemptResult,
  type CloudEvent,
  type InboxAddress,
  LIMITS,
  type LlmContent,
  messageParked,
  type MessageParked,
  parkedRetry,
  type Parsed,
  parseCloudEvent,
  parseInbox,
  parseMessage,
  type ParkReason,
  subjectErase,
  taskCancel,
  taskErase,
  taskFork,
  taskSubmit,
  type TaskSubmit,
  taskTopUp,
  TYPES,
  WORKERS,
} from '@mandate/contracts';
import {
  type AgentId,
  type Answer,
  type AttemptId,
  isRequestId,
  isTenantId,
  partitionOf,
  partitionOfRequest,
  type RequestId,
  type TaskOptions,
  type WorkflowInput,
} from '@mandate/domain';
import { validTraceparent } from '@mandate/service-kit';
import { type AccountMessage, readAccountMessage } from './accounts/account-message.ts';
import { type AskReader, fingerprint, readCalls } from './asks.ts';
import type { Cause } from './encode-decision.ts';

/** What came in, checked: whose it is comes from the subject that the server let it be published on, never from its claim. */
export type InboxMessage =
  | {
      readonly kind: 'submit';
      readonly tenant: string;
      readonly request: RequestId;
      readonly source: 'gateway' | 'bus';
      readonly task: string;
      readonly taskBytes: number;
      readonly options: TaskOptions;
      /** Whom it is about. */
      readonly dataSubject: string | undefined;
      /** What the same request must say again. */
      readonly body: string;
      readonly cause: Cause;
    }
  | {
      readonly kind: 'fork';
      readonly tenant: string;
      readonly request: RequestId;
      readonly source: 'gateway' | 'bus';
      readonly origin: { readonly workflow: string; readonly version: number };
      /** Undefined: as the origin's. */
      readonly task: string | undefined;
      readonly options: TaskOptions;
      readonly allowed: readonly string[];
      /** What the same request must say again. */
      readonly body: string;
      readonly cause: Cause;
    }
  | {
      readonly kind: 'cancel';
      readonly tenant: string;
      readonly request: RequestId;
      readonly workflow: string;
      readonly agent: AgentId | undefined;
      readonly content: unknown;
      readonly cause: Cause;
    }
  | {
      readonly kind: 'top_up';
      readonly tenant: string;
      readonly request: RequestId;
      readonly workflow: string;
      readonly input: Extract<WorkflowInput, { kind: 'top_up' }>;
      readonly cause: Cause;
    }
  | {
      readonly kind: 'erase';
      readonly tenant: string;
      readonly request: RequestId;
      readonly workflow: string;
      readonly of: 'workflow' | 'data_subject';
      readonly cause: Cause;
    }
  | {
      readonly kind: 'erase_subject';
      readonly tenant: string;
      readonly request: RequestId;
      readonly dataSubject: string;
      readonly cause: Cause;
    }
  | {
      readonly kind: 'start';
      readonly tenant: string;
      readonly workflow: string;
      readonly input: Extract<WorkflowInput, { kind: 'start' }>;
      readonly cause: Cause;
    }
  | { readonly kind: 'result'; readonly tenant: string; readonly workflow: string; readonly result: AttemptResult; readonly cause: Cause }
  | { readonly kind: 'parked'; readonly report: MessageParked }
  /** Handle again what was parked after so many failures. */
  | { readonly kind: 'parked_retry'; readonly id: number; readonly attempts: number }
  | AccountMessage;

export type Read = { readonly ok: true; readonly message: InboxMessage } | Unreadable;
export interface Unreadable {
  readonly ok: false;
  readonly reason: ParkReason;
  readonly detail: string;
  /** Where a refusal can be told, when that much is known. */
  readonly replyTo?: { readonly tenant: string; readonly request: string };
}

const no = (reason: ParkReason, detail: string, replyTo?: Unreadable['replyTo']): Unreadable => ({
  ok: false,
  reason,
  detail,
  ...(replyTo === undefined ? {} : { replyTo }),
});

export function readInboxMessage(subject: string, bytes: Uint8Array): Read {
  const address = parseInbox(subject);
  if (address === undefined || !isTenantId(address.tenant)) return no('invalid_data', 'not an inbox subject with a tenant');
  const outside = address.source === 'task';
  const replyTo =
    outside && address.request !== undefined && isRequestId(address.request)
      ? { tenant: address.tenant, request: address.request }
      : undefined;
  const event = parseCloudEvent(bytes, outside || address.source === 'gateway' ? LIMITS.requestBytes : LIMITS.messageBytes * 2);
  if (!event.ok) return no(event.reason, event.detail, replyTo);
  if (event.value.tenant !== undefined && event.value.tenant !== address.tenant)
    return no('foreign_tenant', 'the tenant attribute is not the tenant of the credential', replyTo);
  const request = outside ? address.request : event.value.subject;
  // What is not a trace context is nobody's words in the log: it is left out.
  const traceparent = validTraceparent(event.value.traceparent);
  return byType(
    address,
    { ...event.value, traceparent },
    request,
    replyTo ??
      (address.source === 'gateway' && request !== undefined && isRequestId(request) ? { tenant: address.tenant, request } : undefined),
  );
}

/** Who may send what: tenants and the gateway submit and cancel, workers answer. */
function byType(address: InboxAddress, event: CloudEvent, request: string | undefined, replyTo: Unreadable['replyTo']): Read {
  const account = readAccountMessage(address, event, actorOf(address, event));
  if (account !== undefined) return account;
  const client = address.source === 'task' || address.source === 'gateway';
  const name = event.type.slice(0, event.type.lastIndexOf('.'));
  const is = (type: string): boolean => name === type.slice(0, type.lastIndexOf('.'));
  if (client && is(TYPES.taskSubmit)) return submit(address, event, request, replyTo);
  if (client && is(TYPES.taskFork)) return fork(address, event, request, replyTo);
  if (client && is(TYPES.taskCancel)) return cancel(address, event, request, replyTo);
  if (client && is(TYPES.taskTopUp)) return topUp(address, event, request, replyTo);
  if ((client || address.source === 'orchestrator') && is(TYPES.taskErase)) return erase(address, event, request, replyTo);
  if (client && is(TYPES.subjectErase)) return eraseSubject(address, event, request, replyTo);
  if (!client && is(TYPES.attemptResult))
    return fromWorker(address, event, parseMessage(event, TYPES.attemptResult, attemptResult), (result, cause) => ({
      kind: 'result',
      tenant: address.tenant,
      workflow: result.workflow,
      result,
      cause,
    }));
  if (address.source === 'tool-runner' && is(TYPES.attemptStart)) {
    return fromWorker(address, event, parseMessage(event, TYPES.attemptStart, attemptStart), (start, cause) => ({
      kind: 'start',
      tenant: address.tenant,
      workflow: start.workflow,
      input: { kind: 'start', attempt: start.attempt as AttemptId, runner: start.runner },
      cause,
    }));
  }
  if (!client && is(TYPES.messageParked)) return parkedReport(address, parseMessage(event, TYPES.messageParked, messageParked));
  if (address.source === 'orchestrator' && is(TYPES.parkedRetry)) {
    const parsed = parseMessage(event, TYPES.parkedRetry, parkedRetry);
    return parsed.ok ? { ok: true, message: { kind: 'parked_retry', ...parsed.value } } : no(parsed.reason, parsed.detail);
  }
  return no('unknown_type', `${address.source} may not send this type`, replyTo);
}

/** A worker reports commands of its own: what is said of others' messages would be handled as theirs when it is retried. */
function parkedReport(address: InboxAddress, parsed: Parsed<MessageParked>): Read {
  if (!parsed.ok) return no(parsed.reason, parsed.detail);
  const { service, subject, tenant } = parsed.value;
  const kind = Object.entries(WORKERS).find(([, { consumer }]) => consumer === address.source)?.[0];
  const isItsOwn = service === address.source && kind !== undefined && subject.startsWith(`cmd.${kind}.`);
  if (!isItsOwn || (tenant ?? 'none') !== address.tenant) return no('invalid_data', `${address.source} parks commands of its own alone`);
  return { ok: true, message: { kind: 'parked', report: parsed.value } };
}

function submit(address: InboxAddress, event: CloudEvent, request: string | undefined, replyTo: Unreadable['replyTo']): Read {
  if (request === undefined || !isRequestId(request))
    return no('invalid_data', 'the request id must be 1 to 64 of A-Z a-z 0-9 _ -', replyTo);
  const parsed = parseMessage(event, TYPES.taskSubmit, taskSubmit);
  if (!parsed.ok) return no(parsed.reason, parsed.detail, replyTo);
  if (partitionOfRequest(address.tenant, request) !== address.partition)
    return no('wrong_partition', `request is not of partition ${address.partition}`, replyTo);
  // The person is nobody's fact: it goes no further than the keys.
  const { dataSubject, ...options } = parsed.value.options ?? {};
  return {
    ok: true,
    message: {
      kind: 'submit',
      tenant: address.tenant,
      request,
      source: address.source === 'task' ? 'bus' : 'gateway',
      task: parsed.value.task,
      taskBytes: Buffer.byteLength(parsed.value.task),
      options: options as TaskOptions,
      dataSubject,
      body: bodyOf(parsed.value),
      cause: { actor: actorOf(address, event), causation: request, message: event.id, traceparent: event.traceparent },
    },
  };
}

function fork(address: InboxAddress, event: CloudEvent, request: string | undefined, replyTo: Unreadable['replyTo']): Read {
  if (request === undefined || !isRequestId(request)) return noRequest(replyTo);
  const parsed = parseMessage(event, TYPES.taskFork, taskFork);
  if (!parsed.ok) return no(parsed.reason, parsed.detail, replyTo);
  if (partitionOfRequest(address.tenant, request) !== address.partition)
    return no('wrong_partition', `request is not of partition ${address.partition}`, replyTo);
  const { origin, version, task, options, allowEffects = [] } = parsed.value;
  return {
    ok: true,
    message: {
      kind: 'fork',
      tenant: address.tenant,
      request,
      source: address.source === 'task' ? 'bus' : 'gateway',
      origin: { workflow: origin, version },
      task,
      options: options as TaskOptions,
      allowed: allowEffects,
      body: JSON.stringify(['fork', origin, version, task ?? null, allowEffects, sorted(options)]),
      cause: { actor: actorOf(address, event), causation: request, message: event.id, traceparent: event.traceparent },
    },
  };
}

function cancel(address: InboxAddress, event: CloudEvent, request: string | undefined, replyTo: Unreadable['replyTo']): Read {
  if (request === undefined || !isRequestId(request))
    return no('invalid_data', 'the request id must be 1 to 64 of A-Z a-z 0-9 _ -', replyTo);
  const parsed = parseMessage(event, TYPES.taskCancel, taskCancel);
  if (!parsed.ok) return no(parsed.reason, parsed.detail, replyTo);
  const { workflow, reason, agent } = parsed.value;
  if (partitionOf(workflow) !== address.partition)
    return no('wrong_partition', 'a task is cancelled on the subject of the request that started it', replyTo);
  return {
    ok: true,
    message: {
      kind: 'cancel',
      tenant: address.tenant,
      request,
      workflow,
      agent: agent as AgentId | undefined,
      content: reason === undefined ? undefined : { reason },
      cause: { actor: actorOf(address, event), causation: request, message: event.id, traceparent: event.traceparent },
    },
  };
}

function topUp(address: InboxAddress, event: CloudEvent, request: string | undefined, replyTo: Unreadable['replyTo']): Read {
  if (request === undefined || !isRequestId(request))
    return no('invalid_data', 'the request id must be 1 to 64 of A-Z a-z 0-9 _ -', replyTo);
  const parsed = parseMessage(event, TYPES.taskTopUp, taskTopUp);
  if (!parsed.ok) return no(parsed.reason, parsed.detail, replyTo);
  const { workflow, moneyMicroUsd = 0, tokens = 0, modelCalls = 0, toolCalls = 0, deadlineMs } = parsed.value;
  if (partitionOf(workflow) !== address.partition)
    return no('wrong_partition', 'a task is topped up on the subject of the request that started it', replyTo);
  const added = { moneyMicroUsd, tokens, modelCalls, toolCalls };
  return {
    ok: true,
    message: {
      kind: 'top_up',
      tenant: address.tenant,
      request,
      workflow,
      input: { kind: 'top_up', request, added, ...(deadlineMs === undefined ? {} : { deadlineMs }) },
      cause: { actor: actorOf(address, event), causation: request, message: event.id, traceparent: event.traceparent },
    },
  };
}

function erase(address: InboxAddress, event: CloudEvent, request: string | undefined, replyTo: Unreadable['replyTo']): Read {
  if (request === undefined || !isRequestId(request)) return noRequest(replyTo);
  const parsed = parseMessage(event, TYPES.taskErase, taskErase);
  if (!parsed.ok) return no(parsed.reason, parsed.detail, replyTo);
  const { workflow, forSubject } = parsed.value;
  if (partitionOf(workflow) !== address.partition)
    return no('wrong_partition', 'a task is erased on the subject of the request that started it', replyTo);
  const fanned = address.source === 'orchestrator' ? forSubject : undefined;
  return {
    ok: true,
    message: {
      kind: 'erase',
      tenant: address.tenant,
      request,
      workflow,
      of: fanned === undefined ? 'workflow' : 'data_subject',
      cause: {
        actor: fanned?.askedBy ?? actorOf(address, event),
        causation: request,
        message: event.id,
        traceparent: event.traceparent,
      },
    },
  };
}

function eraseSubject(address: InboxAddress, event: CloudEvent, request: string | undefined, replyTo: Unreadable['replyTo']): Read {
  if (request === undefined || !isRequestId(request)) return noRequest(replyTo);
  const parsed = parseMessage(event, TYPES.subjectErase, subjectErase);
  if (!parsed.ok) return no(parsed.reason, parsed.detail, replyTo);
  return {
    ok: true,
    message: {
      kind: 'erase_subject',
      tenant: address.tenant,
      request,
      dataSubject: parsed.value.dataSubject,
      cause: { actor: actorOf(address, event), causation: request, message: event.id, traceparent: event.traceparent },
    },
  };
}

const noRequest = (replyTo: Unreadable['replyTo']): Unreadable =>
  no('invalid_data', 'the request id must be 1 to 64 of A-Z a-z 0-9 _ -', replyTo);

function fromWorker<T extends { readonly workflow: string }>(
  address: InboxAddress,
  event: CloudEvent,
  parsed: Parsed<T>,
  build: (value: T, cause: Cause) => InboxMessage,
): Read {
  if (!parsed.ok) return no(parsed.reason, parsed.detail);
  if (partitionOf(parsed.value.workflow) !== address.partition)
    return no('wrong_partition', `workflow is not of partition ${address.partition}`);
  return {
    ok: true,
    message: build(parsed.value, {
      actor: actorOf(address, event),
      causation: event.causationid ?? event.id,
      traceparent: event.traceparent,
    }),
  };
}

/** `tenant/<name>` for the bus; `key/<id>` for the gateway's callers, as it says in its source; `service/<name>/<instance>` for workers. */
function actorOf(address: InboxAddress, event: CloudEvent): string {
  if (address.source === 'task') return `tenant/${address.tenant}`;
  const key = address.source === 'gateway' ? /\/key\/([^/]+)$/.exec(event.source)?.[1] : undefined;
  return key === undefined ? `service/${event.source.replace(/^\/mandate\//, '')}`.slice(0, 200) : `key/${key}`;
}

/** Task and options as one text, whatever the order of the options. */
function bodyOf(body: TaskSubmit): string {
  return JSON.stringify([body.task, sorted(body.options ?? {})]);
}

const sorted = (options: object): readonly (readonly [string, unknown])[] => Object.entries(options).sort(([a], [b]) => (a < b ? -1 : 1));

/** How a model's answer is read; undefined for an attempt that is not open: its calls are then nobody's. */
export interface AnswerReader extends AskReader {
  /** Equal answers are to be counted. */
  readonly votes: boolean;
}

/** A worker's answer, parted into facts for the log and content for the encrypted table. */
export function partResult(
  result: AttemptResult,
  reader: AnswerReader | undefined,
): { readonly input: Extract<WorkflowInput, { kind: 'result' }>; readonly content: unknown } {
  const { failure, answer } = result;
  const read = answer === undefined ? undefined : readAnswer(answer, reader);
  return {
    input: {
      kind: 'result',
      attempt: result.attempt as AttemptId,
      outcome: result.outcome,
      ...(read === undefined ? {} : { answer: read.facts }),
      ...(failure === undefined
        ? {}
        : {
            failure: {
              code: failure.code,
              retryable: failure.retryable,
              billed: failure.billed,
              ...(failure.retryAfterMs === undefined ? {} : { retryAfterMs: failure.retryAfterMs }),
            },
          }),
      worker: result.worker,
      durationMs: result.durationMs,
    },
    content: read === undefined ? failureContent(failure) : read.content,
  };
}

function readAnswer(
  answer: NonNullable<AttemptResult['answer']>,
  reader: AnswerReader | undefined,
): { readonly facts: Answer; readonly content: unknown } {
  if (answer.kind === 'analyze') return { facts: answer, content: undefined };
  if (answer.kind === 'tool') {
    const { isError, truncated, content } = answer;
    return {
      facts: { kind: 'tool', isError, truncated, resultBytes: Buffer.byteLength(content.text) },
      content: { text: content.text, isError },
    };
  }
  const { content, ...facts } = answer;
  const calls = reader === undefined ? unreadCalls(content) : readCalls(content, reader);
  return {
    facts: {
      ...facts,
      textBytes: Buffer.byteLength(content.text),
      calls: calls.facts,
      ...(reader?.votes === true ? { fingerprint: fingerprint(content.text, reader.key) } : {}),
    },
    content: calls.content,
  };
}

const unreadCalls = (content: LlmContent): ReturnType<typeof readCalls> => ({
  facts: content.calls.map((call) => ({ tool: null, argsBytes: Buffer.byteLength(JSON.stringify(call.args) ?? '') })),
  content,
});

const failureContent = (failure: AttemptResult['failure']): unknown =>
  failure?.message === undefined ? undefined : { code: failure.code, message: failure.message };
