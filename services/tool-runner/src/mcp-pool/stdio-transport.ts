import { type ChildProcess, spawn } from 'node:child_process';
import { deserializeMessage, type JSONRPCMessage, serializeMessage, type Transport } from '@modelcontextprotocol/client';

export interface StdioOptions {
  readonly command: string;
  readonly args: readonly string[];
  /** Added to what the allow-list passes on. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string | undefined;
  /** A line on standard output that is no JSON-RPC message, or one on standard error. */
  readonly onNoise: (from: 'stdout' | 'stderr', line: string) => void;
}

/** All that a server's process sees of our environment. Never our own secrets. */
const PASSED_ON = process.platform === 'win32' ? ['PATH', 'USERPROFILE', 'LANG', 'SystemRoot', 'TEMP'] : ['PATH', 'HOME', 'LANG'];
const MAX_LINE_BYTES = 16 * 1024 * 1024;
const END_AFTER_EOF_MS = 500;
const END_AFTER_TERM_MS = 1_000;
const DRAIN_WITHIN_MS = 500;

/**
 * MCP over a process's standard streams. In place of the SDK's transport, because a server's process tree must end with it
 * (it gets a process group of its own), its environment is an allow-list, and a line that is no message, however long, is
 * noise and not the end of the connection.
 */
export class StdioTransport implements Transport {
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: (message: JSONRPCMessage) => void;
  readonly #options: StdioOptions;
  #child: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();

  constructor(options: StdioOptions) {
    this.#options = options;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  start(): Promise<void> {
    const { command, args, cwd } = this.#options;
    const child = spawn(command, args, {
      cwd,
      env: this.#environment(),
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: process.platform !== 'win32',
      windowsHide: true,
    });
    this.#child = child;
    child.stdin.on('error', (error) => this.onerror?.(error));
    child.stdout.on(
      'data',
      lines((line) => this.#receive(line)),
    );
    child.stderr.on(
      'data',
      lines((line) => this.#options.onNoise('stderr', line)),
    );
    this.#ended = new Promise((ended) => child.once('exit', () => void this.#drained(child).then(ended)));
    return new Promise((started, failed) => {
      child.once('spawn', started);
      child.once('error', (error) => {
        failed(error);
        this.onerror?.(error);
      });
      void this.#ended.then(() => this.onclose?.());
    });
  }

  /** Ends what the process left behind, and reads what it said last. Not for long: somebody who left the group may hold its pipes. */
  async #drained(child: ChildProcess): Promise<void> {
    this.#killTree('SIGKILL');
    await new Promise<void>((drained) => {
      const limit = setTimeout(drained, DRAIN_WITHIN_MS);
      child.once('close', () => {
        clearTimeout(limit);
        drained();
      });
    });
    child.stdout?.destroy();
    child.stderr?.destroy();
  }

  send(message: JSONRPCMessage): Promise<void> {
    const stdin = this.#child?.stdin;
    if (stdin === undefined || stdin === null || !stdin.writable) return Promise.reject(new Error('the server’s process is gone'));
    return new Promise((sent, failed) => stdin.write(serializeMessage(message), (error) => (error ? failed(error) : sent())));
  }

  /** Closes its input, then asks, then kills; whatever it started ends too. */
  async close(): Promise<void> {
    const child = this.#child;
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.stdin?.end();
    const term = setTimeout(() => this.#killTree('SIGTERM'), END_AFTER_EOF_MS);
    const kill = setTimeout(() => this.#killTree('SIGKILL'), END_AFTER_EOF_MS + END_AFTER_TERM_MS);
    await this.#ended;
    clearTimeout(term);
    clearTimeout(kill);
  }

  #environment(): NodeJS.ProcessEnv {
    const passed = PASSED_ON.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]] as const]));
    return { ...Object.fromEntries(passed), ...this.#options.env };
  }

  #receive(line: string): void {
    let message: JSONRPCMessage;
    try {
      message = deserializeMessage(line);
    } catch {
      return this.#options.onNoise('stdout', line);
    }
    this.onmessage?.(message);
  }

  #killTree(signal: NodeJS.Signals): void {
    const pid = this.#child?.pid;
    if (pid === undefined) return;
    try {
      if (process.platform === 'win32') this.#child?.kill(signal);
      else process.kill(-pid, signal);
    } catch {
      // ESRCH: nobody is left in the group.
    }
  }
}

/** Splits chunks into lines; of a line that is too long only its beginning is kept. */
function lines(take: (line: string) => void): (chunk: Buffer) => void {
  let parts: Buffer[] = [];
  let size = 0;
  const keep = (part: Buffer): void => {
    const room = MAX_LINE_BYTES - size;
    if (room > 0) parts.push(part.subarray(0, room));
    size += part.length;
  };
  return (chunk) => {
    let from = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      keep(chunk.subarray(from, end));
      const line = Buffer.concat(parts).toString('utf8').replace(/\r$/, '');
      parts = [];
      size = 0;
      from = end + 1;
      if (line.trim() !== '') take(line);
    }
    if (from < chunk.length) keep(chunk.subarray(from));
  };
}
