/**
 * Reads a partition of the log from its beginning and says what is the first thing wrong with it.
 *
 * Per event, in this order: its position follows, it is the event that was sealed there, its columns say what its envelope
 * says, its version follows in its stream, its hash follows from the event before it. Which of the four (altered, removed,
 * inserted, reordered) it was is then told from the rest of the partition.
 */
import type { Checkpoint } from './checkpoint.ts';
import { contradictionIn, eventIdOf, hashesOf, type LogRow, NO_HASH } from './log-rows.ts';
import { Frontier, HASH_BYTES, HashList } from './merkle.ts';
import type { SealedLeaves } from './sealed-leaves.ts';

export interface Finding {
  /** `checkpoint`: one of the signed checkpoints is not right. `forked`: the log is not the one that a held checkpoint signed. */
  readonly kind: 'altered' | 'removed' | 'inserted' | 'reordered' | 'checkpoint' | 'forked';
  readonly partition: number;
  readonly position: number;
  /** `<stream>-<version>`; undefined when nothing that is left tells it. */
  readonly event?: string;
  readonly detail: string;
}

export interface PartitionLog {
  readonly partition: number;
  /** Pages of rows, in order of position. */
  readonly pages: AsyncIterable<readonly LogRow[]>;
  readonly sealed: SealedLeaves;
  /** The log says that the next event goes here. */
  readonly head: number;
  /** Checkpoints that the verifier holds from elsewhere. */
  readonly held?: readonly Checkpoint[];
  /** Stream → the version that the log says it has; asked for only when the name of a removed event is not known otherwise. */
  readonly versions?: () => Promise<ReadonlyMap<string, number>>;
}

export interface PartitionReport {
  readonly partition: number;
  readonly events: number;
  readonly streams: number;
  /** So many of the events are covered by signed checkpoints. */
  readonly sealed: number;
  readonly finding?: Finding;
}

export async function verifyPartition(log: PartitionLog): Promise<PartitionReport> {
  const walk = new Walk(log);
  const pages = log.pages[Symbol.asyncIterator]();
  for (let page = await pages.next(); page.done !== true; page = await pages.next()) {
    for (const [index, row] of page.value.entries()) {
      const wrong = walk.wrongWith(row);
      if (wrong === undefined) continue;
      if ('kind' in wrong) return walk.report(wrong);
      const rest = page.value.slice(wrong.row === undefined ? index : index + 1);
      return walk.report(await walk.explained(wrong, restOf(rest, pages)));
    }
  }
  return walk.report(await walk.wrongAtTheEnd());
}

/** An event that is not the one that belongs there; which kind of change it was is not known yet. */
type Misplaced = { readonly row: LogRow | undefined; readonly position: number; readonly detail: string };
type Wrong = Misplaced | Finding;

/** What the rest of the partition tells about a misplaced event. */
interface Later {
  /** The event that belongs at its position stands later. */
  readonly wanted: boolean;
  /** The event that stands there stands later once more. */
  readonly repeated: boolean;
  /** The first gap in the versions of a stream. */
  readonly missing: string | undefined;
  /** Stream → the highest version that is there. */
  readonly versions: ReadonlyMap<string, number>;
}

class Walk {
  readonly #log: PartitionLog;
  readonly #streams = new Map<string, { version: number; readonly head: number }>();
  /** The hash of each stream's last event. */
  readonly #heads = new HashList();
  readonly #frontier = new Frontier();
  readonly #held: readonly Checkpoint[];
  #next = 0;

  constructor(log: PartitionLog) {
    this.#log = log;
    this.#held = log.held ?? [];
  }

