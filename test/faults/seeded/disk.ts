/**
 * A disk that can be hurt, as far as this machine lets us (root on Linux): a file system of its own in memory that can be
 * filled, and the kernel's own limit of writes per second for the processes of a server.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { childrenOf } from '@mandate/local';

const isRoot = process.getuid?.() === 0;
const BLKIO = '/sys/fs/cgroup/blkio';

/** Why this machine cannot do it; undefined when it can. */
export function whyNoSmallDisk(): string | undefined {
  return isRoot && spawnSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']).status === 0
    ? undefined
    : 'mounting a small file system needs root';
}

export function whyNoSlowDisk(): string | undefined {
  if (!isRoot || !existsSync(join(BLKIO, 'blkio.throttle.write_iops_device')))
    return 'limiting writes per second needs root and the blkio controller';
  const group = join(BLKIO, `mandate-probe-${process.pid}`);
  try {
    mkdirSync(group);
    rmdirSync(group);
    return undefined;
  } catch (error) {
    return `the blkio controller cannot be used: ${(error as Error).message}`;
  }
}

export interface SmallDisk {
  /** Takes all that is free. */
  fill(): Promise<void>;
  free(): Promise<void>;
  unmount(): void;
}

/** Mounts a file system of so many bytes on an empty folder. */
export function smallDisk(folder: string, megabytes: number): SmallDisk {
  mkdirSync(folder, { recursive: true });
  run('mount', '-t', 'tmpfs', '-o', `size=${megabytes}m,mode=0755`, 'tmpfs', folder);
  const ballast = join(folder, 'ballast');
  let isMounted = true;
  const unmount = (): void => {
    if (isMounted) run('umount', '--lazy', folder);
    isMounted = false;
  };
  process.once('exit', unmount);
  return {
    fill: async () => {
      // What is freed while it is filled is taken too.
      for (let round = 0; round < 3; round++) {
        const { bavail, bsize } = await statfs(folder);
        if (bavail === 0) return;
        run('dd', 'if=/dev/zero', `of=${ballast}`, 'oflag=append', 'conv=notrunc', `bs=${bsize}`, `count=${bavail}`, 'status=none');
      }
    },
    free: () => rm(ballast, { force: true }),
    unmount,
  };
}

/** From now on these processes and their children may write so often a second, until the answer is called. */
export async function slowDisk(folder: string, pid: number, writesPerSecond: number): Promise<() => Promise<void>> {
  const group = join(BLKIO, `mandate-${process.pid}-${pid}`);
  const device = statSync(folder).dev;
  const [major, minor] = [(device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xfff00)];
  mkdirSync(group, { recursive: true });
  writeFileSync(join(group, 'blkio.throttle.write_iops_device'), `${major}:${minor} ${writesPerSecond}`);
  for (const each of [pid, ...(await childrenOf(pid))]) move(each, group);
  return async () => {
    const inside = (): string[] => readFileSync(join(group, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean);
    writeFileSync(join(group, 'blkio.throttle.write_iops_device'), `${major}:${minor} 0`);
    for (let left = inside(); left.length > 0; left = inside()) for (const each of left) move(Number(each), BLKIO);
    rmdirSync(group);
  };
}

function move(pid: number, group: string): void {
  try {
    writeFileSync(join(group, 'cgroup.procs'), String(pid));
  } catch {
    // It has ended.
  }
}

function run(command: string, ...args: readonly string[]): void {
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  // `dd` ends with 1 when the disk is full, which is what it is for.
  if (status !== 0 && command !== 'dd') throw new Error(`${command} ${args.join(' ')}: ${stderr}`);
}
