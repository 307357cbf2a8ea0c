/**
 * CPU time of processes with everything that they started, from `/proc/<pid>/stat`. A child that has ended and was
 * waited for is counted with its parent (`cutime`, `cstime`): Postgres's short-lived workers do not get lost.
 */
import { readdirSync, readFileSync } from 'node:fs';

/** `getconf CLK_TCK`: 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

interface ProcessTimes {
  readonly parent: number;
  readonly ticks: number;
}

/** Groups of processes by component, each named by the ids of its roots. */
export type ProcessGroups = Readonly<Record<string, readonly number[]>>;

/** CPU seconds since their start, per group, and of this process alone as `driver`. */
export function cpuSeconds(groups: ProcessGroups): Record<string, number> {
  const tree = treeSeconds();
  const { user, system } = process.cpuUsage();
  const seconds = Object.entries(groups).map(([name, pids]) => [name, pids.reduce((sum, pid) => sum + tree(pid), 0)] as const);
  return { ...Object.fromEntries(seconds), driver: (user + system) / 1e6 };
}

/** @returns a function that tells how many cores others than this process and its children have used since */
export function watchOthers(): () => number {
  const read = (): { readonly at: number; readonly seconds: number } => ({
    at: performance.now(),
    seconds: machineBusySeconds() - treeSeconds()(process.pid),
  });
  const before = read();
  return () => {
    const now = read();
    return Math.max(0, Math.round((100_000 * (now.seconds - before.seconds)) / (now.at - before.at)) / 100);
  };
}

/** Resident memory of one process alone, in MB (10^6 bytes). */
export const residentMegabytes = (pid: number): number => megabytesOf(pid, /^VmRSS:\s+(\d+) kB$/m);

/** The most that it ever was. */
export const peakMegabytes = (pid: number): number => megabytesOf(pid, /^VmHWM:\s+(\d+) kB$/m);

function megabytesOf(pid: number, line: RegExp): number {
  const kilobytes = line.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  if (kilobytes === undefined) throw new Error(`process ${pid} has no resident memory: it has ended`);
  return (Number(kilobytes) * 1_024) / 1e6;
}

/** CPU seconds of a process and its descendants, as they stand now. */
function treeSeconds(): (pid: number) => number {
  const table = processTable();
  const children = Map.groupBy(table.keys(), (pid) => table.get(pid)?.parent ?? 0);
  const ticks = (pid: number): number =>
    (table.get(pid)?.ticks ?? 0) + (children.get(pid) ?? []).reduce((sum, child) => sum + ticks(child), 0);
  return (pid) => ticks(pid) / TICKS_PER_SECOND;
}

/** Seconds that all cores have been busy since the machine's start, waiting for the disk excluded. */
function machineBusySeconds(): number {
  const times = (readFileSync('/proc/stat', 'utf8').split('\n')[0] ?? '').split(/\s+/).slice(1).map(Number);
  const [user = 0, nice = 0, system = 0, , , interrupts = 0, softInterrupts = 0, stolen = 0] = times;
  return (user + nice + system + interrupts + softInterrupts + stolen) / TICKS_PER_SECOND;
}

function processTable(): Map<number, ProcessTimes> {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return new Map(
    pids.flatMap((name) => {
      const times = timesOf(name);
      return times === undefined ? [] : [[Number(name), times] as const];
    }),
  );
}

/** `pid (command) state parent …`; utime, stime, cutime and cstime are the 14th to 17th field. */
function timesOf(pid: string): ProcessTimes | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number);
    const ticks = fields.slice(11, 15).reduce((sum, value) => sum + value, 0);
    return { parent: fields[1] ?? 0, ticks };
  } catch {
    // It ended since the folder was listed; its parent has its times.
    return undefined;
  }
}
