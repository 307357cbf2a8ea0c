import type { EventLog, StreamWrite } from './event-log.ts';

/** Batches are this large at most: larger ones make everybody in them wait longer for no more throughput. */
const MAX_STREAMS = 256;

interface Entry {
  readonly write: StreamWrite;
  resolve(firstPosition: number): void;
  reject(error: Error): void;
}

/**
 * Decisions on their way into the log. While one commit is in flight the next decisions gather; when it returns, all of
 * them are the next batch. No timer: alone, a decision is committed at once; under load, batches grow by themselves.
 * (Measured: 29-46 k events/s against 1.6-2.8 k with a commit per decision; see docs/decisions.)
 *
 * A stream may be in the queue several times: its writes build on one another. When a batch fails, everything that was
 * decided on top of it is void too, so the whole queue fails with it.
 */
export class CommitLane {
  readonly #log: Pick<EventLog, 'append'>;
  readonly #epochs: ReadonlyMap<number, number>;
  #queue: Entry[] = [];
  #committing = false;

  /** `epochs`: the partitions that this process owns; looked at for every batch. */
  constructor(log: Pick<EventLog, 'append'>, epochs: ReadonlyMap<number, number>) {
    this.#log = log;
    this.#epochs = epochs;
  }

  /** @returns the position of the write's first event */
  commit(write: StreamWrite): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ write, resolve, reject });
      if (!this.#committing) void this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#committing = true;
    // Let everything that was received in this turn of the event loop join the first batch.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const batch = this.#queue.splice(0, MAX_STREAMS);
      try {
        await this.#commit(batch);
      } catch (error) {
        this.#fail(batch, error as Error);
      }
    }
    this.#committing = false;
  }

  async #commit(batch: readonly Entry[]): Promise<void> {
    const writes = mergeByStream(batch);
    const bases = new Map(await this.#log.append(writes, this.#epochs));
    const firstOf = new Map<string, number>();
    for (const write of writes) {
      const base = bases.get(write.partition) ?? 0;
      firstOf.set(write.stream, base - write.expectedVersion);
      bases.set(write.partition, base + write.events.length);
    }
    // A stream's events are consecutive within a batch, so position - version is one number.
    for (const entry of batch) entry.resolve((firstOf.get(entry.write.stream) ?? 0) + entry.write.expectedVersion);
  }

  #fail(batch: readonly Entry[], error: Error): void {
    for (const entry of [...batch, ...this.#queue.splice(0)]) entry.reject(error);
  }
}

/** Several decisions about one stream are one write: the first one's expected version, the last one's end. */
function mergeByStream(batch: readonly Entry[]): StreamWrite[] {
  const merged = new Map<string, StreamWrite>();
  for (const { write } of batch) {
    const before = merged.get(write.stream);
    merged.set(
      write.stream,
      before === undefined ? write : { ...write, expectedVersion: before.expectedVersion, events: [...before.events, ...write.events] },
    );
  }
  return [...merged.values()];
}
