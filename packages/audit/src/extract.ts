/**
 * An extract: whichever events of a log match a filter, in one file, checkable with nothing but the log's public key. NDJSON:
 *
 * - header: `{"extract":1,"log","key","filter"}`
 * - per partition that has such events, in the order of partitions: `{"partition","checkpoint"}`, a signed checkpoint that
 *   covers them; per event, in the order of positions, `{"position","envelope"}`; `{"proof":[…]}`, one or more: the covering
 *   proof (proofs.ts) of these events in the checkpoint's tree, base64
 * - `{"events":n}`
 *
 * It proves that each of these events is in the log, as it is written. That none is left out, only the log itself can show.
 */
import { openCheckpoint, originOf } from './checkpoint.ts';
import { HASH_BYTES, HashList, leafHash } from './merkle.ts';
import { coveredRoot, coveringProof } from './proofs.ts';
import { ProofRefused } from './refused.ts';
import { parseVerifierKey, type VerifierKey } from './signed-note.ts';

const FORMAT = 1;
const PROOF_HASHES_PER_LINE = 1_000;

/** Everything that is given must hold. Times are epoch ms, both ends included. */
export interface EventFilter {
  readonly workflow?: string;
  readonly tenant?: string;
  readonly types?: readonly string[];
  readonly since?: number;
  readonly until?: number;
}

/** What is taken out of one partition. */
export interface PartitionExtract {
  readonly partition: number;
  readonly checkpoint: { readonly note: string; readonly size: number; readonly leaves: Buffer };
  /** Pages of matching events, by position. */
  readonly pages: AsyncIterable<readonly { readonly position: number; readonly envelope: string }[]>;
}

/** Lines with their newline. The same events under the same checkpoints give the same bytes. */
export async function* extractLines(source: {
  readonly log: string;
  readonly key: VerifierKey;
  readonly filter: EventFilter;
  readonly partitions: AsyncIterable<PartitionExtract>;
}): AsyncIterable<string> {
  yield line({ extract: FORMAT, log: source.log, key: source.key.text, filter: source.filter });
  let events = 0;
  for await (const { partition, checkpoint, pages } of source.partitions) {
    yield line({ partition, checkpoint: checkpoint.note });
    const positions: number[] = [];
    for await (const page of pages) {
      for (const { position, envelope } of page) {
        positions.push(position);
        yield line({ position, envelope });
      }
    }
    events += positions.length;
    const proof = coveringProof(checkpoint.leaves, checkpoint.size, positions).map((node) => node.toString('base64'));
    for (let i = 0; i === 0 || i < proof.length; i += PROOF_HASHES_PER_LINE)
      yield line({ proof: proof.slice(i, i + PROOF_HASHES_PER_LINE) });
  }
  yield line({ events });
}

const line = (value: object): string => `${JSON.stringify(value)}\n`;

export interface ExtractReport {
  readonly log: string;
  readonly filter: EventFilter;
  readonly events: number;
  readonly partitions: number;
  readonly key: string;
  /** Whether the key is one that the verifier brought; otherwise only the file vouches for itself. */
  readonly isKeyTrusted: boolean;
  /** The first thing that is wrong. */
  readonly finding?: { readonly event?: string; readonly detail: string };
}

/** Checks an extract from its lines alone. @param trusted the log's key, when the verifier has it from elsewhere */
export async function verifyExtract(lines: AsyncIterable<string>, trusted?: VerifierKey): Promise<ExtractReport> {
  const reading = new Reading(trusted);
  let number = 0;
  for await (const text of lines) {
    number++;
    const problem = reading.take(text, number);
    if (problem !== undefined) return reading.report(problem);
  }
  return reading.report(reading.isWhole ? undefined : { detail: 'removed: the file ends before its last line' });
}

type Problem = { readonly event?: string; readonly detail: string };
type Fields = Readonly<Record<string, unknown>>;

interface Open {
  readonly partition: number;
  readonly size: number;
  readonly root: Buffer;
  readonly positions: number[];
  readonly leaves: HashList;
  proof: Buffer[] | undefined;
}

/** An extract as far as it was read. */
class Reading {
  readonly #trusted: VerifierKey | undefined;
  #header: { readonly log: string; readonly key: VerifierKey; readonly filter: EventFilter } | undefined;
  #open: Open | undefined;
  #events = 0;
  #partitions = 0;
  isWhole = false;

  constructor(trusted: VerifierKey | undefined) {
    this.#trusted = trusted;
  }

  take(text: string, number: number): Problem | undefined {
    const value = parsed(text);
    if (value === undefined) return { detail: `line ${number} is not a JSON object` };
    if (this.isWhole) return { detail: `inserted: line ${number} stands behind the last line` };
    try {
      if (number === 1) return this.#begin(value);
      if ('checkpoint' in value) return this.#close() ?? this.#openPartition(value, number);
      if ('envelope' in value) return this.#takeEvent(value, number);
      if ('proof' in value) return this.#takeProof(value, number);
      if ('events' in value) return this.#close() ?? this.#end(value);
    } catch (error) {
      if (error instanceof ProofRefused) return { detail: error.message };
      throw error;
    }
    return { detail: `line ${number} is neither checkpoint, event, proof nor the last line` };
  }

