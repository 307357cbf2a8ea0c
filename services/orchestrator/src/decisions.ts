import { subjects, TYPES } from '@mandate/contracts';
import {
  decide,
  type Decision,
  evolve,
  isReusing,
  isUnfinished,
  type OpenAttempt,
  pending,
  type WorkflowEvent,
  type WorkflowInput,
} from '@mandate/domain';
import { type CommitLane, type DataKeys, type EncodedEvent, type EventLog, Fenced, type TakenPartition } from '@mandate/event-store';
import { type Bus, sign, SIGNATURE_HEADER } from '@mandate/messaging';
import { crashPoint, type Logger, type Standings, type Tracing } from '@mandate/service-kit';
import type { Catalogs } from './catalogs.ts';
import { composeCommand } from './compose-command.ts';
import { keyedHash } from './keyed-hash.ts';
import { type Cause, encodeDecision, eventId } from './encode-decision.ts';
import type { Meters } from './meters.ts';
import type { Relay } from './relay.ts';
import type { Snapshots } from './snapshots.ts';
import { ENDS, type Told } from './told.ts';
import { type Held, Superseded, type WorkflowMemory } from './workflow-memory.ts';

/** What all partitions of a process share. */
export interface Shared {
  readonly bus: Bus;
  readonly log: EventLog;
  readonly keys: DataKeys;
  readonly lane: CommitLane;
  readonly snapshots: Snapshots;
  readonly catalogs: Catalogs;
  readonly told: Told;
  /** Which accounts are frozen, which have limits. */
  readonly standings: Standings;
  readonly logger: Logger;
  readonly tracing: Tracing;
  readonly meters: Meters;
  readonly instance: string;
  readonly commandKeys: Readonly<Record<'analyze' | 'llm' | 'tool', string>>;
  /** Incarnation of the bus as this process last saw it. */
  readonly busIncarnation: () => string;
  /** An append was refused because some partition of its batch is somebody else's now. */
  readonly onFenced: () => void;
}

/** What a partition wants to know of its decisions. */
export interface DecisionListener {
  isLost(): boolean;
  onCommitted(held: Held): void;
  /** A command that the bus did not take: it is to be sent again. */
  onUndelivered(held: Held): void;
  /** A commit that broke off: from this position on the log may hold what was not published. */
  onDoubt(held: Held, position: number): void;
}

interface Prepared {
  readonly encoded: readonly EncodedEvent[];
  /** Composed commands by attempt. */
  readonly commands: ReadonlyMap<string, string>;
  /** Whether what it owes is answered from the past of another run: nothing of it is sent. */
  readonly reusing: boolean;
}

const COMMAND_TYPE = { analyze: TYPES.analyzeRun, llm: TYPES.llmRun, tool: TYPES.toolRun } as const;

/** Decides about the workflows of one partition, commits, and lets out what a commit sets free. */
export class Decisions {
  readonly #shared: Shared;
  readonly #partition: number;
  readonly #epoch: number;
  readonly #memory: WorkflowMemory;
  readonly #relay: Relay;
  readonly #heard: DecisionListener;

  constructor(
    shared: Shared,
    { partition, epoch }: Pick<TakenPartition, 'partition' | 'epoch'>,
    parts: { readonly memory: WorkflowMemory; readonly relay: Relay; readonly listener: DecisionListener },
  ) {
    this.#shared = shared;
    this.#partition = partition;
    this.#epoch = epoch;
    this.#memory = parts.memory;
    this.#relay = parts.relay;
    this.#heard = parts.listener;
  }

