import { INBOX_ACK_WAIT_MS, type StoredEvent } from '@mandate/contracts';
import { isOpen, isUnfinished, type OpenAttempt, pending, type TimerFired, type WorkflowInput } from '@mandate/domain';
import { Fenced, type TakenPartition } from '@mandate/event-store';
import { claim, consume, type Consumption } from '@mandate/messaging';
import { AccountDesk } from './accounts/account-desk.ts';
import { Allowances } from './accounts/allowances.ts';
import { Clock } from './clock.ts';
import { Decisions, type Shared } from './decisions.ts';
import { Erasures } from './erasures.ts';
import { eventId } from './encode-decision.ts';
import { Inbox } from './inbox.ts';
import { Relay } from './relay.ts';
import { Reuses } from './reuses.ts';
import { ENDS } from './told.ts';
import { type Held, WorkflowMemory } from './workflow-memory.ts';

/** How often what could not be told is told again. */
const AGAIN_MS = 400;

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
  /** Of the log that it is a part of. */
  readonly incarnation: string;
  readonly #shared: Shared;
  readonly #memory: WorkflowMemory;
  readonly #relay: Relay;
  readonly #decisions: Decisions;
  readonly #inbox: Inbox;
  readonly #desk: AccountDesk;
  readonly #allowances: Allowances;
  readonly #erasures: Erasures;
  readonly #reuses: Reuses;
  readonly #clock: Clock;
  /** Workflows with commands that the bus did not take. */
  readonly #owed = new Set<string>();
  /** Workflows with open attempts that are to be stopped. */
  readonly #stopping = new Set<string>();
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
    this.incarnation = taken.incarnation;
    this.#memory = new WorkflowMemory(taken.partition, shared.log, shared.keys, shared.snapshots);
    this.#relay = new Relay({
      bus: shared.bus,
      logger: shared.logger,
      partition: taken.partition,
      incarnation: taken.incarnation,
      instance: shared.instance,
      from: taken.publishedPosition,
    });
    this.#decisions = new Decisions(shared, taken, {
      memory: this.#memory,
      relay: this.#relay,
      listener: {
        isLost: () => this.#lost,
        onCommitted: (held) => this.#committed(held),
        onUndelivered: (held) => this.#owed.add(held.id),
        onDoubt: (held, position) => {
          this.#doubt(position);
          this.#owed.add(held.id);
        },
      },
    });
    this.#allowances = new Allowances(shared);
    this.#desk = new AccountDesk(shared, this, {
      relay: this.#relay,
      isLost: () => this.#lost,
      onDoubt: (position) => this.#doubt(position),
    });
    this.#erasures = new Erasures(shared, taken.partition, { memory: this.#memory, decisions: this.#decisions });
    this.#reuses = new Reuses(shared, { decisions: this.#decisions, isLost: () => this.#lost });
    this.#inbox = new Inbox(shared, taken.partition, {
      memory: this.#memory,
      decisions: this.#decisions,
      desk: this.#desk,
      erasures: this.#erasures,
    });
    this.#doubtFrom = taken.publishedPosition;
    this.#clock = new Clock((workflow) => void this.#wake(workflow));
    this.#again = setInterval(() => void this.#tellAgain(), AGAIN_MS);
  }

  /** Takes over, then takes in. */
  async start(): Promise<void> {
    await this.#publishBacklog();
    await this.#desk.start();
    const open = await this.#memory.loadOpen();
    if (open.length > 0) await this.#shared.catalogs.recallAgents();
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
      handle: async (delivery) => {
        if (!this.#lost) await this.#inbox.receive(delivery);
      },
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
    await this.#desk.settled();
    this.lose();
  }

  /** Another process owns it, or soon will. */
  lose(): void {
    this.#lost = true;
    clearInterval(this.#again);
    this.#clock.stop();
    this.#relay.stop();
    this.#desk.stop();
    void this.#consumption?.stop(0);
  }

  /** Publishes what is in the log and not yet on the bus, and tells results that a dead owner, or a broken commit, did not. */
  async #publishBacklog(): Promise<void> {
    const start = this.#doubtFrom;
    if (start === undefined) return;
    this.#doubtFrom = undefined;
    try {
      for (const workflow of await this.#publishFrom(start)) {
        const held = await this.#memory.get(workflow);
        this.#shared.told.result(held, held.trace);
        this.#allowances.ended(held);
        this.#memory.forgetEnded(held);
      }
    } catch (error) {
      this.#doubt(start);
      throw error;
    }
  }

  /** @returns the workflows whose end was published */
  async #publishFrom(start: number): Promise<ReadonlySet<string>> {
    const ended = new Set<string>();
    for (let from = start; !this.#lost; ) {
      const rows = await this.#shared.log.readPositions(this.number, from, 1_000);
      for (const { position, envelope } of rows) {
        const { stream, tenant, version, type, schema, at } = JSON.parse(envelope) as StoredEvent;
        this.#relay.publish(tenant, stream, position, [{ version, type, schema, at, envelope }]);
        if (ENDS.has(type)) ended.add(stream);
        from = position + 1;
      }
      if (rows.length < 1_000) break;
    }
    return ended;
  }

  #doubt(position: number): void {
    this.#doubtFrom = Math.min(position, this.#doubtFrom ?? position);
  }

  #committed(held: Held): void {
    this.#stopWhatMust(held);
    this.#erasures.look(held);
    this.#reuses.look(held);
    if (isOpen(held.state)) {
      this.#allowances.ask(held);
      return this.#setClock(held);
    }
    this.#allowances.ended(held);
    this.#stopping.delete(held.id);
    this.#owed.delete(held.id);
    this.#memory.forgetEnded(held);
  }

  /** Workers are told to stop what belongs to agents that were stopped, until all of it is settled. */
  #stopWhatMust(held: Held): void {
    const stop = pending(held.state).stop;
    if (stop.length === 0) {
      this.#stopping.delete(held.id);
      return;
    }
    this.#stopping.add(held.id);
    this.#shared.told.stop(held, stop);
  }

  async #resume(held: Held): Promise<void> {
    const bus = this.#shared.busIncarnation();
    if ([...held.state.attempts.values()].some((attempt) => attempt.bus !== bus)) {
      await this.#internal(held, { kind: 'bus_reset', incarnation: bus }, eventId(held.id, 1)).catch((error: unknown) =>
        this.#failedInternally(held, error),
      );
    }
    for (const attempt of pending(held.state).dispatch) this.#decisions.dispatch(held, attempt);
    this.#stopWhatMust(held);
    this.#erasures.look(held);
    this.#reuses.look(held);
    this.#allowances.ask(held);
    this.#setClock(held);
  }

  /** Every 0.4 s: commands that the bus did not take, stops that are not yet followed, and whatever a broken commit left open. */
  async #tellAgain(): Promise<void> {
    if (this.#tellingAgain) return;
    this.#tellingAgain = true;
    await this.#publishBacklog().catch(() => undefined);
    for (const id of [...this.#owed]) {
      this.#owed.delete(id);
      await this.#withOpen(id, (held) => {
        for (const attempt of pending(held.state).dispatch) this.#decisions.dispatch(held, attempt);
        this.#setClock(held);
      });
    }
    for (const id of [...this.#allowances.waiting]) await this.#withOpen(id, (held) => this.#allowances.ask(held));
    for (const id of [...this.#reuses.owed]) await this.#withOpen(id, (held) => this.#reuses.look(held));
    for (const id of [...this.#erasures.owed]) await this.#withErasing(id);
    for (const id of [...this.#stopping]) await this.#withOpen(id, (held) => this.#stopWhatMust(held));
    this.#tellingAgain = false;
  }

  async #withOpen(id: string, work: (held: Held) => void): Promise<void> {
    try {
      const held = await this.#memory.get(id);
      await held.committed;
      if (isUnfinished(held.state)) return this.#lost ? undefined : work(held);
      this.#stopping.delete(id);
      this.#allowances.forget(id);
      this.#reuses.owed.delete(id);
      this.#memory.forgetEnded(held);
    } catch (error) {
      this.#shared.logger.debug({ workflow: id, problem: (error as Error).message }, 'later again');
      if (!this.#lost) this.#owed.add(id);
    }
  }

  /** An erasure whose keys were not destroyed yet: a predecessor died, or their database could not be reached. */
  async #withErasing(id: string): Promise<void> {
    try {
      const held = await this.#memory.get(id);
      await held.committed;
      if (!this.#lost) await this.#erasures.carryOut(held);
      this.#memory.forgetEnded(held);
    } catch (error) {
      this.#shared.logger.warn({ workflow: id, problem: (error as Error).message }, 'not erased yet; it is tried again');
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
      await this.#fire(held, timer.fire).catch((error: unknown) => this.#failedInternally(held, error));
    }
    if (isOpen(held.state)) this.#setClock(held);
    else this.#memory.forgetEnded(held);
  }

  async #fire(held: Held, fired: TimerFired): Promise<void> {
    const cause = this.#causeOf(held, fired);
    const attempt = fired.timer === 'attempt' ? held.state.attempts.get(fired.attempt) : undefined;
    const neverRan = attempt !== undefined && (await this.#claimedByNobody(held, attempt));
    await this.#internal(held, neverRan ? withdrawn(attempt) : inputOf(fired), cause);
  }

  /** Takes the claim of an overdue attempt. Won, it proves that the attempt never ran, and that it never will. */
  async #claimedByNobody(held: Held, attempt: OpenAttempt): Promise<boolean> {
    const guarded = attempt.owes.kind === 'llm' || (attempt.owes.kind === 'tool' && attempt.owes.effect !== 'non_idempotent');
    if (!guarded || attempt.bus !== this.#shared.busIncarnation()) return false;
    const { won } = await claim(this.#shared.bus, held.id, attempt.id, this.#shared.instance);
    return won;
  }

  #causeOf(held: Held, fired: TimerFired): string {
    if (fired.timer === 'attempt') return eventId(held.id, held.state.attempts.get(fired.attempt)?.version ?? 1);
    if (fired.timer === 'retry') return eventId(held.id, held.state.steps.get(fired.step)?.retryVersion ?? 1);
    return eventId(held.id, 1);
  }

  async #internal(held: Held, input: WorkflowInput, causation: string): Promise<void> {
    await this.#decisions.decide(held, input, undefined, {
      actor: `service/orchestrator/${this.#shared.instance}`,
      causation,
      traceparent: held.trace,
    }).done;
  }

  #failedInternally(held: Held, error: unknown): void {
    if (error instanceof Fenced) return this.#shared.onFenced();
    this.#shared.logger.warn({ workflow: held.id, problem: (error as Error).message }, 'not stored; it is tried again');
    if (!this.#lost) this.#clock.set(held.id, Date.now() + AGAIN_MS);
  }
}

const withdrawn = (attempt: OpenAttempt): WorkflowInput => ({
  kind: 'result',
  attempt: attempt.id,
  outcome: 'expired',
  failure: { code: 'expired', retryable: true, billed: 'no' },
});

function inputOf(fired: TimerFired): WorkflowInput {
  switch (fired.timer) {
    case 'attempt':
      return { kind: 'attempt_timer', attempt: fired.attempt };
    case 'retry':
      return { kind: 'retry_timer', step: fired.step, attempt: fired.attempt };
    case 'agent':
      return { kind: 'agent_timer', agent: fired.agent };
    case 'workflow':
      return { kind: 'workflow_timer' };
  }
}
