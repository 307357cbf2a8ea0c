/**
 * One nats-server with JetStream as a local process.
 *
 * The first start may take any free port; every later start of the same handle listens on that port again and reads the same store, so clients
 * find it where they left it.
 */
import type { ChildProcess } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, statSync } from 'node:fs';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { endOf, isRunning, logTail, startChild, stopChild } from './child-process.ts';
import { natsServerBinary } from './paths.ts';

export type NatsOptions = {
  /** Holds the configuration and the JetStream store; made when missing, kept on stop. */
  readonly dir: string;
  /** Further configuration: accounts and users. Secrets belong into `env`, named `$LIKE_THIS` in the text. */
  readonly config?: string;
  /** Variables that the configuration names. A value must not look like a number. */
  readonly env?: Readonly<Record<string, string>>;
  /** Loopback port. @default any free one */
  readonly port?: number;
  /** Also serve the monitoring pages over HTTP. @default false */
  readonly monitor?: boolean;
  /** Encrypts the JetStream store. @default not encrypted */
  readonly storeKey?: string;
  /** @default `<dir>/nats.log` */
  readonly logFile?: string;
  /** @default `NATS_SERVER_BIN`, the set-up's own, or the one on PATH */
  readonly binary?: string;
  /** Hears how the server ended when nobody asked it to. It stays down until `restart`. */
  readonly onDeath?: (how: string) => void;
};

export type Nats = {
  /** `nats://127.0.0.1:<port>`, without credentials. */
  readonly url: string;
  /** Where the monitoring pages are, when asked for. */
  readonly monitorUrl: string | undefined;
  pid(): number;
  /** SIGKILL; the server stays down until `restart`. */
  kill(): Promise<void>;
  /** Ends the server if it runs, and starts it on the same port with the same store. */
  restart(): Promise<void>;
  /** Loses everything JetStream holds: SIGKILL, empty store, start on the same port. */
  wipe(): Promise<void>;
  /** Ends the server cleanly and keeps the store. */
  stop(): Promise<void>;
};

type Listening = { readonly port: number; readonly monitorPort: number | undefined };

/** Starts a nats-server on the loopback interface. @throws when it is not ready within 10 s, with the end of its log. */
export async function startNats(options: NatsOptions): Promise<Nats> {
  const logFile = options.logFile ?? join(options.dir, 'nats.log');
  await mkdir(options.dir, { recursive: true });
  await mkdir(dirname(logFile), { recursive: true });
  let listening: Listening = { port: options.port ?? -1, monitorPort: options.monitor ? -1 : undefined };
  let child: ChildProcess | undefined;
  let isWanted = false;

  const down = async (signal: NodeJS.Signals): Promise<void> => {
    isWanted = false;
    if (child) await stopChild(child, signal, 5_000);
  };
  const up = async (): Promise<void> => {
    const next = await launch(options, logFile, listening);
    ({ child, listening } = next);
    isWanted = true;
    next.child.once('exit', () => isWanted && child === next.child && options.onDeath?.(endOf(next.child)));
  };
  await up();
  return {
    url: `nats://127.0.0.1:${listening.port}`,
    monitorUrl: listening.monitorPort === undefined ? undefined : `http://127.0.0.1:${listening.monitorPort}`,
    pid: () => child?.pid ?? 0,
    kill: () => down('SIGKILL'),
    restart: async () => {
      await down('SIGTERM');
      await up();
    },
    wipe: async () => {
      await down('SIGKILL');
      await rm(storeFolder(options.dir), { recursive: true, force: true });
      await up();
    },
    stop: () => down('SIGTERM'),
  };
}

async function launch(options: NatsOptions, logFile: string, at: Listening): Promise<{ child: ChildProcess; listening: Listening }> {
  const portsDir = join(options.dir, 'ports');
  await rm(portsDir, { recursive: true, force: true });
  await mkdir(portsDir, { recursive: true });
  const configFile = join(options.dir, 'nats.conf');
  await writeFile(configFile, configText(options, portsDir, at), { mode: 0o600 });
  const logStart = existsSync(logFile) ? statSync(logFile).size : 0;
  const log = openSync(logFile, 'a');
  const child = await startChild({
    command: options.binary ?? natsServerBinary(),
    args: ['-c', configFile],
    env: { ...options.env, ...(options.storeKey ? { NATS_JETSTREAM_KEY: options.storeKey } : {}), PATH: process.env['PATH'] ?? '' },
    cwd: options.dir,
    stdio: ['ignore', log, log],
    deathSignal: 'SIGTERM',
  }).finally(() => closeSync(log));
  const listening = await portsOf(child, portsDir);
  if (listening) return { child, listening };
  const how = isRunning(child) ? 'was not ready after 10 s' : `ended with ${endOf(child)}`;
  await stopChild(child, 'SIGKILL', 0);
  throw new Error(`nats-server ${how}. The end of ${logFile}:\n${logTail(logFile, logStart)}`);
}

function configText(options: NatsOptions, portsDir: string, at: Listening): string {
  const cipher = options.storeKey ? '  cipher: aes\n  key: $NATS_JETSTREAM_KEY\n' : '';
  const monitor = at.monitorPort === undefined ? '' : `http: "127.0.0.1:${at.monitorPort}"\n`;
  return `server_name: mandate-local
host: "127.0.0.1"
port: ${at.port}
${monitor}ports_file_dir: ${JSON.stringify(portsDir)}
jetstream {
  store_dir: ${JSON.stringify(storeFolder(options.dir))}
  max_mem: 256M
  max_file: 100G
  sync_interval: 1s
${cipher}}
${options.config ?? ''}
`;
}

function storeFolder(dir: string): string {
  return join(dir, 'store');
}

/** The server writes the ports it listens on once it is ready: no race for a free port, no guessing when it is up. */
async function portsOf(child: ChildProcess, portsDir: string): Promise<Listening | undefined> {
  const deadline = performance.now() + 10_000;
  while (isRunning(child) && performance.now() < deadline) {
    const file = (await readdir(portsDir)).find((name) => name.endsWith(`_${child.pid}.ports`));
    const text = file ? readFileSync(join(portsDir, file), 'utf8') : '';
    if (text.endsWith('}')) return parsePorts(text);
    await wait(10);
  }
  return undefined;
}

function parsePorts(text: string): Listening {
  const { nats, monitoring } = JSON.parse(text) as { nats?: string[]; monitoring?: string[] };
  const portIn = (urls: string[] | undefined): number | undefined => (urls?.[0] ? Number(new URL(urls[0]).port) : undefined);
  const port = portIn(nats);
  if (port === undefined) throw new Error(`nats-server says it listens nowhere: ${text}`);
  return { port, monitorPort: portIn(monitoring) };
}
