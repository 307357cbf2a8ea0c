/** An inclusion proof as a file (c2sp.org/tlog-proof): the position, the audit path, and the checkpoint it leads to. */
import type { Checkpoint } from './checkpoint.ts';
import { openCheckpoint } from './checkpoint.ts';
import { HASH_BYTES, leafHash } from './merkle.ts';
import { provesInclusion } from './proofs.ts';
import { ProofRefused } from './refused.ts';
import type { VerifierKey } from './signed-note.ts';

const FORMAT = 'c2sp.org/tlog-proof@v1';

export const logProofText = (index: number, path: readonly Buffer[], note: string): string =>
  `${FORMAT}\nindex ${index}\n${path.map((node) => `${node.toString('base64')}\n`).join('')}\n${note}`;

/**
 * Checks that exactly these bytes are at the position that the proof names.
 * @throws ProofRefused `NotIncluded` when they are not
 */
export function checkLogProof(text: string, envelope: string, key: VerifierKey): Checkpoint & { readonly index: number } {
  const end = text.indexOf('\n\n');
  const [format, position = '', ...lines] = text.slice(0, Math.max(0, end)).split('\n');
  const [, index] = /^index (0|[1-9]\d{0,15})$/.exec(position) ?? [];
  const proof = lines.map((line) => Buffer.from(line, 'base64'));
  if (format !== FORMAT || index === undefined || proof.some((node) => node.length !== HASH_BYTES))
    throw new ProofRefused('ProofMalformed', `a proof is "${FORMAT}", "index <position>", hashes in base64, an empty line, the checkpoint`);
  const { origin, size, root } = openCheckpoint(text.slice(end + 2), [key]);
  if (!provesInclusion({ index: Number(index), size, leaf: leafHash(envelope), proof, root }))
    throw new ProofRefused('NotIncluded', `these bytes are not at position ${index} of ${origin}: the event or the proof was altered`);
  return { origin, size, root, index: Number(index) };
}
