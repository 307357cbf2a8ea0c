import { PARK_REASONS, workflowIdFor } from '@mandate/contracts';
import { type Decision, type OpenAttempt, REFUSALS, type RefusalCode, type WorkflowEvent } from '@mandate/domain';
import { Fenced, seal, sha256Hex, StoreUnavailable, WrongExpectedVersion } from '@mandate/event-store';
import type { Delivery } from '@mandate/messaging';
import { crashPoint } from '@mandate/service-kit';
import type { Decisions, Shared } from './decisions.ts';
import { type InboxMessage, partResult, readInboxMessage, type Unreadable } from './inbox-message.ts';
import { asRefusal, rejectionIn } from './told.ts';
import { type Held, Superseded, type WorkflowMemory } from './workflow-memory.ts';

/** Not yet possible; the message waits on the bus. */
class NotReady extends Error {
  override readonly name = 'NotReady';
}

/** A message whose handler fails this often is parked. Waiting for the store, the bus or another owner is no failure. */
const PARK_AFTER = 5;

/** Takes one message at a time from a partition's inbox to its end: handled, parked with its reason, or left for later. */
export class Inbox {
  readonly #shared: Shared;
  readonly #partition: number;
  readonly #memory: WorkflowMemory;
  readonly #decisions: Decisions;
  /** Failures of messages that are still to be tried again, by their sequence. */
  readonly #failures = new Map<number, number>();

  constructor(shared: Shared, partition: number, parts: { readonly memory: WorkflowMemory; readonly decisions: Decisions }) {
    this.#shared = shared;
    this.#partition = partition;
    this.#memory = parts.memory;
    this.#decisions = parts.decisions;
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
      await this.#failed(delivery, error as Error);
    }
  }

  async #failed(delivery: Delivery, error: Error): Promise<void> {
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
    await this.#park(delivery, { ok: false, reason: 'handler_failed', detail: error.name }).then(
      () => delivery.ack(),
      () => delivery.retry(1_000),
    );
    this.#failures.delete(delivery.sequence);
  }

  async #handle(message: InboxMessage): Promise<void> {
    switch (message.kind) {
      case 'submit':
        return this.#submit(message);
      case 'cancel':
        return this.#cancel(message);
      case 'start':
        return this.#start(message);
      case 'result':
        return this.#result(message);
      case 'parked':
        return this.#parkReported(message);
    }
  }

  async #submit(message: Extract<InboxMessage, { kind: 'submit' }>): Promise<void> {
    const { tenant, request, options, cause } = message;
    const workflow = workflowIdFor(tenant, request);
    const environment = this.#shared.catalogs.environment(tenant, options);
    if (environment === undefined) throw new NotReady(`missing: ${this.#shared.catalogs.missing.join(', ')}`);
    const held = await this.#memory.get(workflow);
    if (held.state.version === 0) {
      const key = await this.#shared.keys.fresh();
      // Two copies of one submission may have come this far: the first one's key is the workflow's.
      if (held.state.version === 0) Object.assign(held, { key: held.key ?? key, tenant, correlation: request, trace: cause.traceparent });
    }
    const { decision, done } = this.#decisions.decide(
      held,
      { kind: 'submit', request, source: message.source, bodyHash: message.bodyHash, taskBytes: message.taskBytes, options, environment },
      { task: message.task },
      cause,
    );
    await done;
    this.#answerSubmission(held, decision, message);
    this.#memory.forgetEnded(held);
  }

  #answerSubmission(
    held: Held,
    decision: Decision<WorkflowEvent>,
    { tenant, request, cause }: Extract<InboxMessage, { kind: 'submit' }>,
  ): void {
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
    this.#shared.told.accepted(tenant, request, held.id, decision.kind === 'nothing', cause);
    if (decision.kind === 'nothing') this.#shared.told.result(held, cause.traceparent);
  }

  async #cancel(message: Extract<InboxMessage, { kind: 'cancel' }>): Promise<void> {
    const { tenant, request } = message;
    const held = await this.#memory.get(message.workflow);
    if (held.tenant !== tenant) {
      this.#memory.forgetEnded(held);
      return this.#shared.told.refused(tenant, request, {
        code: 'WorkflowUnknown',
        message: 'There is no such workflow to cancel.',
        next: REFUSALS.WorkflowUnknown,
      });
    }
    const { decision, done } = this.#decisions.decide(held, { kind: 'cancel', request }, message.content, message.cause);
    await done;
    if (decision.kind === 'refused')
      this.#shared.told.refused(tenant, request, asRefusal(decision.refusal), { workflow: held.id, message: message.cause.message });
    else this.#shared.told.accepted(tenant, request, held.id, decision.kind === 'nothing', message.cause);
    this.#memory.forgetEnded(held);
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
    const granted = new Set(
      (attempt === undefined ? undefined : held.state.agents.get(attempt.agent))?.granted.tools.map((tool) => tool.name),
    );
    const { input, content } = partResult(message.result, granted);
    const { decision, done } = this.#decisions.decide(held, input, attempt === undefined ? undefined : content, message.cause);
    await done;
    if (decision.kind === 'refused')
      this.#shared.logger.warn({ workflow: held.id, code: decision.refusal.code, message: decision.refusal.message }, 'answer refused');
    this.#memory.forgetEnded(held);
  }

  async #parkReported({ report }: Extract<InboxMessage, { kind: 'parked' }>): Promise<void> {
    const body = Buffer.from(report.body, 'base64');
    await this.#storeParked(report.service, report.tenant, report.subject, report, body);
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
  ): Promise<void> {
    const key = await this.#shared.keys.fresh();
    const sha256 = sha256Hex(body);
    await this.#shared.log.park({
      service,
      tenant,
      subject,
      reason: why.reason,
      detail: why.detail.slice(0, 1_000),
      sha256,
      keyId: key.id,
      body: seal(key.key, `parked/${sha256}`, body),
    });
    this.#shared.meters.parked(why.reason);
    this.#shared.logger.warn({ subject, reason: why.reason, detail: why.detail }, 'message parked');
  }
}
