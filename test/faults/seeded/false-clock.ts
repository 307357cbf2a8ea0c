/**
 * Clocks that jump: libfaketime (Debian), which every call for the wall clock of a process goes through. Its monotonic
 * clock stays right, as it does when a real wall clock is set.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const SYSTEM = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib64'].map((folder) =>
  join(folder, 'faketime/libfaketime.so.1'),
);

/**
 * The library: `FAKETIME_LIB`, the system's, or the one of an earlier call.
 * @param folder where it is kept when `fetch` lets it be fetched from the package mirror of this machine (nothing is installed)
 */
export function fakeClockLibrary(folder: string, fetch: boolean): string | undefined {
  const inFolder = (): string | undefined =>
    existsSync(join(folder, 'usr/lib'))
      ? readdirSync(join(folder, 'usr/lib'))
          .map((name) => join(folder, 'usr/lib', name, 'faketime/libfaketime.so.1'))
          .find((file) => existsSync(file))
      : undefined;
  const known = [process.env['FAKETIME_LIB'], ...SYSTEM, inFolder()].find((file) => file !== undefined && existsSync(file));
  if (known !== undefined || !fetch) return known;
  mkdirSync(folder, { recursive: true });
  const options = { cwd: folder, timeout: 60_000 };
  if (spawnSync('apt-get', ['-qq', '-o', 'APT::Sandbox::User=', 'download', 'libfaketime'], options).status !== 0) return undefined;
  const deb = readdirSync(folder).find((name) => name.endsWith('.deb'));
  if (deb === undefined || spawnSync('dpkg', ['-x', deb, '.'], options).status !== 0) return undefined;
  return inFolder();
}

/** The clock of one process. */
export interface FalseClock {
  readonly env: Readonly<Record<string, string>>;
  /** From now on it is so many seconds away from the real time. */
  set(seconds: number): void;
}

export function falseClock(library: string, file: string): FalseClock {
  const set = (seconds: number): void => writeFileSync(file, `${seconds < 0 ? '' : '+'}${seconds}s\n`);
  set(0);
  return {
    env: {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      DONT_FAKE_MONOTONIC: '1',
    },
    set,
  };
}
