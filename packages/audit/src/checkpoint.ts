/** Checkpoints (c2sp.org/tlog-checkpoint): the head of one partition's tree as a note that the log signs. */
import { ProofRefused } from './refused.ts';
import { openNote, type OpenedNote, type SigningKey, signNote, type VerifierKey } from './signed-note.ts';
import { HASH_BYTES } from './merkle.ts';

export interface Checkpoint {
  /** Which tree: `mandate/<log incarnation>/p<partition>`. A restored log is another one. */
  readonly origin: string;
  /** Events below this position are in the tree. */
  readonly size: number;
  readonly root: Buffer;
}

export const originOf = (incarnation: string, partition: number): string => `mandate/${incarnation}/p${partition}`;

export const signCheckpoint = (checkpoint: Checkpoint, key: SigningKey): string =>
  signNote(`${checkpoint.origin}\n${checkpoint.size}\n${checkpoint.root.toString('base64')}\n`, key);

/** @throws ProofRefused when it is not signed by a known key or not a checkpoint */
export function openCheckpoint(note: string, keys: readonly VerifierKey[]): Checkpoint & Pick<OpenedNote, 'signatures'> {
  const { text, signatures } = openNote(note, keys);
  return { ...parseCheckpoint(text), signatures };
}

/** Extension lines are allowed and ignored, as the format says. */
export function parseCheckpoint(text: string): Checkpoint {
  const [, origin, size, base64] = /^([^\n]+)\n(0|[1-9]\d{0,15})\n([A-Za-z0-9+/]{43}=)\n(?:[^\n]+\n)*$/.exec(text) ?? [];
  const root = Buffer.from(base64 ?? '', 'base64');
  if (origin === undefined || !Number.isSafeInteger(Number(size)) || root.length !== HASH_BYTES || root.toString('base64') !== base64)
    throw new ProofRefused('CheckpointMalformed', 'a checkpoint is three lines: origin, tree size, root in base64');
  return { origin, size: Number(size), root };
}
