import { PARK_REASONS, subjects, TYPES, workflowIdFor } from '@mandate/contracts';
import {
  decide,
  type Decision,
  evolve,
  isOpen,
  type OpenAttempt,
  pending,
  REFUSALS,
  type RefusalCode,
  type TimerFired,
  type WorkflowEvent,
  type WorkflowInput,
} from '@mandate/domain';
import {
  type CommitLane,
  type DataKeys,
  type EncodedEvent,
  type EventLog,
  Fenced,
  seal,
  sha256Hex,
  StoreUnavailable,
  type TakenPartition,
  WrongExpectedVersion,
} from '@mandate/event-store';
import { type Bus, consume, type Consumption, type Delivery, sign, SIGNATURE_HEADER } from '@mandate/messaging';
import { crashPoint, type Logger, type Tracing } from '@mandate/service-kit';
import type { Catalogs } from './catalogs.ts';
import { Clock } from './clock.ts';
import { composeCommand } from './compose-command.ts';
import { type Cause, encodeDecision, eventId } from './encode-decision.ts';
import { type InboxMessage, partResult, readInboxMessage, type Unreadable } from './inbox-message.ts';
import type { Meters } from './meters.ts';
import { Relay } from './relay.ts';
import { asRefusal, rejectionIn, type Told } from './told.ts';
import { type Held, WorkflowMemory } from './workflow-memory.ts';

/** What all partitions of a process share. */
export interface Shared {
  readonly bus: Bus;
  readonly log: EventLog;
  readonly keys: DataKeys;
  readonly lane: CommitLane;
  readonly catalogs: Catalogs;
  readonly told: Told;
  readonly logger: Logger;
  readonly tracing: Tracing;
  readonly meters: Meters;
  readonly instance: string;
  readonly logIncarnation: string;
  readonly commandKeys: Readonly<Record<'analyze' | 'llm' | 'tool', string>>;
  /** Incarnation of the bus as this process last saw it. */
  readonly busIncarnation: () => string;
  /** Told once when the partition turned out to be somebody else's. */
  readonly onLost: (partition: number) => void;
}

const ENDS: ReadonlySet<string> = new Set(['task.completed', 'task.failed', 'task.cancelled']);

/** Not yet possible; the message waits on the bus. */
class NotReady extends Error {
  override readonly name = 'NotReady';
}

const COMMAND_TYPE = { analyze: TYPES.analyzeRun, llm: TYPES.llmRun, tool: TYPES.toolRun } as const;
const INBOX_ACK_WAIT_MS = 1_500;
/** How often what could not be told is told again. */
const AGAIN_MS = 400;
/** A message whose handler fails (not the store, not the bus) this often is parked. */
const PARK_AFTER = 5;

/**
 * One partition in the hands of its owner:
 *
 *   inbox ▶ read ▶ decide ▶ commit ▶ acknowledge, publish events, dispatch commands, tell
 *
 * A decision is taken on the state in memory, which runs ahead of the log by what is being committed; nothing leaves the
 * process before its commit. Taking over means: publish what the predecessor may not have published, load what is open,
 * and dispatch everything that is pending. Whatever fails is dispatched again from `pending(state)`.
 */
export class Partition {
  readonly number: number;
  readonly epoch: number;
  readonly #shared: Shared;
  readonly #memory: WorkflowMemory;
  readonly #relay: Relay;
  readonly #clock: Clock;
  /** Workflows with commands that the bus did not take. */
  readonly #owed = new Set<string>();
  /** Workflows that are ending and still have open attempts. */
  readonly #ending = new Set<string>();
  readonly #again: NodeJS.Timeout;
  /** From here on the log may hold events that were not published: a predecessor died, or a commit broke off. */
  #doubtFrom: number | undefined;
  #tellingAgain = false;
  #consumption: Consumption | undefined;
  #lost = false;

