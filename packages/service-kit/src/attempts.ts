import { createHash, randomUUID } from 'node:crypto';
import {
  type AttemptResult,
  type Command,
  LIMITS,
  parseCloudEvent,
  parseMessage,
  type ParkReason,
  startGrant,
  stopNotice,
  subjects,
  TYPES,
  WORKER_ERRORS,
  type WorkerAnswer,
  type WorkerErrorCode,
  WORKER_ACK_WAIT_MS,
  WORKERS,
} from '@mandate/contracts';
import { claim, consume, type Consumption, type Delivery, isSigned, SIGNATURE_HEADER } from '@mandate/messaging';
import { LRUCache } from 'lru-cache';
import { Counter, Histogram } from 'prom-client';
import type { z } from 'zod';
import { crashPoint } from './crash-point.ts';
import type { ServiceContext } from './service.ts';
import { Standings } from './standings.ts';
import type { ActiveSpan } from './tracing.ts';

/**
 * The worker's half of the step protocol, the same for every kind of step:
 *
 *   delivered ▶ signed? ▶ readable? ▶ claimed (or its start granted) ▶ expired? stopped? ▶ run ▶ result stored ▶ acknowledged
 *
 * One attempt is one possibly billed or effectful request. A claimed attempt that this or another process did not answer
 * is reported as lost, never run again. A non-idempotent attempt runs only after the orchestrator committed its start.
 */
export interface AttemptsOptions<Schema extends z.ZodType<Command>> {
  readonly kind: 'analyze' | 'llm' | 'tool';
  readonly type: string;
  readonly schema: Schema;
  /** HMAC key of this destination. */
  readonly commandKey: string;
  readonly concurrency: number;
  /** How a repeated run is prevented. `none`: it costs nothing and may run twice. */
  readonly guard: (command: z.infer<Schema>) => 'none' | 'claim' | 'start';
  /** Does it. Throw `StepFailed` for every failure that has a name; anything else is `internal`. */
  readonly run: (command: z.infer<Schema>, run: AttemptRun) => Promise<WorkerAnswer>;
}

export interface AttemptRun {
  /** Aborted when time is up, when the task is cancelled, and when the process must stop. */
  readonly signal: AbortSignal;
  readonly span: ActiveSpan;
}

/** A failure with a name. `billed` decides what the attempt costs: say `no` only when that is provable. */
export class StepFailed extends Error {
  override readonly name = 'StepFailed';
  readonly code: WorkerErrorCode;
  readonly billed: 'no' | 'maybe' | 'yes';
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;
  /** Usage that came with the failure. */
  readonly answer: WorkerAnswer | undefined;

  constructor(
    code: WorkerErrorCode,
    message: string,
    details: {
      readonly billed: 'no' | 'maybe' | 'yes';
      readonly retryable?: boolean;
      readonly retryAfterMs?: number | undefined;
      readonly answer?: WorkerAnswer;
      readonly cause?: unknown;
    },
  ) {
    super(message, { cause: details.cause });
    this.code = code;
    this.billed = details.billed;
    this.retryable = details.retryable ?? WORKER_ERRORS[code].retryable;
    this.retryAfterMs = details.retryAfterMs;
    this.answer = details.answer;
  }
}

const GRANT_AGAIN_MS = 1_000;

