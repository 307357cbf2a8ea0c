/**
 * A run capsule: one stream of the log in one file, checkable with nothing but the log's public key. NDJSON, in this order:
 *
 * - header: `{"capsule":1,"stream","partition","log","from":1,"to","key"}`
 * - `{"checkpoint"}`: a signed checkpoint that covers all of the events
 * - per event `{"position","hash","envelope"}`: the exact text of its envelope, without any content
 * - `{"proof":[…]}`, one or more: the covering proof (proofs.ts) of the events in the checkpoint's tree, base64
 */
import { openCheckpoint, originOf } from './checkpoint.ts';
import { eventIdOf, hashesOf, NO_HASH } from './log-rows.ts';
import { HASH_BYTES, HashList } from './merkle.ts';
import { coveredRoot, coveringProof } from './proofs.ts';
import { ProofRefused } from './refused.ts';
import { parseVerifierKey, type VerifierKey } from './signed-note.ts';

const FORMAT = 1;
const PROOF_HASHES_PER_LINE = 1_000;

export interface CapsuleEvent {
  readonly position: number;
  readonly hash: Buffer;
  readonly envelope: string;
}

export interface CapsuleSource {
  readonly stream: string;
  readonly partition: number;
  /** Incarnation of the log. */
  readonly log: string;
  /** Version of the last event. */
  readonly to: number;
  readonly key: VerifierKey;
  /** The signed checkpoint, and the leaf hashes of its whole tree. */
  readonly checkpoint: { readonly note: string; readonly size: number; readonly leaves: Buffer };
  /** Pages of the stream's events from version 1 to `to`. */
  readonly pages: AsyncIterable<readonly CapsuleEvent[]>;
}

export interface CapsuleReport {
  readonly stream: string;
  readonly events: number;
  readonly origin: string;
  /** Size of the tree that the events are proven to be in. */
  readonly size: number;
  readonly key: string;
  /** Whether the key is one that the verifier brought; otherwise only the file vouches for itself. */
  readonly isKeyTrusted: boolean;
  /** The first thing that is wrong. */
  readonly finding?: { readonly event?: string; readonly detail: string };
}

/** Lines with their newline. The same events under the same checkpoint give the same bytes. */
export async function* capsuleLines(source: CapsuleSource): AsyncIterable<string> {
  const { stream, partition, log, to, key, checkpoint } = source;
  yield line({ capsule: FORMAT, stream, partition, log, from: 1, to, key: key.text });
  yield line({ checkpoint: checkpoint.note });
  const positions: number[] = [];
  for await (const page of source.pages) {
    for (const { position, hash, envelope } of page) {
      positions.push(position);
      yield line({ position, hash: hash.toString('hex'), envelope });
    }
  }
  const proof = coveringProof(checkpoint.leaves, checkpoint.size, positions).map((node) => node.toString('base64'));
  for (let i = 0; i === 0 || i < proof.length; i += PROOF_HASHES_PER_LINE) yield line({ proof: proof.slice(i, i + PROOF_HASHES_PER_LINE) });
}

const line = (value: object): string => `${JSON.stringify(value)}\n`;

/** Checks a capsule from its lines alone. @param trusted the log's key, when the verifier has it from elsewhere */
export async function verifyCapsule(lines: AsyncIterable<string>, trusted?: VerifierKey): Promise<CapsuleReport> {
  const reading = new Reading(trusted);
  let number = 0;
  for await (const text of lines) {
    number++;
    const problem = reading.take(text, number);
    if (problem !== undefined) return reading.report(problem);
  }
  return reading.report(reading.problemAtTheEnd());
}

type Problem = { readonly event?: string; readonly detail: string };
type Header = { readonly stream: string; readonly partition: number; readonly log: string; readonly to: number; readonly key: VerifierKey };

/** A capsule as far as it was read. */
class Reading {
  readonly #trusted: VerifierKey | undefined;
  #header: Header | undefined;
  #checkpoint: { readonly origin: string; readonly size: number; readonly root: Buffer } | undefined;
  readonly #positions: number[] = [];
  readonly #leaves = new HashList();
  #link = NO_HASH;
  #proof: Buffer[] | undefined;

  constructor(trusted: VerifierKey | undefined) {
    this.#trusted = trusted;
  }

