/**
 * One PostgreSQL cluster as a local process.
 *
 * The data folder is made at the first start and reused by every later one; the superuser's password is part of the data, so keep both or
 * neither. Every start of one handle listens on the same port.
 */
import { type ChildProcess, execFile } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, statSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';
import { endOf, ended, isRunning, logTail, startChild, stopChild } from './child-process.ts';
import { freePort } from './free-port.ts';
import { type PostgresPrograms, postgresPrograms } from './postgres-binaries.ts';
import { childrenOf, runningProcess } from './process-table.ts';

export type PostgresOptions = {
  /** Holds the cluster; made when missing, kept on stop. */
  readonly dir: string;
  /** Of the superuser `postgres`; must stay the same as long as the data folder lives. */
  readonly password: string;
  /** `off` for tests alone: commits survive the death of every process, but not that of the machine. @default 'on' */
  readonly durability?: 'on' | 'off';
  /** Loopback port. @default any free one */
  readonly port?: number;
  /** @default `<dir>/postgres.log` */
  readonly logFile?: string;
  /** @default 200 */
  readonly maxConnections?: number;
  /** Hears how the server ended when nobody asked it to. It stays down until `restart`. */
  readonly onDeath?: (how: string) => void;
};

export type Postgres = {
  /** `postgres://…` of the superuser. @default database `postgres` */
  url(database?: string): string;
  readonly port: number;
  /** The data folder: nothing but a copy, and that while it is down, is to be made of it. */
  readonly dataFolder: string;
  pid(): number;
  /** Makes the databases that do not exist yet. */
  createDatabases(...names: readonly string[]): Promise<void>;
  /** SIGKILL to every process of the cluster; it stays down until `restart`. */
  killAll(): Promise<void>;
  /** Ends the cluster if it runs, and starts it on the same port with the same data. */
  restart(): Promise<void>;
  /** Ends the cluster cleanly and keeps the data. */
  stop(): Promise<void>;
};

type Cluster = PostgresPrograms & { readonly options: PostgresOptions; readonly data: string; readonly logFile: string };

/** Starts a PostgreSQL cluster on the loopback interface. @throws when it cannot start, with the end of its log. */
export async function startPostgres(options: PostgresOptions): Promise<Postgres> {
  const logFile = options.logFile ?? join(options.dir, 'postgres.log');
  await mkdir(options.dir, { recursive: true });
  await mkdir(dirname(logFile), { recursive: true });
  const programs = postgresPrograms(options.dir);
  const cluster: Cluster = { ...programs, options, data: join(programs.dir, 'data'), logFile };
  if (!existsSync(join(cluster.data, 'PG_VERSION'))) await initialise(cluster);
  await endLeftover(cluster);

  let child: ChildProcess | undefined;
  let port = options.port;
  let isWanted = false;
  const down = async (end: (child: ChildProcess) => Promise<void>): Promise<void> => {
    isWanted = false;
    if (child && isRunning(child)) await end(child);
  };
  const up = async (): Promise<void> => {
    const next = await launch(cluster, port);
    ({ child, port } = next);
    isWanted = true;
    next.child.once('exit', () => isWanted && child === next.child && options.onDeath?.(endOf(next.child)));
  };
  await up();
  const url = (database = 'postgres'): string => `postgres://postgres:${options.password}@127.0.0.1:${port}/${database}`;
  return {
    url,
    port: port ?? 0,
    dataFolder: cluster.data,
    pid: () => child?.pid ?? 0,
    createDatabases: (...names) => createDatabases(url(), names),
    killAll: () => down(killCluster),
    restart: async () => {
      await down(stopCluster);
      await up();
    },
    stop: () => down(stopCluster),
  };
}

/** Made beside its final place: a set-up that was interrupted leaves no half cluster behind. */
async function initialise(cluster: Cluster): Promise<void> {
  const fresh = join(cluster.dir, 'data.new');
  await rm(fresh, { recursive: true, force: true });
  const passwordFile = join(cluster.dir, 'superuser-password');
  await writeFile(passwordFile, `${cluster.options.password}\n`, { mode: process.getuid?.() === 0 ? 0o644 : 0o600 });
  const sync = cluster.options.durability === 'off' ? ['--no-sync'] : [];
  const [command, args] = cluster.asAllowedUser(join(cluster.bin, 'initdb'), [
    ...['-D', fresh, '-U', 'postgres', '--auth=scram-sha-256', `--pwfile=${passwordFile}`, '--encoding=UTF8', '--locale=C'],
    ...sync,
  ]);
  try {
    await promisify(execFile)(command, [...args], { cwd: cluster.dir, env: serverEnvironment() });
  } catch (cause) {
    throw new Error(`initdb could not make a cluster in ${cluster.data}: ${(cause as { stderr?: string }).stderr ?? String(cause)}`, {
      cause,
    });
  } finally {
    await rm(passwordFile, { force: true });
  }
  await rename(fresh, cluster.data);
}