  /**
   * Decides on the state in memory and hands the events to the lane, all in one turn of the event loop.
   * `done` settles when everything that this answer rests on is in the log.
   */
  decide(
    held: Held,
    input: WorkflowInput,
    content: unknown,
    cause: Cause,
  ): { readonly decision: Decision<WorkflowEvent>; readonly done: Promise<unknown> } {
    if (held.superseded) throw new Superseded(`${held.id} was read again`);
    if (this.#heard.isLost()) throw new Fenced(`partition ${this.#partition} is not ours any more`);
    const now = Date.now();
    const before = held.state;
    // What is erased stays so: nobody's words are stored any more.
    const kept = input.kind === 'erase' || before.erasure !== undefined ? undefined : content;
    const frozen = this.#shared.standings.isFrozen(held.tenant);
    const decision = decide(input, before, { now, bus: this.#shared.busIncarnation(), frozen });
    if (decision.kind !== 'events' || decision.events.length === 0) return { decision, done: held.committed };
    const span = this.#shared.tracing.start(`decide ${input.kind}`, {
      parent: cause.traceparent,
      kind: 'consumer',
      attributes: { 'mandate.workflow': held.id, 'mandate.tenant': held.tenant },
    });
    const at = Math.max(before.at, now);
    let prepared: Prepared;
    try {
      prepared = this.#prepare(held, decision.events, { cause: { ...cause, traceparent: span.traceparent }, content: kept, at });
    } catch (error) {
      // Half of it stands in memory: that must not be taken for decided.
      this.#memory.discard(held);
      span.fail((error as Error).name);
      span.end();
      throw error;
    }
    const { encoded } = prepared;
    crashPoint(`orchestrator:before-commit:${input.kind}`);
    const write = {
      partition: this.#partition,
      stream: held.id,
      tenant: held.tenant,
      expectedVersion: before.version,
      events: encoded,
      headHash: held.headHash,
      open: isUnfinished(held.state),
    };
    const committed = this.#shared.lane.commit(write, this.#epoch);
    const done = committed.then(
      (position) => {
        crashPoint(`orchestrator:after-commit:${input.kind}`);
        span.end();
        this.#committed(held, decision.events, prepared, position, span.traceparent);
        crashPoint(`orchestrator:after-publish:${input.kind}`);
      },
      (error: Error) => {
        span.fail(error.name);
        span.end();
        this.#memory.discard(held);
        // It may be stored all the same, or be what it was decided against: what that set free is still to be done.
        if (!(error instanceof Fenced)) this.#heard.onDoubt(held, this.#relay.suspect());
        throw error;
      },
    );
    held.committed = done;
    done.catch(() => undefined);
    return { decision, done };
  }

  /** Moves the workflow in memory, composes what it owes, and encodes what is to be stored. */
  #prepare(
    held: Held,
    decided: readonly WorkflowEvent[],
    input: { readonly cause: Cause; readonly content: unknown; readonly at: number },
  ): Prepared {
    const firstVersion = held.state.version + 1;
    held.state = decided.reduce((state, event) => evolve(state, event, input.at), held.state);
    if (input.content !== undefined) held.contents.set(firstVersion, input.content);
    const { events, commands } = this.#withCommands(held, decided);
    const { encoded, headHash } = encodeDecision(held, events, { ...input, firstVersion });
    held.headHash = headHash;
    return { encoded, commands, reusing: isReusing(held.state) };
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
      const commandHash = keyedHash(held, 'command', command);
      return commandHash === undefined ? event : { ...event, data: { ...event.data, commandHash } };
    });
    return { events, commands };
  }

  #compose(held: Held, attempt: OpenAttempt): string {
    const catalogHash = held.state.agents.get(attempt.agent)?.granted.catalogHash ?? null;
    const { catalogs } = this.#shared;
    const instruction = (role: string): string => catalogs.agents.instruction(held.tenant, role);
    return JSON.stringify(composeCommand(held, attempt, { catalog: catalogs.tools(catalogHash), instruction }));
  }

  /** What a commit sets free. */
  #committed(
    held: Held,
    events: readonly WorkflowEvent[],
    { encoded, commands, reusing }: Prepared,
    position: number,
    traceparent: string,
  ): void {
    if (this.#heard.isLost()) return;
    for (const [id, command] of reusing ? [] : commands) {
      const attempt = held.state.attempts.get(id as OpenAttempt['id']);
      if (attempt !== undefined) this.dispatch(held, attempt, command, traceparent);
    }
    if (events.some((event) => event.type === 'reuse.ended')) this.#sendWhatWaited(held, encoded, commands, traceparent);
    this.#relay.publish(held.tenant, held.id, position, encoded);
    this.#shared.meters.decided(events);
    this.#memory.noteCommitted(held, encoded.at(-1)?.version ?? 0);
    if (events.some((event) => ENDS.has(event.type))) this.#shared.told.result(held, traceparent);
    this.#heard.onCommitted(held);
  }

  /** What was reserved while a past was reused and is live now. What was decided since is not in the log yet. */
  #sendWhatWaited(held: Held, encoded: readonly EncodedEvent[], sent: ReadonlyMap<string, string>, traceparent: string): void {
    const committed = encoded.at(-1)?.version ?? 0;
    for (const attempt of pending(held.state).dispatch)
      if (attempt.version <= committed && !sent.has(attempt.id)) this.dispatch(held, attempt, undefined, traceparent);
  }

  /** Sends a command; sending it again is harmless. What the bus does not take is sent again later. */
  dispatch(
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
      .publish(subjects.command(kind, this.#partition, held.tenant), message, {
        id,
        headers: { [SIGNATURE_HEADER]: sign(this.#shared.commandKeys[kind], message) },
      })
      .catch((error: Error) => {
        if (this.#heard.isLost()) return;
        this.#heard.onUndelivered(held);
        this.#shared.logger.warn(
          { workflow: held.id, attempt: attempt.id, problem: error.message },
          'command not on the bus yet; it will be sent again',
        );
      });
  }
}