  report(finding: Finding | undefined): PartitionReport {
    const { partition, sealed } = this.#log;
    const found = finding ?? this.#brokenCheckpoint();
    return {
      partition,
      events: this.#next,
      streams: this.#streams.size,
      sealed: Math.min(sealed.size, this.#next),
      ...(found === undefined ? {} : { finding: found }),
    };
  }

  /** What is wrong with the next row. When nothing is, it is taken in. */
  wrongWith(row: LogRow): Wrong | undefined {
    const position = this.#next;
    if (row.position !== position) return { row: undefined, position, detail: `the next event that is there has position ${row.position}` };
    const before = this.#streams.get(row.stream);
    const { leaf, link } = hashesOf(row.envelope, before === undefined ? NO_HASH : this.#heads.at(before.head));
    if (position < this.#log.sealed.size && !this.#sealedAt(position).equals(leaf))
      return { row, position, detail: 'it is not what was sealed at this position' };
    const contradiction = contradictionIn(row);
    if (contradiction !== undefined) return this.#altered(row, contradiction);
    if (row.version !== (before?.version ?? 0) + 1)
      return { row, position, detail: `its stream stands at version ${before?.version ?? 0} before it` };
    if (!link.equals(row.hash)) return this.#altered(row, 'its hash does not follow from its bytes and the event before it in its stream');
    this.#take(row, link);
    this.#next++;
    return this.#held.length === 0 ? undefined : this.#contradictsHeld(leaf);
  }

  /** Which kind of change it was, from what follows it. */
  async explained({ row, position, detail }: Misplaced, rest: AsyncIterable<LogRow>): Promise<Finding> {
    const later = await this.#lookAhead(row, position, rest);
    if (row === undefined) return later.wanted ? this.#moved(row, position, detail) : this.#removed(position, detail, later);
    if (position < this.#log.sealed.size) {
      const belongsLater = this.#log.sealed.leaves.subarray((position + 1) * HASH_BYTES).includes(hashesOf(row.envelope, NO_HASH).leaf);
      if (later.wanted) return belongsLater && !later.repeated ? this.#moved(row, position, detail) : this.#inserted(row, detail);
      return belongsLater ? this.#removed(position, detail, later) : this.#altered(row, detail);
    }
    if (row.version <= (this.#streams.get(row.stream)?.version ?? 0)) return this.#inserted(row, detail);
    return later.wanted ? this.#moved(row, position, detail) : this.#removed(position, detail, later);
  }

  /** Events that were taken off the end. */
  async wrongAtTheEnd(): Promise<Finding | undefined> {
    const { partition, sealed, head } = this.#log;
    const position = this.#next;
    const held = this.#held.find((each) => each.size > position);
    const said =
      position < sealed.size
        ? `a signed checkpoint covers ${sealed.size} events`
        : held !== undefined
          ? `a checkpoint that you hold covers ${held.size} events`
          : position < head
            ? `the log says that the next event has position ${head}`
            : undefined;
    if (said === undefined) return undefined;
    const versions = new Map([...this.#streams].map(([stream, { version }]) => [stream, version]));
    return { kind: 'removed', partition, position, ...named(await this.#unaccounted(versions)), detail: `the log ends here, but ${said}` };
  }

  #take({ stream, version }: LogRow, link: Buffer): void {
    const before = this.#streams.get(stream);
    if (before === undefined) {
      this.#streams.set(stream, { version, head: this.#heads.push(link) });
      return;
    }
    before.version = version;
    this.#heads.set(before.head, link);
  }

  #sealedAt(position: number): Buffer {
    return this.#log.sealed.leaves.subarray(position * HASH_BYTES, (position + 1) * HASH_BYTES);
  }

  #contradictsHeld(leaf: Buffer): Finding | undefined {
    this.#frontier.push(leaf);
    const held = this.#held.find((each) => each.size === this.#next && !each.root.equals(this.#frontier.root()));
    if (held === undefined) return undefined;
    const detail = `the first ${held.size} events are not those of the checkpoint that you hold: an event below this position was changed after it was signed`;
    return { kind: 'forked', partition: this.#log.partition, position: this.#next, detail };
  }

  #brokenCheckpoint(): Finding | undefined {
    const { partition, sealed } = this.#log;
    return sealed.problem === undefined ? undefined : { kind: 'checkpoint', partition, position: sealed.size, detail: sealed.problem };
  }

  #altered(row: LogRow, detail: string): Finding {
    return { kind: 'altered', partition: row.partition, position: row.position, event: eventIdOf(row.stream, row.version), detail };
  }

  #inserted(row: LogRow, detail: string): Finding {
    return { ...this.#altered(row, `it was never there; ${detail}`), kind: 'inserted' };
  }

  async #removed(position: number, detail: string, later: Later): Promise<Finding> {
    const event = later.missing ?? (await this.#unaccounted(later.versions));
    const { partition } = this.#log;
    return { kind: 'removed', partition, position, ...named(event), detail: `the event of this position is gone; ${detail}` };
  }

  #moved(row: LogRow | undefined, position: number, detail: string): Finding {
    const event = row === undefined ? {} : { event: eventIdOf(row.stream, row.version) };
    return {
      kind: 'reordered',
      partition: this.#log.partition,
      position,
      ...event,
      detail: `another event belongs here and stands later; ${detail}`,
    };
  }

  async #lookAhead(row: LogRow | undefined, position: number, rest: AsyncIterable<LogRow>): Promise<Later> {
    const isSealed = position < this.#log.sealed.size;
    const versions = new Map([...this.#streams].map(([stream, { version }]) => [stream, version]));
    const strange = row === undefined ? undefined : hashesOf(row.envelope, NO_HASH).leaf;
    const expected = row === undefined ? undefined : (versions.get(row.stream) ?? 0) + 1;
    let [wanted, repeated] = [false, false];
    let missing: string | undefined;
    const follow = ({ stream, version }: LogRow): void => {
      const due = (versions.get(stream) ?? 0) + 1;
      if (version > due) missing ??= eventIdOf(stream, due);
      versions.set(stream, Math.max(version, due - 1));
    };
    if (row !== undefined) follow(row);
    for await (const each of rest) {
      const { leaf } = hashesOf(each.envelope, NO_HASH);
      wanted ||= isSealed ? leaf.equals(this.#sealedAt(position)) : each.stream === row?.stream && each.version === expected;
      repeated ||= strange?.equals(leaf) === true;
      follow(each);
    }
    return { wanted, repeated, missing, versions };
  }

  /** The one event that a stream should have and that was not found; undefined when there are several. */
  async #unaccounted(found: ReadonlyMap<string, number>): Promise<string | undefined> {
    const said = (await this.#log.versions?.()) ?? new Map<string, number>();
    const short = [...said].filter(([stream, version]) => version > (found.get(stream) ?? 0));
    const [only] = short;
    return short.length === 1 && only !== undefined ? eventIdOf(only[0], (found.get(only[0]) ?? 0) + 1) : undefined;
  }
}

const named = (event: string | undefined): Pick<Finding, 'event'> => (event === undefined ? {} : { event });

async function* restOf(rows: readonly LogRow[], pages: AsyncIterator<readonly LogRow[]>): AsyncIterable<LogRow> {
  yield* rows;
  for (let page = await pages.next(); page.done !== true; page = await pages.next()) yield* page.value;
}
