/**
 * A witness: somebody outside who holds only the log's public key, remembers the last head of every tree and co-signs a
 * new one only when it continues that. Requests are as in c2sp.org/tlog-witness: the size that the witness knows, the
 * consistency proof from there, an empty line, the checkpoint.
 */
import { HASH_BYTES } from './merkle.ts';
import { openCheckpoint } from './checkpoint.ts';
import { provesConsistency } from './proofs.ts';
import { ProofRefused } from './refused.ts';
import { cosignNote, type SigningKey, type VerifierKey } from './signed-note.ts';

export interface WitnessRequest {
  /** The size from which the proof leads here. */
  readonly old: number;
  readonly proof: readonly Buffer[];
  readonly note: string;
}

/** Origin → the last checkpoint that was co-signed for it. */
export type Witnessed = Readonly<Record<string, { readonly size: number; readonly root: string; readonly note: string }>>;

export const witnessRequestText = ({ old, proof, note }: WitnessRequest): string =>
  `old ${old}\n${proof.map((node) => `${node.toString('base64')}\n`).join('')}\n${note}`;

/** A checkpoint alone is a request without proof: good for the first one of a tree. @throws ProofRefused */
export function parseWitnessRequest(text: string): WitnessRequest {
  if (!text.startsWith('old ')) return { old: 0, proof: [], note: text };
  const end = text.indexOf('\n\n');
  const [first = '', ...lines] = text.slice(0, Math.max(0, end)).split('\n');
  const [, old] = /^old (0|[1-9]\d{0,15})$/.exec(first) ?? [];
  const proof = lines.map((line) => Buffer.from(line, 'base64'));
  if (old === undefined || proof.some((node, i) => node.length !== HASH_BYTES || node.toString('base64') !== lines[i]))
    throw new ProofRefused(
      'RequestMalformed',
      'a request is "old <size>", the hashes of the proof in base64, an empty line, the checkpoint',
    );
  return { old: Number(old), proof, note: text.slice(end + 2) };
}

/**
 * Co-signs a checkpoint that continues what was witnessed before.
 *
 * @param time of the co-signature, epoch seconds
 * @returns the co-signed note and what is witnessed now; it must be kept before the note is handed out
 * @throws ProofRefused `LogForked` when it contradicts an earlier one, `StaleProof` when the proof starts elsewhere
 */
export function witness(
  request: WitnessRequest,
  known: Witnessed,
  keys: { readonly log: VerifierKey; readonly own: SigningKey },
  time: number,
): { readonly note: string; readonly witnessed: Witnessed } {
  const { origin, size, root } = openCheckpoint(request.note, [keys.log]);
  const last = Object.hasOwn(known, origin) ? known[origin] : undefined;
  if (last !== undefined)
    refuseUnlessContinued({ size: last.size, root: Buffer.from(last.root, 'base64') }, { size, root }, origin, request);
  const note = cosignNote(request.note, keys.own, time);
  return { note, witnessed: { ...known, [origin]: { size, root: root.toString('base64'), note } } };
}

type Head = { readonly size: number; readonly root: Buffer };

function refuseUnlessContinued(last: Head, now: Head, origin: string, request: WitnessRequest): void {
  if (now.size < last.size)
    throw new ProofRefused(
      'CheckpointOlder',
      `${origin} has ${last.size} events by what was witnessed; this checkpoint has ${now.size}. Ask for a newer one.`,
    );
  if (now.size === last.size) {
    if (!now.root.equals(last.root))
      throw new ProofRefused(
        'LogForked',
        `${origin} has two different trees of ${now.size} events, both signed: the log was forked. Keep both notes.`,
      );
    return;
  }
  if (request.old !== last.size && last.size !== 0)
    throw new ProofRefused(
      'StaleProof',
      `${origin} was witnessed at ${last.size}; the proof starts at ${request.old}. Ask for one from ${last.size}.`,
    );
  if (!provesConsistency({ from: last, to: now, proof: request.proof }))
    throw new ProofRefused(
      'LogForked',
      `${origin} of ${now.size} events does not continue the ${last.size} that were witnessed: the log was rewritten. Keep both notes.`,
    );
}
