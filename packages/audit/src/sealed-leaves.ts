/** The leaf hashes that were kept when checkpoints were signed. Their signatures vouch for them, not the place they are kept in. */
import { type Checkpoint, openCheckpoint } from './checkpoint.ts';
import { Frontier, HASH_BYTES } from './merkle.ts';
import { ProofRefused } from './refused.ts';
import type { VerifierKey } from './signed-note.ts';

/** A checkpoint as it is kept: it added the events from `first` up to, not including, `size`. */
export interface KeptCheckpoint {
  readonly first: number;
  readonly size: number;
  readonly note: string;
  /** Leaf hashes of the events that it added. */
  readonly leaves: Buffer;
}

export interface SealedLeaves {
  /** Of every event below `size`, proven by the checkpoints. */
  readonly leaves: Buffer;
  readonly size: number;
  /** What is wrong with the first checkpoint that cannot be relied on. It and all after it are left out. */
  readonly problem?: string;
}

/**
 * Follows a partition's checkpoints from its beginning: each must be signed, continue the one before it and have the root
 * that the leaves give.
 *
 * @param kept in order of size
 */
export function sealedLeaves(kept: readonly KeptCheckpoint[], origin: string, key: VerifierKey): SealedLeaves {
  const frontier = new Frontier();
  const good: Buffer[] = [];
  let size = 0;
  for (const each of kept) {
    const problem = problemOf(each, size, origin, key, frontier);
    if (problem !== undefined) return { leaves: Buffer.concat(good), size, problem };
    good.push(each.leaves);
    size = each.size;
  }
  return { leaves: Buffer.concat(good), size };
}

function problemOf(kept: KeptCheckpoint, before: number, origin: string, key: VerifierKey, frontier: Frontier): string | undefined {
  const named = `the checkpoint of ${kept.size} events`;
  const checkpoint = opened(kept.note, key);
  if (typeof checkpoint === 'string') return `${named}: ${checkpoint}`;
  if (checkpoint.origin !== origin) return `${named} is of ${checkpoint.origin}, not of ${origin}`;
  if (kept.first !== before) return `${named} begins at ${kept.first}, the one before it ended at ${before}: one is missing`;
  if (checkpoint.size !== kept.size || kept.leaves.length !== (kept.size - kept.first) * HASH_BYTES)
    return `${named} was signed for ${checkpoint.size} events and keeps ${kept.leaves.length / HASH_BYTES} leaves from ${kept.first}`;
  for (let i = 0; i < kept.leaves.length; i += HASH_BYTES) frontier.push(kept.leaves.subarray(i, i + HASH_BYTES));
  return frontier.root().equals(checkpoint.root) ? undefined : `${named}: the leaves that were kept with it do not give its root`;
}

function opened(note: string, key: VerifierKey): Checkpoint | string {
  try {
    return openCheckpoint(note, [key]);
  } catch (error) {
    if (error instanceof ProofRefused) return error.message;
    throw error;
  }
}
