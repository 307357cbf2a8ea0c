/** Reading the log for a proof: pages of rows, and the tree that was signed over them. */
import { type KeptCheckpoint, originOf, sealedLeaves, type SealedLeaves, type VerifierKey } from '@mandate/audit';
import { partitionOf } from '@mandate/domain';
import { ProofStore, type StoredRow, type WantedEvents } from '@mandate/event-store';
import { CannotCheck } from './where.ts';

const PAGE = 4_000;

/** Works on the log as it stands now; nothing can be written. */
export async function onLog<Result>(url: string, work: (store: ProofStore) => Promise<Result>): Promise<Result> {
  const store = await ProofStore.snapshot(url);
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

/** @throws CannotCheck when no stream is called so */
export function knownPartition(stream: string): number {
  const partition = partitionOf(stream);
  if (partition === undefined) throw new CannotCheck(`"${stream}" is no workflow: its id looks like wf_03_ and 26 letters and digits`);
  return partition;
}

export const partitionPages = (store: ProofStore, partition: number): AsyncIterable<readonly StoredRow[]> =>
  pagesByPosition((from) => store.rows(partition, from, PAGE));

/** Events 1 to `to` of a stream. */
export async function* streamPages(store: ProofStore, partition: number, stream: string, to: number): AsyncIterable<readonly StoredRow[]> {
  for (let next = 1; next <= to; ) {
    const rows = await store.streamRows(partition, stream, next, Math.min(PAGE, to - next + 1));
    if (rows.length === 0) return;
    yield rows;
    next = (rows.at(-1)?.version ?? to) + 1;
  }
}

/** Events of a partition that match. */
export const matchingPages = (store: ProofStore, partition: number, wanted: WantedEvents): AsyncIterable<readonly StoredRow[]> =>
  pagesByPosition((from) => store.matching(partition, wanted, from, PAGE));

/** The database reads a page while the one before it is worked on. */
async function* pagesByPosition(read: (from: number) => Promise<readonly StoredRow[]>): AsyncIterable<readonly StoredRow[]> {
  for (let reading = read(0); ; ) {
    const rows = await reading;
    const last = rows.at(-1);
    if (last === undefined) return;
    reading = read(last.position + 1);
    // Heard of when its turn comes; whoever ends before that is not to be killed by it.
    reading.catch(() => undefined);
    yield rows;
  }
}

export interface SignedTree {
  readonly note: string;
  readonly size: number;
  readonly leaves: Buffer;
}

/**
 * The smallest signed tree that covers a position, checked against the key: the same at any later time.
 * @throws CannotCheck when none covers it yet, or the checkpoints are not right
 */
export async function treeOver(
  store: ProofStore,
  at: { readonly incarnation: string; readonly partition: number; readonly position: number },
  key: VerifierKey,
): Promise<SignedTree> {
  const kept = await store.checkpoints(at.incarnation, at.partition, at.position + 1);
  const last = kept.at(-1);
  if (last === undefined || last.size <= at.position)
    throw new CannotCheck(
      `position ${at.position} of partition ${at.partition} is not sealed yet: the newest checkpoint covers ${last?.size ?? 0} events. The projector seals every few seconds when it has a key (docs/audit.md).`,
    );
  return signedTree(kept, originOf(at.incarnation, at.partition), key);
}

/** The tree of the last of these checkpoints. @throws CannotCheck when they are not right */
export function signedTree(kept: readonly KeptCheckpoint[], origin: string, key: VerifierKey): SignedTree {
  const sealed: SealedLeaves = sealedLeaves(kept, origin, key);
  if (sealed.problem !== undefined) throw new CannotCheck(`${sealed.problem}. Run audit verify.`);
  return { note: kept.at(-1)?.note ?? '', size: sealed.size, leaves: sealed.leaves };
}
