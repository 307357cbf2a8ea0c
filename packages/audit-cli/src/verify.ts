/** `audit verify`: the whole log, partition by partition, against its checkpoints and the ones that the auditor holds. */
import {
  type Checkpoint,
  type Finding,
  openCheckpoint,
  originOf,
  type PartitionReport,
  sealedLeaves,
  type VerifierKey,
  verifyPartition,
} from '@mandate/audit';
import { ProofStore } from '@mandate/event-store';
import { partitionPages } from './log.ts';

export interface LogReport {
  readonly log: string;
  readonly partitions: readonly PartitionReport[];
  readonly checkpoints: number;
  /** The first per partition. */
  readonly findings: readonly Finding[];
  readonly ms: number;
}

export async function verifyLog(url: string, key: VerifierKey, heldNotes: readonly string[]): Promise<LogReport> {
  const started = performance.now();
  const held = heldNotes.map((note) => openCheckpoint(note, [key]));
  const store = await ProofStore.snapshot(url);
  try {
    const { incarnation, partitions } = await store.state();
    const reports: PartitionReport[] = [];
    let checkpoints = 0;
    for (const { partition, head } of partitions) {
      const kept = await store.checkpoints(incarnation, partition);
      checkpoints += kept.length;
      const origin = originOf(incarnation, partition);
      const sealed = sealedLeaves(kept, origin, key);
      const mine: readonly Checkpoint[] = held.filter((each) => each.origin === origin);
      const pages = partitionPages(store, partition);
      reports.push(await verifyPartition({ partition, pages, sealed, head, held: mine, versions: () => store.versions(partition) }));
    }
    const findings = [...reports.flatMap((report) => report.finding ?? []), ...unknownLogs(held, incarnation, partitions.length)];
    return { log: incarnation, partitions: reports, checkpoints, findings, ms: Math.round(performance.now() - started) };
  } finally {
    await store.close();
  }
}

/** A held checkpoint of another incarnation: the log was restored or replaced, and what it signed is not in this one. */
function unknownLogs(held: readonly Checkpoint[], incarnation: string, partitions: number): readonly Finding[] {
  const origins = new Set(Array.from({ length: partitions }, (_, partition) => originOf(incarnation, partition)));
  return held
    .filter(({ origin }) => !origins.has(origin))
    .map(({ origin, size }) => ({
      kind: 'forked',
      partition: Number(/p(\d+)$/.exec(origin)?.[1] ?? -1),
      position: 0,
      detail: `the checkpoint that you hold is of ${origin} (${size} events); this log is ${incarnation}: it was restored or replaced`,
    }));
}

const count = (n: number): string => n.toLocaleString('en-US');

export function describeReport({ log, partitions, checkpoints, findings, ms }: LogReport): string {
  const sum = (of: (report: PartitionReport) => number): number => partitions.reduce((total, report) => total + of(report), 0);
  const [events, sealed] = [sum((report) => report.events), sum((report) => report.sealed)];
  const read = `log ${log}: ${count(events)} events of ${count(sum((report) => report.streams))} streams in ${partitions.length} partitions, read in ${(ms / 1_000).toFixed(1)} s`;
  const cover =
    checkpoints === 0
      ? 'no signed checkpoint covers any of it: only positions, versions, columns and hash chains were checked'
      : `${count(sealed)} of them covered by ${count(checkpoints)} signed checkpoints, ${count(events - sealed)} not yet`;
  const verdict = findings.length === 0 ? ['OK: nothing was altered, removed, inserted or reordered.'] : findings.map(describeFinding);
  return [read, cover, ...verdict, ''].join('\n');
}

function describeFinding({ kind, partition, position, event, detail }: Finding): string {
  return `FAILED: partition ${partition}, position ${position}: ${kind}${event === undefined ? '' : ` ${event}`}: ${detail}`;
}
