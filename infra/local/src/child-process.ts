/**
 * Programs that cannot outlive the launcher.
 *
 * Each runs in its own process group, so that Ctrl-C in a terminal reaches the launcher alone and the launcher decides the order of the end.
 * When the launcher dies without a chance to decide (SIGKILL, crash), Linux itself signals the child (`setpriv --pdeathsig`); elsewhere an exit
 * hook covers every end but SIGKILL.
 */
import { type ChildProcess, type StdioOptions, spawn, spawnSync } from 'node:child_process';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

export type ChildOptions = {
  readonly command: string;
  readonly args: readonly string[];
  /** The whole environment of the child: nothing is inherited. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly stdio: StdioOptions;
  /** What the kernel sends when the launcher dies; chosen so that the program ends at once and keeps its data. */
  readonly deathSignal: 'SIGKILL' | 'SIGTERM' | 'SIGINT';
  /** Wraps the whole command line, for example to change the user. */
  readonly wrap?: (command: string, args: readonly string[]) => readonly [string, readonly string[]];
};

const alive = new Set<ChildProcess>();
let hasExitHook = false;
let canSignalOnDeath: boolean | undefined;

/** Starts a program that ends with this process. Resolves once it runs. @throws when the program cannot be started. */
export async function startChild(options: ChildOptions): Promise<ChildProcess> {
  const guarded = withDeathSignal(options);
  const [command, args] = options.wrap ? options.wrap(...guarded) : guarded;
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: { ...options.env },
    stdio: options.stdio,
    detached: process.platform !== 'win32',
  });
  await new Promise<void>((started, failed) => {
    child.once('spawn', started);
    child.once('error', (cause) => failed(new Error(`${options.command} could not be started: ${cause.message}`, { cause })));
  });
  endWithUs(child);
  return child;
}

/** True until the program has ended. */
export function isRunning(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}

/** Resolves when the program has ended. */
export function ended(child: ChildProcess): Promise<void> {
  return isRunning(child) ? new Promise((resolve) => child.once('exit', () => resolve())) : Promise.resolve();
}

/** Asks the program to end, and kills it when it has not after the limit. */
export async function stopChild(child: ChildProcess, signal: NodeJS.Signals, limitMs: number): Promise<void> {
  if (!isRunning(child)) return;
  child.kill(signal);
  const limit = setTimeout(() => child.kill('SIGKILL'), limitMs);
  await ended(child);
  clearTimeout(limit);
}

/** How the program ended, for people: `exit code 1`, `signal SIGKILL`. */
export function endOf(child: ChildProcess): string {
  return child.signalCode === null ? `exit code ${child.exitCode}` : `signal ${child.signalCode}`;
}

/** The end of a log file, from an offset on, cut to its last lines: what a failure message quotes. */
export function logTail(file: string, fromByte = 0, lines = 12): string {
  const descriptor = openSync(file, 'r');
  try {
    const { size } = fstatSync(descriptor);
    const start = Math.max(fromByte, size - 16_384);
    const buffer = Buffer.alloc(Math.max(0, size - start));
    readSync(descriptor, buffer, 0, buffer.length, start);
    return buffer.toString('utf8').trimEnd().split('\n').slice(-lines).join('\n');
  } finally {
    closeSync(descriptor);
  }
}

function withDeathSignal({ command, args, deathSignal }: ChildOptions): readonly [string, readonly string[]] {
  canSignalOnDeath ??= process.platform === 'linux' && spawnSync('setpriv', ['--pdeathsig', 'SIGTERM', 'true']).status === 0;
  return canSignalOnDeath ? ['setpriv', ['--pdeathsig', deathSignal, command, ...args]] : [command, args];
}

function endWithUs(child: ChildProcess): void {
  alive.add(child);
  child.once('exit', () => alive.delete(child));
  if (hasExitHook) return;
  hasExitHook = true;
  process.once('exit', () => {
    for (const each of alive) each.kill('SIGKILL');
  });
}
