/** What the system says about processes that are not our children. */
import { execFile } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { promisify } from 'node:util';

export type ProcessFacts = {
  readonly pid: number;
  readonly parent: number;
  readonly command: string;
  /** Ended, but its parent has not noticed: it holds nothing any more. */
  readonly isZombie: boolean;
  /** Tells apart two processes that had the same id one after the other. Empty where the system does not say. */
  readonly startedAt: string;
};

/** The process with this id, or `undefined` when there is none that still runs. */
export function runningProcess(pid: number): ProcessFacts | undefined {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return undefined;
  }
  const facts = process.platform === 'linux' ? factsFromProc(pid) : { pid, parent: 0, command: '', isZombie: false, startedAt: '' };
  return facts?.isZombie ? undefined : facts;
}

/** The ids of the processes that this one started and that still run. */
export async function childrenOf(parent: number): Promise<readonly number[]> {
  if (process.platform !== 'linux') return childrenFromPs(parent);
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => factsFromProc(Number(name)))
    .filter((facts) => facts !== undefined && facts.parent === parent && !facts.isZombie)
    .map((facts) => facts?.pid ?? 0);
}

/** `/proc/<pid>/stat` is `pid (command) state parent …`; the command may itself hold parentheses and spaces. */
function factsFromProc(pid: number): ProcessFacts | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const command = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'));
    return { pid, parent: Number(fields[1]), command, isZombie: fields[0] === 'Z', startedAt: fields[19] ?? '' };
  } catch {
    return undefined;
  }
}

async function childrenFromPs(parent: number): Promise<readonly number[]> {
  const { stdout } = await promisify(execFile)('ps', ['-A', '-o', 'pid=,ppid=']);
  const pairs = stdout.split('\n').map((line) => line.trim().split(/\s+/).map(Number));
  return pairs.filter(([, of]) => of === parent).map(([pid]) => pid ?? 0);
}
