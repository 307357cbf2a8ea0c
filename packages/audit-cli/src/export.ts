/** `audit export`, `audit verify capsule`, `audit prove`, `audit checkpoint`: what is taken out of the log, with its proof. */
import {
  type CapsuleReport,
  capsuleLines,
  consistencyProof,
  inclusionProof,
  logProofText,
  originOf,
  type VerifierKey,
  verifyCapsule,
  witnessRequestText,
} from '@mandate/audit';
import { partitionOf } from '@mandate/domain';
import { ProofStore } from '@mandate/event-store';
import { createReadStream } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { signedTree, streamPages, treeOver } from './log.ts';
import { CannotCheck } from './where.ts';

/** Writes the capsule of a stream, whole or not at all, after having checked it as its reader will. */
export async function exportCapsule(
  url: string,
  key: VerifierKey,
  wanted: { readonly stream: string; readonly to?: number; readonly file: string },
): Promise<CapsuleReport> {
  const fresh = `${wanted.file}.part`;
  try {
    await onLog(url, (store) => writeCapsule(store, key, wanted, fresh));
    const report = await readCapsule(fresh, key);
    if (report.finding === undefined) await rename(fresh, wanted.file);
    return report;
  } finally {
    await rm(fresh, { force: true });
  }
}

async function writeCapsule(
  store: ProofStore,
  key: VerifierKey,
  { stream, to }: { readonly stream: string; readonly to?: number },
  file: string,
): Promise<void> {
  const partition = knownPartition(stream);
  const { incarnation } = await store.state();
  const end = to ?? (await store.versions(partition)).get(stream) ?? 0;
  const [last] = end < 1 ? [] : await store.streamRows(partition, stream, end, 1);
  if (last === undefined || last.version !== end)
    throw new CannotCheck(
      to === undefined
        ? `the log has no ${stream}`
        : `${stream} has no event ${to}; the log has no more than that, or lost it: run audit verify`,
    );
  const checkpoint = await treeOver(store, { incarnation, partition, position: last.position }, key);
  const pages = streamPages(store, partition, stream, end);
  const out = await open(file, 'w', 0o600);
  try {
    let waiting: string[] = [];
    for await (const line of capsuleLines({ stream, partition, log: incarnation, to: end, key, checkpoint, pages })) {
      waiting.push(line);
      if (waiting.length < 1_000) continue;
      await out.write(waiting.join(''));
      waiting = [];
    }
    await out.write(waiting.join(''));
    await out.sync();
  } finally {
    await out.close();
  }
}

/** Needs nothing but the file. */
export async function readCapsule(file: string, trusted: VerifierKey | undefined): Promise<CapsuleReport> {
  const input = createReadStream(file);
  try {
    return await verifyCapsule(createInterface({ input, crlfDelay: Infinity }), trusted);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    throw new CannotCheck(`${file} cannot be read: ${(error as Error).message}`, { cause: error });
  } finally {
    input.destroy();
  }
}

/** The inclusion proof of one event, in the format of c2sp.org/tlog-proof, and the bytes that it proves. */
export function proveEvent(url: string, key: VerifierKey, event: string): Promise<{ readonly proof: string; readonly envelope: string }> {
  const [, stream = '', version = ''] = /^(.+)-(\d+)$/.exec(event) ?? [];
  const partition = knownPartition(stream);
  return onLog(url, async (store) => {
    const [row] = await store.streamRows(partition, stream, Number(version), 1);
    if (row?.version !== Number(version)) throw new CannotCheck(`the log has no event ${event}`);
    const { incarnation } = await store.state();
    const tree = await treeOver(store, { incarnation, partition, position: row.position }, key);
    return { proof: logProofText(row.position, inclusionProof(tree.leaves, tree.size, row.position), tree.note), envelope: row.envelope };
  });
}

/** The newest checkpoint of a partition, with the proof that it continues the tree of `since` events. */
export function newestCheckpoint(url: string, key: VerifierKey, partition: number, since: number): Promise<string> {
  return onLog(url, async (store) => {
    const { incarnation } = await store.state();
    const kept = await store.checkpoints(incarnation, partition);
    if (kept.length === 0) throw new CannotCheck(`partition ${partition} has no signed checkpoint yet`);
    const tree = signedTree(kept, originOf(incarnation, partition), key);
    if (since > tree.size)
      throw new CannotCheck(`the newest checkpoint of partition ${partition} has ${tree.size} events, fewer than ${since}`);
    return witnessRequestText({ old: since, proof: consistencyProof(tree.leaves, since, tree.size), note: tree.note });
  });
}

async function onLog<Result>(url: string, work: (store: ProofStore) => Promise<Result>): Promise<Result> {
  const store = await ProofStore.snapshot(url);
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

function knownPartition(stream: string): number {
  const partition = partitionOf(stream);
  if (partition === undefined) throw new CannotCheck(`"${stream}" is no workflow: its id looks like wf_03_ and 26 letters and digits`);
  return partition;
}
