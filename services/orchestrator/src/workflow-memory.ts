import { upcast } from '@mandate/contracts';
import { ABSENT, evolve, isUnfinished, type Workflow } from '@mandate/domain';
import { type DataKey, type DataKeys, type EventLog, SealedWords, type StoredStream } from '@mandate/event-store';
import { type Folded, Snapshots } from './snapshots.ts';

/**
 * A workflow as its owner holds it: the folded state, the head of its hash chain, and the words that its next commands
 * are composed from. The state runs ahead of the log by what is being committed; when a commit fails the whole entry is
 * thrown away and read again.
 */
export interface Held {
  readonly id: string;
  readonly partition: number;
  tenant: string;
  state: Workflow;
  headHash: Buffer;
  /** Of its content; an absent workflow gets one when it is submitted. */
  key: DataKey | undefined;
  /** Who started it. */
  actor: string;
  /** The request that started it. */
  correlation: string;
  /** W3C context of the request: what a timer starts belongs to the same trace. */
  trace: string | undefined;
  readonly contents: SealedWords;
  /** Settles with the latest commit. */
  committed: Promise<unknown>;
  /** When its earliest timer was put on the clock (epoch ms). */
  timerAt: number;
  /** Version of its snapshot; 0 without one. */
  snapshotAt: number;
  /** Thrown away: nothing may be decided on it any more. */
  superseded: boolean;
}

const GENESIS = Buffer.alloc(32);

/** A decision was asked of a workflow that was thrown away meanwhile: read it again. */
export class Superseded extends Error {
  override readonly name = 'Superseded';
}

/** What this process holds of one partition. Absent workflows are not kept. */
export class WorkflowMemory {
  readonly #held = new Map<string, Held>();
  readonly #loading = new Map<string, Promise<Held>>();
  readonly #log: EventLog;
  readonly #keys: DataKeys;
  readonly #partition: number;
  readonly #snapshots: Snapshots;

  constructor(partition: number, log: EventLog, keys: DataKeys, snapshots: Snapshots = new Snapshots(log)) {
    this.#partition = partition;
    this.#log = log;
    this.#keys = keys;
    this.#snapshots = snapshots;
  }

  /** The workflow, from memory or from the log. */
  get(id: string): Held | Promise<Held> {
    const held = this.#held.get(id);
    if (held !== undefined) return held;
    const loading = this.#loading.get(id) ?? this.#load(id).finally(() => this.#loading.delete(id));
    this.#loading.set(id, loading);
    return loading;
  }

  /** Every workflow of the partition that owes something. */
  async loadOpen(): Promise<readonly Held[]> {
    const streams = await this.#log.readOpenStreams(this.#partition, this.#snapshots.by);
    const held: Held[] = [];
    for (const stream of streams) {
      const one = await this.#revive(stream);
      this.#held.set(one.id, one);
      held.push(one);
    }
    return held;
  }

  get open(): Iterable<Held> {
    return this.#held.values();
  }

  get size(): number {
    return this.#held.size;
  }

  /** Absent and ended ones are not kept: they can be read again. */
  forgetEnded(held: Held): void {
    if (isUnfinished(held.state)) return;
    // Not before its last decision is in the log: whoever reads it again must find that.
    const forget = (): void => {
      if (!isUnfinished(held.state)) this.discard(held);
    };
    held.committed.then(forget, forget);
  }

  /** What was decided on it is void: read it again next time. */
  discard(held: Held): void {
    held.superseded = true;
    if (this.#held.get(held.id) === held) this.#held.delete(held.id);
  }

  async #load(id: string): Promise<Held> {
    const stored = await this.#log.readStream(this.#partition, id, this.#snapshots.by);
    const held = stored === undefined ? this.#absent(id) : await this.#revive(stored);
    this.#held.set(id, held);
    return held;
  }

  #absent(id: string): Held {
    return {
      id,
      partition: this.#partition,
      tenant: '',
      state: ABSENT,
      headHash: GENESIS,
      key: undefined,
      actor: '',
      correlation: '',
      trace: undefined,
      contents: new SealedWords(id),
      committed: Promise.resolve(),
      timerAt: Infinity,
      snapshotAt: 0,
      superseded: false,
    };
  }

  async #revive(stored: StoredStream): Promise<Held> {
    const keys = await this.#keys.get(stored.contents.map((content) => content.keyId));
    return {
      id: stored.stream,
      partition: this.#partition,
      tenant: stored.tenant,
      ...this.#folded(stored),
      headHash: stored.headHash,
      key: keyOf(stored, keys),
      contents: new SealedWords(stored.stream, keys, stored.contents),
      committed: Promise.resolve(),
      timerAt: Infinity,
      snapshotAt: stored.snapshot?.version ?? 0,
      superseded: false,
    };
  }

  #folded(stored: StoredStream): Folded {
    const taken = this.#snapshots.taken(stored);
    const [first] = stored.events;
    const { actor, correlation, trace } = taken ?? {
      actor: first?.actor ?? '',
      correlation: first?.correlation ?? '',
      trace: first?.trace,
    };
    let state = taken?.state ?? ABSENT;
    for (const event of taken === undefined ? stored.events : stored.events.slice(1)) {
      const today = upcast(event);
      state = evolve(state, today, today.at);
    }
    return { state, actor, correlation, trace };
  }

  /** A decision is in the log, up to this version. */
  noteCommitted(held: Held, version: number): void {
    this.#snapshots.committed(held, version);
  }
}

function keyOf(stored: StoredStream, keys: ReadonlyMap<string, Buffer>): DataKey | undefined {
  const id = stored.contents[0]?.keyId;
  const key = id === undefined ? undefined : keys.get(id);
  return id === undefined || key === undefined ? undefined : { id, key };
}