/**
 * A lock file of an earlier start: its server may be ending just now (wait for that), may never have been told to (end it), or may be long gone
 * while something unrelated carries its process id (remove the file, for PostgreSQL itself would refuse to start).
 */
async function endLeftover(cluster: Cluster): Promise<void> {
  const lockFile = join(cluster.data, 'postmaster.pid');
  const deadline = performance.now() + 10_000;
  while (existsSync(lockFile)) {
    const pid = Number(readFileSync(lockFile, 'utf8').split('\n')[0]);
    if (!isPostgres(pid)) return rm(lockFile, { force: true });
    if (performance.now() > deadline) {
      throw new Error(`another PostgreSQL (process ${pid}) uses ${cluster.data} and does not end; stop it and start again`);
    }
    process.kill(pid, 'SIGINT');
    await wait(50);
  }
}

function isPostgres(pid: number): boolean {
  const facts = runningProcess(pid);
  return facts !== undefined && (facts.command === 'postgres' || facts.command === '');
}

async function launch(cluster: Cluster, wantedPort: number | undefined): Promise<{ child: ChildProcess; port: number }> {
  for (let attempt = 1; ; attempt++) {
    const port = wantedPort ?? (await freePort());
    const logStart = existsSync(cluster.logFile) ? statSync(cluster.logFile).size : 0;
    const child = await spawnServer(cluster, port);
    if (await isReady(cluster, child)) return { child, port };
    const how = isRunning(child) ? 'was not ready after 60 s' : `ended with ${endOf(child)}`;
    await stopChild(child, 'SIGKILL', 0);
    const said = logTail(cluster.logFile, logStart);
    if (wantedPort === undefined && attempt < 5 && said.includes('Address already in use')) continue;
    throw new Error(`postgres ${how}. The end of ${cluster.logFile}:\n${said}`);
  }
}

async function spawnServer(cluster: Cluster, port: number): Promise<ChildProcess> {
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: String(cluster.options.maxConnections ?? 200),
    password_encryption: 'scram-sha-256',
    ...(cluster.options.durability === 'off' ? { fsync: 'off', full_page_writes: 'off' } : {}),
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const log = openSync(cluster.logFile, 'a');
  try {
    return await startChild({
      command: join(cluster.bin, 'postgres'),
      args: ['-D', cluster.data, '-p', String(port), ...flags],
      env: serverEnvironment(),
      cwd: cluster.dir,
      stdio: ['ignore', log, log],
      deathSignal: 'SIGINT',
      wrap: cluster.asAllowedUser,
    });
  } finally {
    closeSync(log);
  }
}

function serverEnvironment(): Record<string, string> {
  return { PATH: process.env['PATH'] ?? '', LC_ALL: 'C', TZ: 'UTC' };
}

/** The server itself writes `ready` into its lock file: the same sign that `pg_ctl --wait` reads. */
async function isReady(cluster: Cluster, child: ChildProcess): Promise<boolean> {
  const lockFile = join(cluster.data, 'postmaster.pid');
  const deadline = performance.now() + 60_000;
  while (isRunning(child) && performance.now() < deadline) {
    const lines = existsSync(lockFile) ? readFileSync(lockFile, 'utf8').split('\n') : [];
    if (Number(lines[0]) === child.pid && lines[7]?.trim() === 'ready') return true;
    await wait(10);
  }
  return false;
}

/** Fast shutdown: ends sessions, writes a checkpoint. */
async function stopCluster(child: ChildProcess): Promise<void> {
  await stopChild(child, 'SIGINT', 20_000);
}

/** Halts the parent first, so that it can neither start nor tidy up anything while its children die. */
async function killCluster(child: ChildProcess): Promise<void> {
  child.kill('SIGSTOP');
  const sessions = await childrenOf(child.pid ?? 0);
  for (const pid of sessions) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It ended by itself since it was listed.
    }
  }
  child.kill('SIGKILL');
  await ended(child);
  while (sessions.some((pid) => runningProcess(pid)?.command === 'postgres')) await wait(2);
}

/** Makes the databases that do not exist yet, as the superuser of `url`. */
export async function createDatabases(url: string, names: readonly string[]): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<{ datname: string }>('select datname from pg_database');
    const existing = new Set(rows.map((row) => row.datname));
    for (const name of names) {
      if (!existing.has(name)) await client.query(`create database ${client.escapeIdentifier(name)}`);
    }
  } finally {
    await client.end();
  }
}
