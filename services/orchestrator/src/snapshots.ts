import { type Workflow, isUnfinished } from '@mandate/domain';
import type { EventLog, Snapshot, StoredStream } from '@mandate/event-store';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { deserialize, serialize } from 'node:v8';

/** Folding so many events takes about 5 ms; few workflows ever have more. */
export const SNAPSHOT_EVERY = 500;

/** What a snapshot holds: the state, and what else is read off the first event. */
export interface Folded {
  readonly state: Workflow;
  readonly actor: string;
  readonly correlation: string;
  readonly trace: string | undefined;
}

/** What is asked of a workflow in memory. */
interface Held extends Folded {
  readonly id: string;
  readonly partition: number;
  readonly headHash: Buffer;
  /** Version of its snapshot; 0 without one. */
  snapshotAt: number;
}

/**
 * Long workflows are not folded from their first event each time. A snapshot is a shortcut and never the truth: it is
 * taken up only by the very code that made it, and only where the chain of the stream has the hash that it had.
 */
export class Snapshots {
  /** Which code folds here. */
  readonly by: string;
  readonly #log: Pick<EventLog, 'saveSnapshot' | 'dropSnapshot'>;
  readonly #onProblem: (problem: string) => void;

  constructor(
    log: Pick<EventLog, 'saveSnapshot' | 'dropSnapshot'>,
    onProblem: (problem: string) => void = () => undefined,
    by = foldingCode(),
  ) {
    this.#log = log;
    this.#onProblem = onProblem;
    this.by = by;
  }

  /** What the snapshot of a stream holds; undefined when there is none. */
  taken({ snapshot }: Pick<StoredStream, 'snapshot'>): Folded | undefined {
    return snapshot === undefined ? undefined : (deserialize(snapshot.state) as Folded);
  }

  /** After a commit: makes one when it is due, and removes it when nothing is owed any more. */
  committed(held: Held, version: number): void {
    if (!isUnfinished(held.state)) return this.#drop(held);
    // What was decided since is not in the log yet: the next commit will do.
    if (version - held.snapshotAt < SNAPSHOT_EVERY || held.state.version !== version) return;
    held.snapshotAt = version;
    const { id: stream, partition, headHash: hash, state, actor, correlation, trace } = held;
    const folded: Folded = { state, actor, correlation, trace };
    void this.#save({ partition, stream, version, hash, by: this.by }, folded);
  }

  /** Never throws: whoever committed is not to hear of it. */
  async #save(of: Omit<Snapshot, 'state'>, folded: Folded): Promise<void> {
    try {
      await this.#log.saveSnapshot({ ...of, state: serialize(folded) });
    } catch (error) {
      this.#onProblem((error as Error).message);
    }
  }

  #drop(held: Held): void {
    if (held.snapshotAt === 0) return;
    held.snapshotAt = 0;
    this.#log.dropSnapshot(held.partition, held.id).catch((error: unknown) => this.#onProblem((error as Error).message));
  }
}

/** A digest of the sources that fold events, or of the bundle that they are in, and of what writes states as bytes. */
function foldingCode(): string {
  const digest = createHash('sha256').update(process.versions.v8);
  for (const file of foldingFiles()) digest.update(readFileSync(file));
  return digest.digest('hex').slice(0, 32);
}

function foldingFiles(): readonly string[] {
  const sources = (name: string): string => dirname(fileURLToPath(import.meta.resolve(name)));
  try {
    return [filesUnder(sources('@mandate/domain')), join(sources('@mandate/contracts'), 'events.ts')].flat();
  } catch {
    return [import.meta.filename];
  }
}

const filesUnder = (folder: string): readonly string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.endsWith('.test.ts'))
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted();
