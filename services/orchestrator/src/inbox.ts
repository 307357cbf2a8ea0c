import { PARK_REASONS, subjects, type SubjectReceipt, type TaskErase, TYPES, workflowIdFor } from '@mandate/contracts';
import {
  type Decision,
  forkChanges,
  isRequestId,
  isWorkflowId,
  type OpenAttempt,
  partitionOf,
  REFUSALS,
  type Refusal,
  type RefusalCode,
  rootOf,
  submittedBefore,
  type WorkflowEvent,
  type WorkflowInput,
} from '@mandate/domain';
import { Fenced, seal, sha256Hex, StoreUnavailable, WrongExpectedVersion } from '@mandate/event-store';
import type { Delivery } from '@mandate/messaging';
import { crashPoint, validTraceparent } from '@mandate/service-kit';
import type { AccountDesk } from './accounts/account-desk.ts';
import { readerFor, teamFor } from './answer-reader.ts';
import { fingerprint } from './asks.ts';
import type { Decisions, Shared } from './decisions.ts';
import type { Erasures } from './erasures.ts';
import { type InboxMessage, partResult, type Read, readInboxMessage, type Unreadable } from './inbox-message.ts';
import { keyedHash } from './keyed-hash.ts';
import { readOrigin } from './origins.ts';
import { openParked } from './parked/parked-desk.ts';
import { asRefusal, rejectionIn } from './told.ts';
import { type Held, Superseded, type WorkflowMemory } from './workflow-memory.ts';

/** Not yet possible; the message waits on the bus. */
class NotReady extends Error {
  override readonly name = 'NotReady';
}

/** A message whose handler fails this often is parked. Waiting for the store, the bus or another owner is no failure. */
const PARK_AFTER = 5;
/** Whoever sees the first event of a task sees it submitted: the same for a request that is repeated. */
const SUBMITTED = 1;

/** Takes one message at a time from a partition's inbox to its end: handled, parked with its reason, or left for later. */
export class Inbox {
  readonly #shared: Shared;
  readonly #partition: number;
  readonly #memory: WorkflowMemory;
  readonly #decisions: Decisions;
  readonly #desk: AccountDesk;
  readonly #erasures: Erasures;
  /** Failures of messages that are still to be tried again, by their sequence. */
  readonly #failures = new Map<number, number>();

  constructor(
    shared: Shared,
    partition: number,
    parts: { readonly memory: WorkflowMemory; readonly decisions: Decisions; readonly desk: AccountDesk; readonly erasures: Erasures },
  ) {
    this.#shared = shared;
    this.#partition = partition;
    this.#memory = parts.memory;
    this.#decisions = parts.decisions;
    this.#desk = parts.desk;
    this.#erasures = parts.erasures;
  }

  async receive(delivery: Delivery): Promise<void> {
    const started = performance.now();
    const read = readInboxMessage(delivery.subject, delivery.bytes);
    try {
      if (read.ok) await this.#handle(read.message);
      else await this.#park(delivery, read);
      crashPoint(`orchestrator:before-ack:${read.ok ? read.message.kind : 'parked'}`);
      delivery.ack();
      this.#failures.delete(delivery.sequence);
      this.#shared.meters.handled(read.ok ? read.message.kind : 'parked', started);
    } catch (error) {
      await this.#failed(delivery, read, error as Error);
    }
  }

  async #failed(delivery: Delivery, read: Read, error: Error): Promise<void> {
    if (error instanceof Fenced) {
      this.#shared.onFenced();
      return delivery.retry(250);
    }
    if (error instanceof WrongExpectedVersion || error instanceof Superseded) return delivery.retry(20);
    if (error instanceof StoreUnavailable || error instanceof NotReady) {
      if (delivery.deliveries % 20 === 1) this.#shared.logger.warn({ partition: this.#partition, problem: error.message }, 'message waits');
      return delivery.retry(250);
    }
    const failures = (this.#failures.get(delivery.sequence) ?? 0) + 1;
    this.#failures.set(delivery.sequence, failures);
    this.#shared.logger.error({ err: error, subject: delivery.subject, failures }, 'handler failed');
    // Spread, so that what fails does not meet the same neighbours in its next batch.
    if (failures < PARK_AFTER) return delivery.retry(200 * failures + (delivery.sequence % 7) * 50);
    const why = { reason: 'handler_failed', detail: error.name } as const;
    const parking =
      read.ok && read.message.kind === 'parked_retry'
        ? this.#parkAgain(read.message, delivery.subject, why)
        : this.#park(delivery, { ok: false, ...why });
    await parking.then(
      () => delivery.ack(),
      () => delivery.retry(1_000),
    );
    this.#failures.delete(delivery.sequence);
  }