export function serveAttempts<Schema extends z.ZodType<Command>>(
  context: ServiceContext<unknown>,
  options: AttemptsOptions<Schema>,
): Consumption {
  const { bus, log, instance, presence } = context;
  const service = WORKERS[options.kind].consumer;
  const stopped = new LRUCache<string, true>({ max: 50_000, ttl: 30 * 60_000 });
  /**
   * What this process was let run: never a second time, whatever is delivered. By the bus that it came over: on one that
   * replaced a wiped one, attempts of before are settled, and a log that fell back to an older state gives their names again.
   */
  const admitted = new LRUCache<string, true>({ max: 100_000 });
  /** What is being admitted or run now. */
  const inHand = new Set<string>();
  const running = new Map<string, AbortController>();
  const grants = new Map<string, (grant: z.infer<typeof startGrant>) => void>();
  const duration = new Histogram({
    name: 'mandate_attempt_duration_seconds',
    help: 'Time from delivery to stored result.',
    labelNames: ['kind', 'outcome'],
    registers: [context.metrics],
  });
  const parkedCount = new Counter({
    name: 'mandate_messages_parked_total',
    help: 'Messages that could not be handled.',
    labelNames: ['reason'],
    registers: [context.metrics],
  });
  const key = (workflow: string, attempt: string): string => `${workflow}/${attempt}`;
  let incarnation = { value: '', at: -Infinity };
  /** That the latest command came over. */
  let latestBus = '';
  /** Analyses cost nothing. */
  const standings = options.kind === 'analyze' ? undefined : new Standings(bus);

  const listeners = [
    bus.listen(subjects.stop(options.kind), (message) => {
      const notice = parseCloudEvent(message.data);
      const parsed = notice.ok ? parseMessage(notice.value, TYPES.attemptsStop, stopNotice) : notice;
      if (!parsed.ok) return;
      for (const attempt of parsed.value.attempts) {
        stopped.set(key(parsed.value.workflow, attempt), true);
        running
          .get(key(parsed.value.workflow, attempt))
          ?.abort(new StepFailed('cancelled', 'The task was cancelled.', { billed: 'maybe' }));
      }
    }),
    ...(options.kind === 'tool'
      ? [
          bus.listen(subjects.grant(instance), (message) => {
            const event = parseCloudEvent(message.data);
            const parsed = event.ok ? parseMessage(event.value, TYPES.attemptGrant, startGrant) : event;
            if (parsed.ok) grants.get(key(parsed.value.workflow, parsed.value.attempt))?.(parsed.value);
          }),
        ]
      : []),
  ];

  async function handle(delivery: Delivery): Promise<void> {
    const started = performance.now();
    const command = await read(delivery);
    if (command === undefined) return delivery.ack();
    const span = context.tracing.start(`attempt ${options.kind}`, {
      parent: command.traceparent,
      kind: 'consumer',
      attributes: { 'mandate.workflow': command.data.workflow, 'mandate.attempt': command.data.attempt },
    });
    try {
      const result = await attempt(command.data, delivery, span);
      if (result === undefined) return;
      if (result.outcome !== 'succeeded') span.fail(result.failure?.code ?? result.outcome);
      const finished: AttemptResult = {
        ...result,
        workflow: command.data.workflow,
        attempt: command.data.attempt,
        worker: `${service}/${instance}`,
        durationMs: Math.round(performance.now() - started),
      };
      crashPoint(`before-publish:${options.kind}`);
      await report(command.data, TYPES.attemptResult, finished, `${command.id}.result.${finished.outcome}`, command.id, span.traceparent);
      crashPoint(`after-publish:${options.kind}`);
      duration.observe({ kind: options.kind, outcome: finished.outcome }, (performance.now() - started) / 1_000);
      crashPoint(`before-ack:${options.kind}`);
      delivery.ack();
    } finally {
      span.end();
    }
  }

  /** The command, or undefined after parking what cannot be read. */
  async function read(
    delivery: Delivery,
  ): Promise<{ readonly id: string; readonly traceparent: string | undefined; readonly data: z.infer<Schema> } | undefined> {
    if (!isSigned(options.commandKey, delivery.bytes, delivery.header(SIGNATURE_HEADER)))
      return park(delivery, 'bad_signature', `header ${SIGNATURE_HEADER} is missing or wrong`);
    const event = parseCloudEvent(delivery.bytes, LIMITS.messageBytes, 'signed');
    if (!event.ok) return park(delivery, event.reason, event.detail);
    const parsed = parseMessage(event.value, options.type, options.schema);
    if (!parsed.ok) return park(delivery, parsed.reason, parsed.detail);
    return { id: event.value.id, traceparent: event.value.traceparent, data: parsed.value };
  }

  async function attempt(command: z.infer<Schema>, delivery: Delivery, span: ActiveSpan): Promise<Outcome | undefined> {
    const name = key(command.workflow, command.attempt);
    const guard = options.guard(command);
    // Whoever still means it says it again.
    if (command.bus !== latestBus) stopped.clear();
    latestBus = command.bus;
    if (guard !== 'none' && admitted.has(`${command.bus}/${name}`)) {
      // A second copy of what this process has run or is running: the first copy's answer is, or will be, stored.
      delivery.ack();
      return undefined;
    }
    if (inHand.has(name)) {
      // A second copy while the first one is being admitted: see later what became of it.
      delivery.retry(500);
      return undefined;
    }
    inHand.add(name);
    try {
      return await admitAndRun(command, delivery, span, guard);
    } finally {
      inHand.delete(name);
    }
  }

  async function admitAndRun(
    command: z.infer<Schema>,
    delivery: Delivery,
    span: ActiveSpan,
    guard: 'none' | 'claim' | 'start',
  ): Promise<Outcome | undefined> {
    const name = key(command.workflow, command.attempt);
    if (guard === 'claim' && command.bus !== (await currentBus(command.bus))) {
      // Sent before the orchestrator noticed that the bus was wiped. It will notice within a second, settle and send anew.
      delivery.ack();
      return undefined;
    }
    await standings?.heard(command.tenant);
    crashPoint(`before-claim:${options.kind}`);
    const admission =
      guard === 'none' ? 'go' : guard === 'claim' ? await takeClaim(command, delivery) : await askStart(command, delivery, span);
    if (admission !== 'go') return admission === 'leave' ? undefined : admission;
    admitted.set(`${command.bus}/${name}`, true);
    crashPoint(`after-claim:${options.kind}`);
    // Only now: whoever holds the claim can vouch that the attempt never ran, and that nobody will run it.
    if (Date.now() > command.expiresAt)
      return failed('expired', new StepFailed('expired', 'The command expired before a worker took it.', { billed: 'no' }));
    if (stopped.has(name))
      return failed('cancelled', new StepFailed('cancelled', 'The task was cancelled before the call.', { billed: 'no' }));
    if (standings?.isFrozen(command.tenant) === true)
      return failed('failed', new StepFailed('frozen', 'Spending of this tenant is frozen.', { billed: 'no' }));
    const controller = new AbortController();
    running.set(name, controller);
    const timer = setTimeout(
      () => controller.abort(new StepFailed('timeout', `No answer within ${command.timeoutMs} ms.`, { billed: 'maybe' })),
      command.timeoutMs,
    );
    try {
      const answer = await raceAbort(options.run(command, { signal: controller.signal, span }), controller.signal);
      crashPoint(`after-call:${options.kind}`);
      return { outcome: 'succeeded', answer };
    } catch (error) {
      const failure =
        error instanceof StepFailed ? error : new StepFailed('internal', (error as Error).message, { billed: 'maybe', cause: error });
      if (failure.code === 'internal')
        log.error({ err: error, workflow: command.workflow, attempt: command.attempt }, 'attempt failed unexpectedly');
      // A non-idempotent call that was cut off may have happened: that is not a failure, it is unknown.
      if (guard === 'start' && failure.billed !== 'no') return failed('unknown', failure);
      return failed(failure.code === 'cancelled' ? 'cancelled' : 'failed', failure);
    } finally {
      clearTimeout(timer);
      running.delete(name);
    }
  }

  async function takeClaim(command: Command, delivery: Delivery): Promise<'go' | 'leave' | Outcome> {
    const started = performance.now();
    const taken = await claim(bus, command.workflow, command.attempt, `${instance}/${randomUUID()}`);
    // A claim that took long may have been made on the bus that replaced a wiped one: there it proves nothing.
    const slow = performance.now() - started > 500;
    if (taken.won && slow && command.bus !== (await currentBus(command.bus))) {
      delivery.ack();
      return 'leave';
    }
    return taken.won ? 'go' : afterAnother(taken.holder.split('/')[0] ?? '', command, delivery);
  }

  /** Somebody else has the attempt. If it is alive, it will answer; if it is gone, the attempt is lost. */
  function afterAnother(holder: string, command: Command, delivery: Delivery): 'leave' | Outcome {
    const ranHere = holder === instance && !running.has(key(command.workflow, command.attempt));
    const state = ranHere ? 'gone' : presence.state(holder);
    // Gone without an acknowledgement. If its answer is stored all the same, this report comes too late to matter.
    if (state === 'gone') return { outcome: 'lost' };
    // The first delivery of a second copy: the copy that is being worked on is still in the stream.
    if (state === 'alive' && delivery.deliveries === 1) delivery.ack();
    else delivery.retry(500);
    return 'leave';
  }

  async function askStart(command: Command, delivery: Delivery, span: ActiveSpan): Promise<'go' | 'leave' | Outcome> {
    const name = key(command.workflow, command.attempt);
    const answered = Promise.withResolvers<z.infer<typeof startGrant> | undefined>();
    let asked = 0;
    grants.set(name, answered.resolve);
    const ask = (): void => {
      const id = `${command.workflow}-${command.attempt}.start.${instance}.${Date.now()}`;
      report(
        command,
        TYPES.attemptStart,
        { workflow: command.workflow, attempt: command.attempt, runner: instance },
        id,
        id,
        span.traceparent,
      ).catch(() => undefined);
      asked += 1;
      if (asked > 3 && Date.now() > command.expiresAt + command.timeoutMs) answered.resolve(undefined);
    };
    const again = setInterval(ask, GRANT_AGAIN_MS);
    ask();
    const grant = await answered.promise.finally(() => {
      clearInterval(again);
      grants.delete(name);
    });
    // No word in time: the orchestrator's own timer settles the attempt. Nothing was run here, and nothing will be.
    if (grant === undefined) {
      delivery.ack();
      return 'leave';
    }
    if (grant.granted) return 'go';
    // Nobody was let start it, and nobody will be: it never ran.
    if (grant.runner === undefined) return failed('cancelled', new StepFailed('start_refused', 'The start was refused.', { billed: 'no' }));
    const after = afterAnother(grant.runner, command, delivery);
    return after === 'leave' ? after : { outcome: 'unknown' };
  }

  async function report(command: Command, type: string, data: unknown, id: string, causation: string, traceparent: string): Promise<void> {
    const partition = Number(command.workflow.slice(3, 5));
    const message = JSON.stringify({
      specversion: '1.0',
      id,
      source: `/mandate/${service}/${instance}`,
      type,
      time: new Date().toISOString(),
      tenant: command.tenant,
      traceparent,
      causationid: causation,
      data,
    });
    await untilStored(subjects.inbox(partition, service, command.tenant), message);
  }

  async function park(delivery: Delivery, reason: ParkReason, detail: string): Promise<undefined> {
    parkedCount.inc({ reason });
    const [, , partition, tenant] = delivery.subject.split('.');
    const bytesSha256 = createHash('sha256').update(delivery.bytes).digest('hex');
    const signature = delivery.header(SIGNATURE_HEADER)?.slice(0, 200);
    const data = {
      service,
      tenant: tenant ?? null,
      subject: delivery.subject,
      reason,
      detail,
      bytesSha256,
      ...(signature === undefined ? {} : { signature }),
      // As much as a message can carry beside the rest; the hash is of the whole.
      body: Buffer.from(delivery.bytes.subarray(0, LIMITS.messageBytes / 2)).toString('base64'),
    };
    const id = `parked-${bytesSha256}`;
    log.warn({ reason, detail, subject: delivery.subject }, 'command parked');
    const message = JSON.stringify({
      specversion: '1.0',
      id,
      source: `/mandate/${service}/${instance}`,
      type: TYPES.messageParked,
      time: new Date().toISOString(),
      data,
    });
    await untilStored(subjects.inbox(Number(partition), service, tenant ?? 'none'), message);
    return undefined;
  }

  /** A result that exists must not be lost: publishing is repeated until the bus has it. */
  async function untilStored(subject: string, message: string): Promise<void> {
    for (let wait = 100; !bus.nc.isClosed(); wait = Math.min(2_000, wait * 2)) {
      try {
        // Without a Nats-Msg-Id: the decision recognises a repetition, and the server is spared the bookkeeping.
        await bus.publish(subject, message);
        return;
      } catch (error) {
        log.warn({ subject, problem: (error as Error).message }, 'result not stored yet; trying again');
        await new Promise((done) => setTimeout(done, wait).unref());
      }
    }
  }

  async function currentBus(wanted: string): Promise<string> {
    if (incarnation.value !== wanted || performance.now() - incarnation.at > 1_000)
      incarnation = { value: await bus.incarnation(), at: performance.now() };
    return incarnation.value;
  }

  const consumption = consume(bus, {
    ...WORKERS[options.kind],
    concurrency: options.concurrency,
    ackWaitMs: WORKER_ACK_WAIT_MS,
    handle,
    onProblem: (problem) => log.warn({ problem }, 'consumer'),
  });
  return {
    get inFlight() {
      return consumption.inFlight;
    },
    stop: async (withinMs) => {
      await consumption.stop(withinMs);
      for (const listener of listeners) listener.stop();
      standings?.stop();
    },
  };
}

type Outcome = Pick<AttemptResult, 'outcome' | 'answer' | 'failure'>;

function failed(outcome: Outcome['outcome'], failure: StepFailed): Outcome {
  return {
    outcome,
    ...(failure.answer === undefined ? {} : { answer: failure.answer }),
    failure: {
      code: failure.code,
      retryable: failure.retryable,
      billed: failure.billed,
      ...(failure.retryAfterMs === undefined ? {} : { retryAfterMs: failure.retryAfterMs }),
      message: failure.message.slice(0, 2_000),
    },
  };
}

/** Work that does not listen to its signal must not hold the worker. */
function raceAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const aborted = (): void => reject(signal.reason as Error);
    if (signal.aborted) aborted();
    signal.addEventListener('abort', aborted, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', aborted));
  });
}