  take(text: string, number: number): Problem | undefined {
    const value = parsed(text);
    if (value === undefined) return { detail: `line ${number} is not a JSON object` };
    try {
      if (number === 1) this.#header = headerOf(value);
      else if (number === 2) return this.#openCheckpoint(value);
      else if ('envelope' in value && this.#proof === undefined) return this.#takeEvent(value, number);
      else return this.#takeProof(value, number);
    } catch (error) {
      if (error instanceof ProofRefused) return { detail: error.message };
      throw error;
    }
    return undefined;
  }

  problemAtTheEnd(): Problem | undefined {
    if (this.#header === undefined || this.#checkpoint === undefined) return { detail: 'the file ends before its checkpoint' };
    const { stream, to } = this.#header;
    const read = this.#positions.length;
    if (read < to) return { event: eventIdOf(stream, read + 1), detail: `removed: the header says ${to} events, ${read} are there` };
    if (this.#proof === undefined) return { detail: 'the file ends before its proof' };
    const root = coveredRoot(this.#checkpoint.size, this.#positions, this.#leaves.bytes(), this.#proof);
    if (root?.equals(this.#checkpoint.root) === true) return undefined;
    return { detail: 'the events and their proof do not lead to the signed root: an event, its hashes or the proof were rewritten' };
  }

  report(problem: Problem | undefined): CapsuleReport {
    return {
      stream: this.#header?.stream ?? '',
      events: this.#positions.length,
      origin: this.#checkpoint?.origin ?? '',
      size: this.#checkpoint?.size ?? 0,
      key: this.#header?.key.text ?? '',
      isKeyTrusted: this.#trusted !== undefined,
      ...(problem === undefined ? {} : { finding: problem }),
    };
  }

  #openCheckpoint(value: Fields): Problem | undefined {
    const header = this.#header;
    if (header === undefined || typeof value['checkpoint'] !== 'string') return { detail: 'line 2 is not a checkpoint' };
    if (this.#trusted !== undefined && this.#trusted.text !== header.key.text)
      return { detail: `it was signed with ${header.key.text}, not with the key that you trust` };
    const checkpoint = openCheckpoint(value['checkpoint'], [header.key]);
    const origin = originOf(header.log, header.partition);
    if (checkpoint.origin !== origin) return { detail: `its checkpoint is of ${checkpoint.origin}, its events of ${origin}` };
    this.#checkpoint = checkpoint;
    return undefined;
  }

  #takeEvent(value: Fields, number: number): Problem | undefined {
    const { stream = '', to = 0 } = this.#header ?? {};
    const version = this.#positions.length + 1;
    const { position, hash, envelope } = value;
    if (typeof position !== 'number' || !Number.isSafeInteger(position) || typeof hash !== 'string' || typeof envelope !== 'string')
      return { detail: `line ${number} is not an event` };
    const said = parsed(envelope);
    const event = eventIdOf(stream, version);
    if (said?.['stream'] === stream && typeof said['version'] === 'number' && said['version'] !== version)
      return { event, detail: `the event of version ${said['version']} stands in its place: it was removed, inserted or reordered` };
    if (said?.['id'] !== event || said['stream'] !== stream || said['version'] !== version)
      return { event, detail: 'altered: its envelope is not of this stream and version' };
    if (version > to) return { event, detail: `inserted: the header says ${to} events` };
    const { leaf, link } = hashesOf(envelope, this.#link);
    if (!link.equals(Buffer.from(hash, 'hex')))
      return { event, detail: 'altered: its hash does not follow from its bytes and the event before it' };
    if (position <= (this.#positions.at(-1) ?? -1) || position >= (this.#checkpoint?.size ?? 0))
      return { event, detail: `altered: position ${position} does not follow the one before it, or is not in the checkpoint` };
    this.#leaves.push(leaf);
    this.#positions.push(position);
    this.#link = link;
    return undefined;
  }

  #takeProof({ proof }: Fields, number: number): Problem | undefined {
    if (!Array.isArray(proof)) return { detail: `line ${number} is neither an event nor a proof` };
    this.#proof ??= [];
    for (const text of proof as readonly unknown[]) {
      const node = Buffer.from(String(text), 'base64');
      if (node.length !== HASH_BYTES) return { detail: `line ${number}: a hash of the proof is not 32 bytes` };
      this.#proof.push(node);
    }
    return undefined;
  }
}

type Fields = Readonly<Record<string, unknown>>;

function headerOf(value: Fields): Header {
  const { capsule, stream, partition, log, from, to, key } = value;
  if (capsule !== FORMAT)
    throw new ProofRefused('CapsuleMalformed', `the first line does not say that this is a run capsule of format ${FORMAT}`);
  if (
    typeof stream !== 'string' ||
    typeof partition !== 'number' ||
    typeof log !== 'string' ||
    typeof to !== 'number' ||
    typeof key !== 'string'
  )
    throw new ProofRefused('CapsuleMalformed', 'the first line lacks stream, partition, log, to or key');
  if (from !== 1) throw new ProofRefused('CapsuleMalformed', 'a capsule begins with the first event of its stream');
  return { stream, partition, log, to, key: parseVerifierKey(key) };
}

function parsed(text: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;
  } catch {
    return undefined;
  }
}