  async #handle(message: InboxMessage): Promise<void> {
    switch (message.kind) {
      case 'submit':
        return this.#submit(message);
      case 'fork':
        return this.#fork(message);
      case 'cancel':
        return this.#cancel(message);
      case 'top_up':
        return this.#topUp(message);
      case 'erase':
        return this.#erase(message);
      case 'erase_subject':
        return this.#eraseSubject(message);
      case 'start':
        return this.#start(message);
      case 'result':
        return this.#result(message);
      case 'parked':
        return this.#parkReported(message);
      case 'parked_retry':
        return this.#retryParked(message);
      case 'account':
        return this.#desk.handle(message);
      case 'lease_answer':
        return this.#leaseAnswered(message);
    }
  }

  async #submit(message: Extract<InboxMessage, { kind: 'submit' }>): Promise<void> {
    const { tenant, request, options, cause } = message;
    const workflow = workflowIdFor(tenant, request);
    const environment = this.#shared.catalogs.environment(tenant, options);
    if (environment === undefined) throw new NotReady(`missing: ${this.#shared.catalogs.missing.join(', ')}`);
    const lease = this.#shared.standings.isLimited(tenant);
    if (lease === undefined) throw new NotReady('missing: word of the owner of this tenant’s account');
    const held = await this.#beginning(workflow, message);
    await this.#noteSubject(held, message);
    const { decision, done } = this.#decisions.decide(
      held,
      {
        kind: 'submit',
        request,
        source: message.source,
        bodyHash: bodyHashOf(held, message.body),
        taskBytes: message.taskBytes,
        options,
        environment: { ...environment, fingerprint: held.key === undefined ? '' : fingerprint(message.task, held.key.key), lease },
      },
      { task: message.task },
      cause,
    );
    await done;
    this.#answerSubmission(held, decision, message);
    this.#memory.forgetEnded(held);
  }

  /** The workflow that a request begins, with a key of its own. */
  async #beginning(workflow: string, { tenant, request, cause }: Pick<Submitted, 'tenant' | 'request' | 'cause'>): Promise<Held> {
    const held = await this.#memory.get(workflow);
    if (held.state.version > 0) return held;
    const key = await this.#shared.keys.fresh();
    // Two copies of one submission may have come this far: the first one's key is the workflow's.
    if (held.state.version === 0)
      Object.assign(held, { key: held.key ?? key, tenant, correlation: request, trace: cause.traceparent, actor: cause.actor });
    return held;
  }

  /** Another run with the past of one that is there. What it is told from then on, `Reuses` reads from the origin. */
  async #fork(message: Extract<InboxMessage, { kind: 'fork' }>): Promise<void> {
    const { tenant, request, cause } = message;
    const lease = this.#shared.standings.isLimited(tenant);
    if (lease === undefined) throw new NotReady('missing: word of the owner of this tenant’s account');
    const held = await this.#beginning(workflowIdFor(tenant, request), message);
    const before = submittedBefore({ request, bodyHash: bodyHashOf(held, message.body) }, held.state);
    if (before !== undefined) {
      await held.committed;
      this.#answerSubmission(held, before, message);
      return this.#memory.forgetEnded(held);
    }
    await this.#noteSubjectOf(message.origin.workflow, held);
    const origin = await readOrigin(this.#shared, tenant, message.origin);
    if ('code' in origin) return this.#refuseFork(held, message, origin);
    const options = { ...origin.state.submitted?.options, ...message.options };
    const found = this.#shared.catalogs.environment(tenant, options);
    if (found === undefined) throw new NotReady(`missing: ${this.#shared.catalogs.missing.join(', ')}`);
    const task = message.task ?? origin.task;
    const isOther = task !== origin.task;
    const environment = {
      ...found,
      // A run goes on by the rules that it was granted.
      edition: rootOf(origin.state)?.granted.edition ?? found.edition,
      fingerprint: held.key === undefined ? '' : fingerprint(task, held.key.key),
      lease,
    };
    const { decision, done } = this.#decisions.decide(
      held,
      {
        kind: 'fork',
        request,
        source: message.source,
        bodyHash: bodyHashOf(held, message.body),
        taskBytes: Buffer.byteLength(task),
        options,
        environment,
        origin: { ...message.origin, hash: origin.hash },
        hops: (origin.state.forked?.data.hops ?? 0) + 1,
        firewall: { allowed: message.allowed },
        changed: forkChanges(origin.state, { environment, options, task: isOther }),
        reuse: isOther ? { steps: [], until: 'task_changed' } : origin.reusable,
      },
      { task },
      cause,
    );
    await done;
    this.#answerSubmission(held, decision, message);
    this.#memory.forgetEnded(held);
  }

  #refuseFork(held: Held, { tenant, request, cause }: Extract<InboxMessage, { kind: 'fork' }>, no: Refusal): void {
    this.#shared.told.refused(tenant, request, asRefusal(no), { workflow: held.id, message: cause.message });
    this.#memory.forgetEnded(held);
  }

  /** Whoever the origin is about, the fork is about: noted before the origin is read, so that erasing them finds both. */
  async #noteSubjectOf(origin: string, held: Held): Promise<void> {
    const { keys } = this.#shared;
    const subject = held.key === undefined ? undefined : await keys.subjectOf(origin, held.tenant);
    if (held.key !== undefined && subject !== undefined) await keys.note(held.key.id, { workflow: held.id, tenant: held.tenant, subject });
  }

  /** Before anything of the task is stored: what is about somebody is found by them from the first byte on. */
  async #noteSubject(held: Held, { tenant, dataSubject }: Extract<InboxMessage, { kind: 'submit' }>): Promise<void> {
    if (dataSubject === undefined || held.key === undefined || held.state.version > 0) return;
    const { keys } = this.#shared;
    await keys.note(held.key.id, { workflow: held.id, tenant, subject: await keys.digest('subject', tenant, dataSubject) });
  }

  #answerSubmission(held: Held, decision: Decision<WorkflowEvent>, { tenant, request, cause }: Submitted): void {
    if (decision.kind === 'refused')
      return this.#shared.told.refused(tenant, request, asRefusal(decision.refusal), { workflow: held.id, message: cause.message });
    const rejected =
      decision.kind === 'events' ? rejectionIn(decision.events) : held.state.phase === 'rejected' ? held.state.failure : undefined;
    if (rejected !== undefined)
      return this.#shared.told.refused(
        tenant,
        request,
        { ...rejected, next: REFUSALS[rejected.code as RefusalCode] },
        { workflow: held.id, message: cause.message },
      );
    this.#shared.told.accepted(held, request, decision.kind === 'nothing', SUBMITTED, cause);
    if (decision.kind === 'nothing') this.#shared.told.result(held, cause.traceparent);
  }

  async #cancel(message: Extract<InboxMessage, { kind: 'cancel' }>): Promise<void> {
    const { request, agent } = message;
    await this.#command(message, { kind: 'cancel', request, ...(agent === undefined ? {} : { agent }) }, message.content);
  }

  async #topUp(message: Extract<InboxMessage, { kind: 'top_up' }>): Promise<void> {
    const lease = this.#shared.standings.isLimited(message.tenant);
    if (lease === undefined) throw new NotReady('missing: word of the owner of this tenant’s account');
    await this.#command(message, { ...message.input, lease }, undefined);
  }

  /** What a client wants of a workflow that is there. */
  async #command(message: Extract<InboxMessage, { kind: 'cancel' | 'top_up' }>, input: WorkflowInput, content: unknown): Promise<void> {
    const { tenant, request } = message;
    const held = await this.#memory.get(message.workflow);
    if (held.tenant !== tenant) {
      this.#memory.forgetEnded(held);
      return this.#shared.told.refused(tenant, request, {
        code: 'WorkflowUnknown',
        message: 'There is no such workflow.',
        next: REFUSALS.WorkflowUnknown,
      });
    }
    const { decision, done } = this.#decisions.decide(held, input, content, message.cause);
    await done;
    if (decision.kind === 'refused')
      this.#shared.told.refused(tenant, request, asRefusal(decision.refusal), { workflow: held.id, message: message.cause.message });
    else this.#shared.told.accepted(held, request, decision.kind === 'nothing', held.state.version, message.cause);
    this.#memory.forgetEnded(held);
  }

  async #erase(message: Extract<InboxMessage, { kind: 'erase' }>): Promise<void> {
    const { tenant, request, of, cause } = message;
    const held = await this.#memory.get(message.workflow);
    if (held.state.version === 0 && of === 'data_subject') {
      // Its submission is just being decided.
      if (held.key !== undefined) throw new NotReady('missing: the submission of a workflow that is to be erased');
      this.#memory.forgetEnded(held);
      // It was noted and never submitted; if it is yet to be, that is another key.
      return void (await this.#shared.keys.destroy(message.workflow, []));
    }
    if (held.tenant !== tenant || held.state.version === 0) {
      this.#memory.forgetEnded(held);
      return this.#shared.told.refused(tenant, request, {
        code: 'WorkflowUnknown',
        message: 'There is no such workflow.',
        next: REFUSALS.WorkflowUnknown,
      });
    }
    const { decision, done } = this.#decisions.decide(held, { kind: 'erase', request, of }, undefined, cause);
    await done;
    // Confirmed when the keys are gone; until then the message is not acknowledged, and comes again.
    await this.#erasures.carryOut(held);
    this.#shared.told.accepted(held, request, decision.kind === 'nothing', held.state.version, cause);
  }

  /** Every workflow that names this person, by way of its own owner. Their messages are stored before this one is done. */
  async #eraseSubject({ tenant, request, dataSubject, cause }: Extract<InboxMessage, { kind: 'erase_subject' }>): Promise<void> {
    const { keys, bus, instance, told } = this.#shared;
    const found = await keys.ofSubject(tenant, await keys.digest('subject', tenant, dataSubject));
    await Promise.all(
      found.map(({ workflow }) => {
        const data: TaskErase = { workflow, forSubject: { askedBy: cause.actor } };
        const id = `${request}.${workflow}`;
        const head = {
          specversion: '1.0',
          id,
          source: `/mandate/orchestrator/${instance}`,
          type: TYPES.taskErase,
          subject: request,
          tenant,
        };
        const inbox = subjects.inbox(partitionOf(workflow) ?? this.#partition, 'orchestrator', tenant);
        const { traceparent } = cause;
        return bus.publish(inbox, JSON.stringify({ ...head, time: new Date().toISOString(), traceparent, data }), { id });
      }),
    );
    const workflows = found.slice(0, 1_000).map(({ workflow }) => workflow);
    const receipt: SubjectReceipt = { request, workflows, total: found.length };
    told.subjectReceipt(tenant, receipt, cause);
  }

  async #start(message: Extract<InboxMessage, { kind: 'start' }>): Promise<void> {
    const held = await this.#memory.get(message.workflow);
    const { runner, attempt } = message.input;
    const answer = { workflow: message.workflow, attempt };
    if (held.tenant !== message.tenant) {
      this.#memory.forgetEnded(held);
      return this.#shared.told.grant(runner, { ...answer, granted: false });
    }
    const { decision, done } = this.#decisions.decide(held, message.input, undefined, message.cause);
    await done;
    const other = held.state.attempts.get(attempt)?.runner;
    if (decision.kind === 'refused')
      this.#shared.told.grant(runner, { ...answer, granted: false, ...(other === undefined ? {} : { runner: other }) });
    else this.#shared.told.grant(runner, { ...answer, granted: true });
    this.#memory.forgetEnded(held);
  }

  async #result(message: Extract<InboxMessage, { kind: 'result' }>): Promise<void> {
    const held = await this.#memory.get(message.workflow);
    if (held.tenant !== message.tenant) {
      // Absent or foreign: nothing of ours can be waiting for it.
      return this.#memory.forgetEnded(held);
    }
    const attempt = held.state.attempts.get(message.result.attempt as OpenAttempt['id']);
    const { input, content } = partResult(message.result, readerFor(this.#shared, held, attempt));
    const { decision, done } = this.#decisions.decide(
      held,
      { ...input, ...teamFor(this.#shared, held, attempt, input) },
      attempt === undefined ? undefined : content,
      message.cause,
    );
    await done;
    if (decision.kind === 'refused')
      this.#shared.logger.warn({ workflow: held.id, code: decision.refusal.code, message: decision.refusal.message }, 'answer refused');
    this.#memory.forgetEnded(held);
  }

  async #leaseAnswered(message: Extract<InboxMessage, { kind: 'lease_answer' }>): Promise<void> {
    const held = await this.#memory.get(message.workflow);
    if (held.tenant !== message.tenant) return this.#memory.forgetEnded(held);
    const { answer, number } = message;
    const { done } = this.#decisions.decide(
      held,
      answer.granted
        ? { kind: 'allowance', number, granted: true }
        : { kind: 'allowance', number, granted: false, code: answer.code, message: answer.message },
      undefined,
      message.cause,
    );
    await done;
    this.#memory.forgetEnded(held);
  }

  /** As if it had just come in. What was decided or has failed since is left alone: it is somebody's next decision. */
  async #retryParked(retry: Retry): Promise<void> {
    const { log, keys } = this.#shared;
    const row = await log.parkedMessage(retry.id);
    if (row?.status !== 'retrying' || row.attempts !== retry.attempts || Number(row.subject.split('.')[1]) !== this.#partition) return;
    const body = await openParked(keys, row);
    const read: Read =
      body === undefined ? { ok: false, reason: 'invalid_data', detail: 'its words were erased' } : readInboxMessage(row.subject, body);
    if (!read.ok) return this.#parkAgain(retry, row.subject, read);
    await this.#handle(read.message);
    await log.decideParked(retry.id, retry.attempts, ['retrying'], { status: 'retried' });
  }

  async #parkAgain({ id, attempts }: Retry, subject: string, { reason, detail }: Pick<Unreadable, 'reason' | 'detail'>): Promise<void> {
    await this.#shared.log.parkAgain(id, attempts, { reason, detail: detail.slice(0, 1_000) });
    this.#shared.meters.parked(reason);
    this.#shared.logger.warn({ parked: `m${id}`, subject, reason, detail, attempts: attempts + 1 }, 'message parked again');
  }

  /** The workflow whose words a message holds, as far as it can be read. */
  #workflowIn(subject: string, body: Buffer): string | undefined {
    const [, , source, tenant, request] = subject.split('.');
    try {
      const { subject: named, data } = JSON.parse(body.toString('utf8')) as { subject?: unknown; data?: { workflow?: unknown } };
      if (typeof data?.workflow === 'string') return isWorkflowId(data.workflow) ? data.workflow : undefined;
      const asked = source === 'task' ? request : named;
      return typeof asked === 'string' && isRequestId(asked) && tenant !== undefined ? workflowIdFor(tenant, asked) : undefined;
    } catch {
      return undefined;
    }
  }

  /** What comes in about an erased workflow is not kept either. */
  async #isErased(workflow: string): Promise<boolean> {
    if (partitionOf(workflow) !== this.#partition) return false;
    const held = await this.#memory.get(workflow);
    this.#memory.forgetEnded(held);
    return held.state.erasure !== undefined;
  }

  async #parkReported({ report }: Extract<InboxMessage, { kind: 'parked' }>): Promise<void> {
    const body = Buffer.from(report.body, 'base64');
    const { signature } = report;
    await this.#storeParked(report.service, report.tenant, report.subject, report, body, {
      whole: sha256Hex(body) === report.bytesSha256,
      signature,
    });
  }

  async #park(delivery: Delivery, unreadable: Unreadable): Promise<void> {
    const tenant = delivery.subject.split('.')[3] ?? null;
    await this.#storeParked('orchestrator', tenant, delivery.subject, unreadable, Buffer.from(delivery.bytes));
    if (unreadable.replyTo !== undefined) {
      const { replyTo, reason, detail } = unreadable;
      this.#shared.told.refused(replyTo.tenant, replyTo.request, { code: reason, message: detail, next: PARK_REASONS[reason] });
    }
  }

  async #storeParked(
    service: string,
    tenant: string | null,
    subject: string,
    why: Pick<Unreadable, 'reason' | 'detail'>,
    body: Buffer,
    command: { readonly whole?: boolean; readonly signature?: string | undefined } = {},
  ): Promise<void> {
    const workflow = this.#workflowIn(subject, body);
    const key = await this.#shared.keys.fresh();
    // Erased with the workflow, if it is known whose words they are.
    if (workflow !== undefined) await this.#shared.keys.note(key.id, { workflow, tenant: tenant ?? '' });
    const sha256 = await this.#shared.keys.digest('parked', tenant ?? '', body);
    await this.#shared.log.park({
      service,
      tenant,
      subject,
      reason: why.reason,
      detail: why.detail.slice(0, 1_000),
      sha256,
      keyId: key.id,
      body: seal(key.key, `parked/${sha256}`, body),
      traceparent: traceparentIn(body),
      ...command,
    });
    if (workflow !== undefined && (await this.#isErased(workflow))) await this.#shared.keys.destroy(workflow, [key.id]);
    this.#shared.meters.parked(why.reason);
    this.#shared.logger.warn({ subject, reason: why.reason, detail: why.detail }, 'message parked');
  }
}

type Submitted = Extract<InboxMessage, { kind: 'submit' | 'fork' }>;
type Retry = Extract<InboxMessage, { kind: 'parked_retry' }>;

/** Of a message that may be anything. */
function traceparentIn(body: Buffer): string | undefined {
  try {
    const { traceparent } = JSON.parse(body.toString('utf8')) as { traceparent?: unknown };
    return typeof traceparent === 'string' ? validTraceparent(traceparent) : undefined;
  } catch {
    return undefined;
  }
}

/** Keyed since content can be erased; what was submitted before is compared as it was stored then. */
function bodyHashOf(held: Held, body: string): string {
  const plain = sha256Hex(body);
  return held.state.submitted?.bodyHash === plain ? plain : (keyedHash(held, 'body', body) ?? plain);
}