  constructor(shared: Shared, taken: TakenPartition) {
    this.#shared = shared;
    this.number = taken.partition;
    this.epoch = taken.epoch;
    this.#memory = new WorkflowMemory(taken.partition, shared.log, shared.keys);
    this.#relay = new Relay({
      bus: shared.bus,
      logger: shared.logger,
      partition: taken.partition,
      incarnation: shared.logIncarnation,
      instance: shared.instance,
      from: taken.publishedPosition,
    });
    this.#doubtFrom = taken.publishedPosition;
    this.#clock = new Clock((workflow) => void this.#wake(workflow));
    this.#again = setInterval(() => void this.#tellAgain(), AGAIN_MS);
  }

  /** Takes over, then takes in. */
  async start(): Promise<void> {
    await this.#publishBacklog();
    const open = await this.#memory.loadOpen();
    for (const held of open) {
      for (const agent of held.state.agents.values()) await this.#shared.catalogs.recall(agent.granted.catalogHash);
      await this.#resume(held);
    }
    if (this.#lost) return;
    this.#consumption = consume(this.#shared.bus, {
      stream: 'IN',
      consumer: `orchestrator-p${this.number}`,
      concurrency: 256,
      ackWaitMs: INBOX_ACK_WAIT_MS,
      handle: (delivery) => this.#receive(delivery),
      onProblem: (problem) => this.#shared.logger.warn({ partition: this.number, problem }, 'inbox'),
    });
    this.#shared.logger.info({ partition: this.number, epoch: this.epoch, open: open.length }, 'partition taken');
  }

  get published(): number {
    return this.#relay.published;
  }

  get openWorkflows(): number {
    return this.#memory.size;
  }

  /** The bus was wiped: whatever its claims guarded is settled, and what is pending is dispatched anew. */
  async resetBus(incarnation: string): Promise<void> {
    for (const held of [...this.#memory.open]) {
      if (!isOpen(held.state)) continue;
      await this.#internal(held, { kind: 'bus_reset', incarnation }, eventId(held.id, 1)).catch((error: unknown) =>
        this.#failedInternally(held, error),
      );
      this.#owed.add(held.id);
    }
  }

  /** Finishes what is running and takes no more. What is left belongs to the next owner. */
  async stop(): Promise<void> {
    await this.#consumption?.stop(10_000);
    await Promise.allSettled([...this.#memory.open].map((held) => held.committed));
    this.lose();
  }

  /** Another process owns it, or soon will. */
  lose(): void {
    this.#lost = true;
    clearInterval(this.#again);
    this.#clock.stop();
    this.#relay.stop();
    void this.#consumption?.stop(0);
  }

  /** Publishes what is in the log and not yet on the bus, and tells results that a dead owner, or a broken commit, did not. */
  async #publishBacklog(): Promise<void> {
    const start = this.#doubtFrom;
    if (start === undefined) return;
    const ended = new Set<string>();
    for (let from = start; !this.#lost; ) {
      const rows = await this.#shared.log.readPositions(this.number, from, 1_000);
      for (const { position, envelope } of rows) {
        const event = JSON.parse(envelope) as { stream: string; tenant: string; version: number; type: string; schema: number; at: number };
        this.#relay.publish(event.tenant, event.stream, position, [
          { version: event.version, type: event.type, schema: event.schema, at: event.at, envelope },
        ]);
        if (ENDS.has(event.type)) ended.add(event.stream);
        from = position + 1;
      }
      if (rows.length < 1_000) break;
    }
    this.#doubtFrom = undefined;
    for (const workflow of ended) {
      const held = await this.#memory.get(workflow);
      this.#shared.told.result(held, held.trace);
      this.#memory.forgetEnded(held);
    }
  }

  async #resume(held: Held): Promise<void> {
    const bus = this.#shared.busIncarnation();
    if ([...held.state.attempts.values()].some((attempt) => attempt.bus !== bus)) {
      await this.#internal(held, { kind: 'bus_reset', incarnation: bus }, eventId(held.id, 1)).catch((error: unknown) =>
        this.#failedInternally(held, error),
      );
    }
    for (const attempt of pending(held.state).dispatch) this.#dispatch(held, attempt);
    if (held.state.phase === 'ending') this.#ending.add(held.id);
    this.#setClock(held);
  }

  async #receive(delivery: Delivery): Promise<void> {
    if (this.#lost) return;
    const started = performance.now();
    const read = readInboxMessage(delivery.subject, delivery.bytes);
    try {
      if (read.ok) await this.#handle(read.message);
      else await this.#park(delivery, read);
      crashPoint(`orchestrator:before-ack:${read.ok ? read.message.kind : 'parked'}`);
      delivery.ack();
      this.#shared.meters.handled(read.ok ? read.message.kind : 'parked', started);
    } catch (error) {
      await this.#failed(delivery, error as Error);
    }
  }

  async #failed(delivery: Delivery, error: Error): Promise<void> {
    if (error instanceof Fenced) {
      this.#shared.onLost(this.number);
      return;
    }
    if (error instanceof WrongExpectedVersion) return delivery.retry(20);
    if (error instanceof StoreUnavailable || error instanceof NotReady) {
      if (delivery.deliveries % 20 === 1) this.#shared.logger.warn({ partition: this.number, problem: error.message }, 'message waits');
      return delivery.retry(250);
    }
    this.#shared.logger.error({ err: error, subject: delivery.subject, deliveries: delivery.deliveries }, 'handler failed');
    if (delivery.deliveries < PARK_AFTER) return delivery.retry(200 * delivery.deliveries);
    await this.#park(delivery, { ok: false, reason: 'handler_failed', detail: error.name }).then(
      () => delivery.ack(),
      () => delivery.retry(1_000),
    );
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
      held.key ??= await this.#shared.keys.fresh();
      held.tenant = tenant;
      held.correlation = request;
      held.trace = cause.traceparent;
    }
    const { decision, done } = this.#decide(
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
    if (decision.kind === 'refused') return this.#shared.told.refused(tenant, request, asRefusal(decision.refusal), held.id);
    const rejected =
      decision.kind === 'events' ? rejectionIn(decision.events) : held.state.phase === 'rejected' ? held.state.failure : undefined;
    if (rejected !== undefined)
      return this.#shared.told.refused(tenant, request, { ...rejected, next: REFUSALS[rejected.code as RefusalCode] }, held.id);
    this.#shared.told.accepted(tenant, request, held.id, decision.kind === 'nothing', cause.traceparent);
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
    const { decision, done } = this.#decide(held, { kind: 'cancel', request }, message.content, message.cause);
    await done;
    if (decision.kind === 'refused') this.#shared.told.refused(tenant, request, asRefusal(decision.refusal), held.id);
    else this.#shared.told.accepted(tenant, request, held.id, decision.kind === 'nothing', message.cause.traceparent);
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
    const { decision, done } = this.#decide(held, message.input, undefined, message.cause);
    await done;
    const other = held.state.attempts.get(attempt)?.runner;
    if (decision.kind === 'refused')
      this.#shared.told.grant(runner, { ...answer, granted: false, ...(other === undefined ? {} : { runner: other }) });
    else this.#shared.told.grant(runner, { ...answer, granted: true });
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
    const { decision, done } = this.#decide(held, input, attempt === undefined ? undefined : content, message.cause);
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

  /**
   * Decides on the state in memory and hands the events to the lane, all in one turn of the event loop.
   * `done` settles when everything that this answer rests on is in the log.
   */
  #decide(
    held: Held,
    input: WorkflowInput,
    content: unknown,
    cause: Cause,
  ): { readonly decision: Decision<WorkflowEvent>; readonly done: Promise<unknown> } {
    const now = Date.now();
    const before = held.state;
    const decision = decide(input, before, { now, bus: this.#shared.busIncarnation() });
    if (decision.kind !== 'events' || decision.events.length === 0) return { decision, done: held.committed };
    const span = this.#shared.tracing.start(`decide ${input.kind}`, {
      parent: cause.traceparent,
      kind: 'consumer',
      attributes: { 'mandate.workflow': held.id, 'mandate.tenant': held.tenant },
    });
    const at = Math.max(before.at, now);
    const firstVersion = before.version + 1;
    held.state = decision.events.reduce((state, event) => evolve(state, event, at), before);
    if (content !== undefined) held.contents.set(firstVersion, content);
    const { events, commands } = this.#withCommands(held, decision.events);
    const { encoded, headHash } = encodeDecision(held, events, {
      cause: { ...cause, traceparent: span.traceparent },
      content,
      at,
      firstVersion,
    });
    held.headHash = headHash;
    crashPoint(`orchestrator:before-commit:${input.kind}`);
    const committed = this.#shared.lane.commit({
      partition: this.number,
      stream: held.id,
      tenant: held.tenant,
      expectedVersion: before.version,
      events: encoded,
      headHash,
      open: isOpen(held.state),
    });
    const done = committed.then(
      (position) => {
        crashPoint(`orchestrator:after-commit:${input.kind}`);
        span.end();
        this.#committed(held, decision.events, encoded, position, commands, span.traceparent);
        crashPoint(`orchestrator:after-publish:${input.kind}`);
      },
      (error: Error) => {
        span.fail(error.name);
        span.end();
        this.#memory.discard(held);
        // It may be stored all the same: what it set free is then still to be done.
        if (error instanceof StoreUnavailable) {
          this.#doubtFrom ??= this.#relay.suspect();
          this.#owed.add(held.id);
        }
        throw error;
      },
    );
    held.committed = done;
    done.catch(() => undefined);
    return { decision, done };
  }

  /** Composes the commands of reserved attempts and puts their hashes into the events. */
  #withCommands(
    held: Held,
    decided: readonly WorkflowEvent[],
  ): { readonly events: readonly WorkflowEvent[]; readonly commands: ReadonlyMap<string, string> } {
    const commands = new Map<string, string>();
    const events = decided.map((event): WorkflowEvent => {
      const attempt = event.type === 'attempt.reserved' ? held.state.attempts.get(event.data.attempt) : undefined;
      if (event.type !== 'attempt.reserved' || attempt === undefined) return event;
      const command = this.#compose(held, attempt);
      commands.set(attempt.id, command);
      return { ...event, data: { ...event.data, commandHash: sha256Hex(command) } };
    });
    return { events, commands };
  }

  #compose(held: Held, attempt: OpenAttempt): string {
    const catalogHash = held.state.agents.get(attempt.agent)?.granted.catalogHash ?? null;
    return JSON.stringify(composeCommand(held, attempt, this.#shared.catalogs.tools(catalogHash)));
  }

  /** What a commit sets free. */
  #committed(
    held: Held,
    events: readonly WorkflowEvent[],
    encoded: readonly EncodedEvent[],
    position: number,
    commands: ReadonlyMap<string, string>,
    traceparent: string,
  ): void {
    if (this.#lost) return;
    for (const [id, command] of commands) {
      const attempt = held.state.attempts.get(id as OpenAttempt['id']);
      if (attempt !== undefined) this.#dispatch(held, attempt, command, traceparent);
    }
    this.#relay.publish(held.tenant, held.id, position, encoded);
    this.#shared.meters.decided(events);
    if (held.state.phase === 'ending') {
      this.#ending.add(held.id);
      this.#shared.told.stop(held);
    }
    if (!isOpen(held.state)) {
      this.#ending.delete(held.id);
      this.#owed.delete(held.id);
      if (events.some((event) => ENDS.has(event.type))) this.#shared.told.result(held, traceparent);
    }
    if (isOpen(held.state)) this.#setClock(held);
    else this.#memory.forgetEnded(held);
  }

  /** Sends a command; sending it again is harmless. What the bus does not take is sent again later. */
  #dispatch(
    held: Held,
    attempt: OpenAttempt,
    command: string = this.#compose(held, attempt),
    traceparent: string | undefined = held.trace,
  ): void {
    const kind = attempt.owes.kind;
    const id = eventId(held.id, attempt.version);
    const head = JSON.stringify({
      specversion: '1.0',
      id,
      source: `/mandate/orchestrator/${this.#shared.instance}`,
      type: COMMAND_TYPE[kind],
      time: new Date().toISOString(),
      tenant: held.tenant,
      traceparent,
    });
    // The command goes out as the very bytes whose hash is in the log.
    const message = `${head.slice(0, -1)},"data":${command}}`;
    this.#shared.bus
      .publish(subjects.command(kind, this.number, held.tenant), message, {
        id,
        headers: { [SIGNATURE_HEADER]: sign(this.#shared.commandKeys[kind], message) },
      })
      .catch((error: Error) => {
        if (this.#lost) return;
        this.#owed.add(held.id);
        this.#shared.logger.warn(
          { workflow: held.id, attempt: attempt.id, problem: error.message },
          'command not on the bus yet; it will be sent again',
        );
      });
  }

  /** Every 0.4 s: commands that the bus did not take, stops that are not yet followed, and whatever a broken commit left open. */
  async #tellAgain(): Promise<void> {
    if (this.#tellingAgain) return;
    this.#tellingAgain = true;
    await this.#publishBacklog().catch(() => undefined);
    for (const id of [...this.#owed]) {
      this.#owed.delete(id);
      await this.#withOpen(id, (held) => {
        for (const attempt of pending(held.state).dispatch) this.#dispatch(held, attempt);
        this.#setClock(held);
      });
    }
    for (const id of this.#ending) await this.#withOpen(id, (held) => this.#shared.told.stop(held));
    this.#tellingAgain = false;
  }

  async #withOpen(id: string, work: (held: Held) => void): Promise<void> {
    try {
      const held = await this.#memory.get(id);
      await held.committed;
      if (!isOpen(held.state)) this.#memory.forgetEnded(held);
      else if (!this.#lost) work(held);
    } catch (error) {
      this.#shared.logger.debug({ workflow: id, problem: (error as Error).message }, 'later again');
      if (!this.#lost) this.#owed.add(id);
    }
  }

  #setClock(held: Held): void {
    const next = Math.min(Infinity, ...pending(held.state).timers.map((timer) => timer.at));
    if (next >= held.timerAt) return;
    held.timerAt = next;
    this.#clock.set(held.id, next);
  }

  /** A timer rang: fire what is due, in order. */
  async #wake(workflow: string): Promise<void> {
    if (this.#lost) return;
    let held: Held;
    try {
      held = await this.#memory.get(workflow);
    } catch {
      this.#clock.set(workflow, Date.now() + AGAIN_MS);
      return;
    }
    held.timerAt = Infinity;
    const due = pending(held.state).timers.filter((timer) => timer.at <= Date.now());
    for (const timer of due.sort((a, b) => a.at - b.at)) {
      await this.#internal(held, inputOf(timer.fire), this.#causeOf(held, timer.fire)).catch((error: unknown) =>
        this.#failedInternally(held, error),
      );
    }
    if (isOpen(held.state)) this.#setClock(held);
    else this.#memory.forgetEnded(held);
  }

  #causeOf(held: Held, fired: TimerFired): string {
    if (fired.timer === 'attempt') return eventId(held.id, held.state.attempts.get(fired.attempt)?.version ?? 1);
    if (fired.timer === 'retry') return eventId(held.id, held.state.steps.get(fired.step)?.retryVersion ?? 1);
    return eventId(held.id, 1);
  }

  async #internal(held: Held, input: WorkflowInput, causation: string): Promise<void> {
    await this.#decide(held, input, undefined, {
      actor: `service/orchestrator/${this.#shared.instance}`,
      causation,
      traceparent: held.trace,
    }).done;
  }

  #failedInternally(held: Held, error: unknown): void {
    if (error instanceof Fenced) return this.#shared.onLost(this.number);
    this.#shared.logger.warn({ workflow: held.id, problem: (error as Error).message }, 'not stored; it is tried again');
    if (!this.#lost) this.#clock.set(held.id, Date.now() + AGAIN_MS);
  }
}

function inputOf(fired: TimerFired): WorkflowInput {
  switch (fired.timer) {
    case 'attempt':
      return { kind: 'attempt_timer', attempt: fired.attempt };
    case 'retry':
      return { kind: 'retry_timer', step: fired.step, attempt: fired.attempt };
    case 'workflow':
      return { kind: 'workflow_timer' };
  }
}
