import { upcast } from '@mandate/contracts';
import { ABSENT, evolve, isUnfinished, type Workflow } from '@mandate/domain';
import { type DataKey, type DataKeys, type EventLog, SealedWords, type StoredStream } from '@mandate/event-store';

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

  constructor(partition: number, log: EventLog, keys: DataKeys) {
    this.#partition = partition;
    this.#log = log;
    this.#keys = keys;
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
    const streams = await this.#log.readOpenStreams(this.#partition);
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
    const stored = await this.#log.readStream(this.#partition, id);
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
      superseded: false,
    };
  }

  async #revive(stored: StoredStream): Promise<Held> {
    let state = ABSENT;
    for (const event of stored.events) {
      const today = upcast(event);
      state = evolve(state, today, today.at);
    }
    const keys = await this.#keys.get(stored.contents.map((content) => content.keyId));
    return {
      id: stored.stream,
      partition: this.#partition,
      tenant: stored.tenant,
      state,
      headHash: stored.headHash,
      key: keyOf(stored, keys),
      actor: stored.events[0]?.actor ?? '',
      correlation: stored.events[0]?.correlation ?? '',
      trace: stored.events[0]?.trace,
      contents: new SealedWords(stored.stream, keys, stored.contents),
      committed: Promise.resolve(),
      timerAt: Infinity,
      superseded: false,
    };
  }
}

function keyOf(stored: StoredStream, keys: ReadonlyMap<string, Buffer>): DataKey | undefined {
  const id = stored.contents[0]?.keyId;
  const key = id === undefined ? undefined : keys.get(id);
  return id === undefined || key === undefined ? undefined : { id, key };
}
