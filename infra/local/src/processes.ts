/**
 * One service as a supervised process.
 *
 * States: starting → ready → (death) → waiting → starting …, and stopped from any of them. A death that nobody asked for is answered by a
 * restart after a growing wait, and said aloud; `kill` and `stop` are asked for, so the process then stays down until `restart`.
 */
import type { ChildProcess } from 'node:child_process';
import { type WriteStream, createWriteStream, existsSync, mkdirSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import { endOf, ended, isRunning, startChild, stopChild } from './child-process.ts';
import { restartDelayMs } from './restart-delay.ts';

export type ProcessOptions = {
  /** For messages and the log: `orchestrator-1`. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** The whole environment: nothing is inherited. */
  readonly env: Readonly<Record<string, string>>;
  /** Further variables, made anew at every start. */
  readonly envOfStart?: () => Readonly<Record<string, string>>;
  readonly cwd: string;
  /** Every line that the process writes is appended here. */
  readonly logFile: string;
  /** Hears of deaths and restarts, one line each. */
  readonly say: (line: string) => void;
  /** Wait before the n-th restart in a row. @default 200 ms, doubling, at most 10 s */
  readonly restartDelayMs?: (restart: number) => number;
  /** How long a drain may take. @default 25 000 */
  readonly stopLimitMs?: number;
  /** Told each time the process says that it is ready: its id and address may be new. */
  readonly onReady?: () => void;
};

export type SupervisedProcess = {
  readonly name: string;
  /** Of the process that runs now; 0 when none does. */
  pid(): number;
  /** Where its health pages are. Empty until it has been ready once. */
  url(): string;
  /** Resolves when the process has said that it is ready and its `/readyz` agrees. @throws when it keeps dying or takes too long. */
  ready(limitMs?: number): Promise<void>;
  /** SIGKILL; it stays down until `restart`. */
  kill(): Promise<void>;
  /** Asks it to drain, kills it after the limit; it stays down until `restart`. */
  stop(): Promise<void>;
  /** Stops it if it runs, starts it (with more variables, when given, from then on) and waits until it is ready. */
  restart(env?: Readonly<Record<string, string>>): Promise<void>;
};

/** Deaths in a row, before it was ever ready, after which a start counts as failed. */
const deathsUntilFailed = 3;
/** A process that ran this long starts counting its deaths anew. */
const steadyMs = 30_000;

/** Starts a process and keeps it running until it is told to stop. */
export function superviseProcess(options: ProcessOptions): SupervisedProcess {
  const supervisor = new Supervisor(options);
  supervisor.begin();
  return supervisor;
}

class Supervisor implements SupervisedProcess {
  readonly name: string;
  readonly #options: ProcessOptions;
  readonly #log: WriteStream;
  readonly #lastLines: string[] = [];
  #env: Readonly<Record<string, string>>;
  #child: ChildProcess | undefined;
  #health = '';
  #isWanted = false;
  #deaths = 0;
  #wakeUp = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  constructor(options: ProcessOptions) {
    this.name = options.name;
    this.#options = options;
    this.#env = options.env;
    this.#log = openLog(options.logFile).on('error', (error) =>
      options.say(`${options.name}: its log cannot be written (${error.message})`),
    );
  }

  begin(): void {
    this.#isWanted = true;
    this.#deaths = 0;
    this.#wakeUp = new AbortController();
    this.#loop = this.#keepRunning();
  }

  pid(): number {
    return this.#child && isRunning(this.#child) ? (this.#child.pid ?? 0) : 0;
  }

  url(): string {
    return this.#health;
  }

  async ready(limitMs = 60_000): Promise<void> {
    const deadline = performance.now() + limitMs;
    while (!(await this.#isReady())) {
      if (!this.#isWanted) throw new Error(`${this.name} was stopped before it was ready`);
      if (this.#deaths >= deathsUntilFailed)
        throw new Error(`${this.name} died ${this.#deaths} times while starting. ${this.#lastWords()}`);
      if (performance.now() > deadline) throw new Error(`${this.name} was not ready after ${limitMs / 1000} s. ${this.#lastWords()}`);
      await wait(20);
    }
  }

  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  async stop(): Promise<void> {
    await this.#end('SIGTERM');
  }

  async restart(env?: Readonly<Record<string, string>>): Promise<void> {
    await this.stop();
    this.#env = { ...this.#env, ...env };
    this.begin();
    await this.ready();
  }

  async #end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    this.#isWanted = false;
    this.#wakeUp.abort();
    if (this.#child) await stopChild(this.#child, signal, this.#options.stopLimitMs ?? 25_000);
    await this.#loop;
  }

  async #keepRunning(): Promise<void> {
    while (this.#isWanted) {
      const startedAt = performance.now();
      const how = await this.#runOnce().catch((error: Error) => error.message);
      if (!this.#isWanted) return;
      this.#deaths = performance.now() - startedAt > steadyMs ? 1 : this.#deaths + 1;
      const delayMs = (this.#options.restartDelayMs ?? restartDelayMs)(this.#deaths);
      this.#options.say(`${this.name} died (${how}); starting it again in ${(delayMs / 1000).toFixed(1)} s. Log: ${this.#options.logFile}`);
      await wait(delayMs, undefined, { signal: this.#wakeUp.signal }).catch(() => undefined);
    }
  }

  async #runOnce(): Promise<string> {
    this.#health = '';
    const child = await startChild({
      command: this.#options.command,
      args: this.#options.args,
      env: { ...this.#env, ...this.#options.envOfStart?.() },
      cwd: this.#options.cwd,
      stdio: ['ignore', 'pipe', 'pipe'],
      deathSignal: 'SIGKILL',
    });
    this.#child = child;
    if (!this.#isWanted) child.kill('SIGKILL');
    if (this.#deaths > 0) this.#options.say(`${this.name} runs again (process ${child.pid})`);
    for (const output of [child.stdout, child.stderr]) {
      if (output) createInterface({ input: output }).on('line', (line) => this.#hear(line));
    }
    await ended(child);
    return endOf(child);
  }

  #hear(line: string): void {
    this.#log.write(`${line}\n`);
    this.#lastLines.push(line);
    if (this.#lastLines.length > 12) this.#lastLines.shift();
    if (this.#health !== '' || !line.includes('"msg":"ready"')) return;
    this.#health = healthUrlIn(line);
    if (this.#health !== '') this.#options.onReady?.();
  }

  async #isReady(): Promise<boolean> {
    if (this.#health === '' || this.pid() === 0) return false;
    const answer = await fetch(`${this.#health}/readyz`, { signal: AbortSignal.timeout(2_000) }).catch(() => undefined);
    await answer?.body?.cancel();
    return answer?.ok ?? false;
  }

  #lastWords(): string {
    const said = this.#lastLines.length === 0 ? 'It said nothing.' : `Its last lines:\n${this.#lastLines.join('\n')}`;
    return `${said}\nLog: ${this.#options.logFile}`;
  }
}

/** One earlier log is kept, so that a stack that is started every day does not fill the disk. */
function openLog(file: string): WriteStream {
  mkdirSync(dirname(file), { recursive: true });
  if (existsSync(file) && statSync(file).size > 10_000_000) renameSync(file, `${file}.1`);
  return createWriteStream(file, { flags: 'a', mode: 0o600 });
}

function healthUrlIn(line: string): string {
  try {
    const { health } = JSON.parse(line) as { health?: unknown };
    return typeof health === 'string' ? health : '';
  } catch {
    return '';
  }
}
