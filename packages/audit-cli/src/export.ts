/** `audit export`, `audit events`, `audit verify capsule`, `audit verify events`, `audit prove`, `audit checkpoint`: what is taken out of the log, with its proof. */
import {
  type CapsuleReport,
  capsuleLines,
  consistencyProof,
  type EventFilter,
  type ExtractReport,
  extractLines,
  inclusionProof,
  logProofText,
  originOf,
  type PartitionExtract,
  type VerifierKey,
  verifyCapsule,
  verifyExtract,
  witnessRequestText,
} from '@mandate/audit';
import type { ProofStore } from '@mandate/event-store';
import { createReadStream } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { knownPartition, matchingPages, onLog, signedTree, streamPages, treeOver } from './log.ts';
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
  await writeLines(file, capsuleLines({ stream, partition, log: incarnation, to: end, key, checkpoint, pages }));
}

async function writeLines(file: string, lines: AsyncIterable<string>): Promise<void> {
  const out = await open(file, 'w', 0o600);
  try {
    let waiting: string[] = [];
    for await (const line of lines) {
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

/** Writes the events that match, whole or not at all, after having checked the file as its reader will. */
export async function exportEvents(url: string, key: VerifierKey, filter: EventFilter, file: string): Promise<ExtractReport> {
  const fresh = `${file}.part`;
  try {
    await onLog(url, async (store) => {
      const { incarnation } = await store.state();
      await writeLines(
        fresh,
        extractLines({ log: incarnation, key, filter, partitions: matchingPartitions(store, incarnation, key, filter) }),
      );
    });
    const report = await readExtract(fresh, key);
    if (report.finding === undefined) await rename(fresh, file);
    return report;
  } finally {
    await rm(fresh, { force: true });
  }
}

async function* matchingPartitions(
  store: ProofStore,
  incarnation: string,
  key: VerifierKey,
  filter: EventFilter,
): AsyncIterable<PartitionExtract> {
  const { partitions } = await store.state();
  const only = filter.workflow === undefined ? undefined : knownPartition(filter.workflow);
  for (const { partition } of partitions) {
    if (only !== undefined && partition !== only) continue;
    const position = await store.lastMatching(partition, filter);
    if (position === undefined) continue;
    const checkpoint = await treeOver(store, { incarnation, partition, position }, key);
    yield { partition, checkpoint, pages: matchingPages(store, partition, filter) };
  }
}

/** Needs nothing but the file. */
export const readExtract = (file: string, trusted: VerifierKey | undefined): Promise<ExtractReport> =>
  readLines(file, (lines) => verifyExtract(lines, trusted));

/** Needs nothing but the file. */
export const readCapsule = (file: string, trusted: VerifierKey | undefined): Promise<CapsuleReport> =>
  readLines(file, (lines) => verifyCapsule(lines, trusted));

async function readLines<Report>(file: string, read: (lines: AsyncIterable<string>) => Promise<Report>): Promise<Report> {
  const input = createReadStream(file);
  try {
    return await read(createInterface({ input, crlfDelay: Infinity }));
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