  report(problem: Problem | undefined): ExtractReport {
    return {
      log: this.#header?.log ?? '',
      filter: this.#header?.filter ?? {},
      events: this.#events,
      partitions: this.#partitions,
      key: this.#header?.key.text ?? '',
      isKeyTrusted: this.#trusted !== undefined,
      ...(problem === undefined ? {} : { finding: problem }),
    };
  }

  #begin({ extract, log, key, filter }: Fields): Problem | undefined {
    if (extract !== FORMAT || typeof log !== 'string' || typeof key !== 'string' || typeof filter !== 'object' || filter === null)
      return { detail: `the first line does not say that this is an extract of format ${FORMAT}` };
    this.#header = { log, key: parseVerifierKey(key), filter: filter as EventFilter };
    if (this.#trusted === undefined || this.#trusted.text === key) return undefined;
    return { detail: `it was signed with ${key}, not with the key that you trust` };
  }

  #openPartition({ partition, checkpoint: note }: Fields, number: number): Problem | undefined {
    const header = this.#header;
    if (header === undefined || typeof note !== 'string' || typeof partition !== 'number')
      return { detail: `line ${number} is not a checkpoint` };
    if (partition <= (this.#open?.partition ?? -1)) return { detail: `reordered: partition ${partition} on line ${number}` };
    const { origin, size, root } = openCheckpoint(note, [header.key]);
    const expected = originOf(header.log, partition);
    if (origin !== expected) return { detail: `the checkpoint on line ${number} is of ${origin}, its events of ${expected}` };
    this.#open = { partition, size, root, positions: [], leaves: new HashList(), proof: undefined };
    return undefined;
  }

  #takeEvent({ position, envelope }: Fields, number: number): Problem | undefined {
    const open = this.#open;
    if (open === undefined || open.proof !== undefined || typeof position !== 'number' || typeof envelope !== 'string')
      return { detail: `line ${number} is not an event in its place` };
    const said = parsed(envelope);
    const event = String(said?.['id']);
    if (said === undefined || !Number.isSafeInteger(position)) return { detail: `line ${number} is not an event` };
    if (position <= (open.positions.at(-1) ?? -1) || position >= open.size)
      return { event, detail: `reordered: position ${position} does not follow the one before it, or is not in the checkpoint` };
    const no = unmatched(said, this.#header?.filter ?? {});
    if (no !== undefined) return { event, detail: `inserted: its ${no} is not one that the header asks for` };
    open.positions.push(position);
    open.leaves.push(leafHash(envelope));
    return undefined;
  }

  #takeProof({ proof }: Fields, number: number): Problem | undefined {
    const open = this.#open;
    if (open === undefined || !Array.isArray(proof)) return { detail: `line ${number} is not a proof in its place` };
    const nodes = (proof as readonly unknown[]).map((text) => Buffer.from(String(text), 'base64'));
    if (nodes.some(({ length }) => length !== HASH_BYTES)) return { detail: `line ${number}: a hash of the proof is not 32 bytes` };
    open.proof = [...(open.proof ?? []), ...nodes];
    return undefined;
  }

  /** All of a partition was read. */
  #close(): Problem | undefined {
    const open = this.#open;
    if (open === undefined) return undefined;
    if (open.positions.length === 0 || open.proof === undefined)
      return { detail: `removed: partition ${open.partition} has a checkpoint and no events, or no proof` };
    const root = coveredRoot(open.size, open.positions, open.leaves.bytes(), open.proof);
    if (root?.equals(open.root) !== true)
      return {
        detail: `the events of partition ${open.partition} and their proof do not lead to the signed root: an event was altered, removed or inserted`,
      };
    this.#events += open.positions.length;
    this.#partitions++;
    return undefined;
  }

  #end({ events }: Fields): Problem | undefined {
    this.isWhole = true;
    return events === this.#events
      ? undefined
      : { detail: `removed: the last line says ${String(events)} events, ${this.#events} are there` };
  }
}

/** The field of an event that a filter does not ask for. */
function unmatched(said: Fields, { workflow, tenant, types, since, until }: EventFilter): string | undefined {
  if (workflow !== undefined && said['stream'] !== workflow) return 'workflow';
  if (tenant !== undefined && said['tenant'] !== tenant) return 'tenant';
  if (types !== undefined && !types.includes(String(said['type']))) return 'type';
  const at = Number(said['at']);
  return (since === undefined || at >= since) && (until === undefined || at <= until) ? undefined : 'time';
}

function parsed(text: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;
  } catch {
    return undefined;
  }
}
