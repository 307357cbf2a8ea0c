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
import { type Lineage, ProofStore } from '@mandate/event-store';
import { partitionPages } from './log.ts';

export interface LogReport {
  readonly log: string;
  readonly partitions: readonly PartitionReport[];
  readonly checkpoints: number;
  /** Logs that this one was made of by restores, the latest first: so many of their events are here and signed there. */
  readonly origins: readonly { readonly log: string; readonly events: number; readonly sealed: number }[];
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
    const earlier = earlierLogs(incarnation, await store.lineage());
    const reports: PartitionReport[] = [];
    const signedThere: SignedThere[] = [];
    let checkpoints = 0;
    for (const { partition, head } of partitions) {
      const kept = await store.checkpoints(incarnation, partition);
      checkpoints += kept.length;
      const origin = originOf(incarnation, partition);
      const sealed = sealedLeaves(kept, origin, key);
      const there = await Promise.all(earlier.map((log) => signedIn(store, log, partition, key)));
      signedThere.push(...there);
      const mine: readonly Checkpoint[] = [
        ...held.filter((each) => each.origin === origin),
        ...held.filter((each) => earlier.some((log) => each.origin === originOf(log.log, partition) && each.size <= log.kept(partition))),
        ...there.flatMap(({ newest }) => newest ?? []),
      ];
      const pages = partitionPages(store, partition);
      reports.push(await verifyPartition({ partition, pages, sealed, head, held: mine, versions: () => store.versions(partition) }));
    }
    const findings = [
      ...reports.flatMap((report) => report.finding ?? []),
      ...signedThere.flatMap(({ finding }) => finding ?? []),
      ...unknownLogs(held, { incarnation, earlier, partitions: partitions.map(({ partition }) => partition) }),
    ];
    const origins = earlier.map(({ log, kept }) => ({
      log,
      events: partitions.reduce((sum, { partition }) => sum + kept(partition), 0),
      sealed: signedThere.reduce((sum, each) => sum + (each.log === log ? (each.newest?.size ?? 0) : 0), 0),
    }));
    return { log: incarnation, partitions: reports, checkpoints, origins, findings, ms: Math.round(performance.now() - started) };
  } finally {
    await store.close();
  }
}

/** A log that this one was made of, and how many events of a partition are still the same here. */
interface EarlierLog {
  readonly log: string;
  readonly kept: (partition: number) => number;
}

function earlierLogs(incarnation: string, lineage: readonly Lineage[]): readonly EarlierLog[] {
  const found: EarlierLog[] = [];
  for (let log = incarnation; ; ) {
    const links = lineage.filter((link) => link.incarnation === log);
    const before = links[0]?.before;
    if (before === undefined || found.some((each) => each.log === before)) return found;
    const since = found.at(-1);
    const kept = new Map(links.map((link) => [link.partition, link.kept]));
    found.push({ log: before, kept: (partition) => Math.min(kept.get(partition) ?? 0, since?.kept(partition) ?? Infinity) });
    log = before;
  }
}

/** What an earlier log signed about a partition, as far as it is in this one. */
interface SignedThere {
  readonly log: string;
  readonly newest?: Checkpoint;
  readonly finding?: Finding;
}

async function signedIn(store: ProofStore, { log, kept }: EarlierLog, partition: number, key: VerifierKey): Promise<SignedThere> {
  const still = (await store.checkpoints(log, partition)).filter(({ size }) => size <= kept(partition));
  const newest = still.at(-1);
  if (newest === undefined) return { log };
  const { problem, size } = sealedLeaves(still, originOf(log, partition), key);
  if (problem !== undefined)
    return { log, finding: { kind: 'checkpoint', partition, position: size, detail: `of the log before the restore: ${problem}` } };
  return { log, newest: openCheckpoint(newest.note, [key]) };
}

interface ThisLog {
  readonly incarnation: string;
  readonly earlier: readonly EarlierLog[];
  readonly partitions: readonly number[];
}

/** Held checkpoints that say nothing about this log: of one that it was not made of, or of events that a restore left behind. */
function unknownLogs(held: readonly Checkpoint[], { incarnation, earlier, partitions }: ThisLog): readonly Finding[] {
  const logOf = new Map(
    [{ log: incarnation, kept: () => Infinity }, ...earlier].flatMap((log) =>
      partitions.map((partition) => [originOf(log.log, partition), { partition, kept: log.kept(partition) }] as const),
    ),
  );
  return held.flatMap(({ origin, size }): readonly Finding[] => {
    const known = logOf.get(origin);
    if (known !== undefined && size <= known.kept) return [];
    const partition = known?.partition ?? Number(/p(\d+)$/.exec(origin)?.[1] ?? -1);
    const detail =
      known === undefined
        ? `the checkpoint that you hold is of ${origin} (${size} events); this log is ${incarnation}: it was restored or replaced`
        : `the checkpoint that you hold is of ${origin} (${size} events); this log was restored with the first ${known.kept} of them: the others were lost, or left behind by a restore to the past`;
    return [{ kind: 'forked', partition, position: known?.kept ?? 0, detail }];
  });
}

const count = (n: number): string => n.toLocaleString('en-US');

export function describeReport({ log, partitions, checkpoints, origins, findings, ms }: LogReport): string {
  const sum = (of: (report: PartitionReport) => number): number => partitions.reduce((total, report) => total + of(report), 0);
  const [events, sealed] = [sum((report) => report.events), sum((report) => report.sealed)];
  const read = `log ${log}: ${count(events)} events of ${count(sum((report) => report.streams))} streams in ${partitions.length} partitions, read in ${(ms / 1_000).toFixed(1)} s`;
  const cover =
    checkpoints === 0
      ? 'no signed checkpoint covers any of it: only positions, versions, columns and hash chains were checked'
      : `${count(sealed)} of them covered by ${count(checkpoints)} signed checkpoints, ${count(events - sealed)} not yet`;
  const verdict = findings.length === 0 ? ['OK: nothing was altered, removed, inserted or reordered.'] : findings.map(describeFinding);
  const restored = origins.map(
    (origin) =>
      `restored: ${count(origin.events)} events are those of log ${origin.log}, whose signed checkpoints cover ${count(origin.sealed)}`,
  );
  return [read, cover, ...restored, ...verdict, ''].join('\n');
}

function describeFinding({ kind, partition, position, event, detail }: Finding): string {
  return `FAILED: partition ${partition}, position ${position}: ${kind}${event === undefined ? '' : ` ${event}`}: ${detail}`;
}
