import type { Tool } from '@modelcontextprotocol/client';
import type { ToolServer } from '../tools-file.ts';
import { openSession, type Session, type SessionEvents } from './session.ts';

/** A server that cannot be called now. Nothing was sent to it. */
export class ServerUnavailable extends Error {
  override readonly name = 'ServerUnavailable';
  readonly retryAfterMs: number | undefined;
  constructor(message: string, retryAfterMs?: number, options?: ErrorOptions) {
    super(message, options);
    this.retryAfterMs = retryAfterMs;
  }
}

export interface SlotOptions {
  readonly server: ToolServer;
  /** @default 10000 */
  readonly connectWithinMs?: number;
  /** Crashes in a row that open the circuit. @default 5 */
  readonly crashLimit?: number;
  /** How long an open circuit stays open. @default 30000 */
  readonly openForMs?: number;
  /** Pause after the first crash; it doubles with each further one. @default 100 */
  readonly firstPauseMs?: number;
  readonly onNoise: SessionEvents['onNoise'];
  /** Availability or tools changed. */
  readonly onChange: () => void;
  readonly onProblem: (problem: string) => void;
}

/** A session that lasted this long was healthy: crashes before it no longer count. */
const HEALTHY_AFTER_MS = 30_000;

/**
 * Keeps one session to one server alive:
 *
 *   idle ──first use──▶ connecting ──▶ up ──process ended, connection lost──▶ pausing ──▶ connecting …
 *                           └──failed──▶ pausing (each pause twice the last; after `crashLimit` in a row the circuit is
 *                                        open: a long pause, one trial, and again)
 *
 * While it pauses briefly, callers wait; while the circuit is open they are refused at once.
 */
export class Slot {
  readonly #options: Required<SlotOptions>;
  #session: Session | undefined;
  #connecting: Promise<Session> | undefined;
  #pause: { readonly until: number; readonly timer: NodeJS.Timeout; readonly over: Promise<void> } | undefined;
  #crashes = 0;
  #upSince = 0;
  #stopped = false;
  #available = false;
  #tools: readonly Tool[] = [];
  /** Calls running on it now. */
  busy = 0;

  constructor(options: SlotOptions) {
    this.#options = { connectWithinMs: 10_000, crashLimit: 5, openForMs: 30_000, firstPauseMs: 100, ...options };
  }

  /** Its tools, or undefined when it has none to offer: never connected, or the last try to connect failed. */
  get tools(): readonly Tool[] | undefined {
    return this.#available ? this.#tools : undefined;
  }

  get isStarted(): boolean {
    return this.#session !== undefined || this.#connecting !== undefined || this.#pause !== undefined;
  }

  get isUp(): boolean {
    return this.#session !== undefined;
  }

  get pid(): number | undefined {
    return this.#session?.pid;
  }

  get #circuitIsOpen(): boolean {
    return this.#pause !== undefined && this.#crashes >= this.#options.crashLimit;
  }

  /** A working session, waiting for one if need be. @throws ServerUnavailable */
  async session(signal: AbortSignal): Promise<Session> {
    while (this.#session === undefined) {
      signal.throwIfAborted();
      if (this.#stopped) throw new ServerUnavailable('the runner is stopping');
      if (this.#circuitIsOpen && this.#pause !== undefined)
        throw new ServerUnavailable(
          `${this.#options.server.name} crashed ${this.#crashes} times in a row and rests`,
          Math.max(0, this.#pause.until - Date.now()),
        );
      if (this.#pause !== undefined) await unlessAborted(this.#pause.over, signal);
      else await unlessAborted(this.connect(), signal);
    }
    return this.#session;
  }

  /** Connects unless it is connected or about to be. @throws ServerUnavailable */
  connect(): Promise<Session> {
    if (this.#session !== undefined) return Promise.resolve(this.#session);
    this.#connecting ??= this.#open().finally(() => (this.#connecting = undefined));
    return this.#connecting;
  }

  /** The session failed in a way that only a new one can mend. */
  abandon(session: Session, problem: string): void {
    if (this.#session !== session) return;
    void session.close();
    this.#lost(problem);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#pause !== undefined) clearTimeout(this.#pause.timer);
    await this.#connecting?.catch(() => undefined);
    await this.#session?.close();
    this.#session = undefined;
  }

  async #open(): Promise<Session> {
    const { server, connectWithinMs, onNoise, onChange } = this.#options;
    let session: Session | undefined;
    try {
      session = await openSession(server, connectWithinMs, {
        onNoise,
        onTools: () => {
          if (session === undefined || session !== this.#session) return;
          this.#tools = session.tools;
          onChange();
        },
        onGone: () => {
          if (session !== undefined && session === this.#session) this.#lost('its process ended or its connection was lost');
        },
      });
    } catch (cause) {
      this.#crashed(`could not be connected: ${(cause as Error).message}`);
      if (this.#available) {
        this.#available = false;
        onChange();
      }
      throw new ServerUnavailable(`${server.name} could not be connected: ${(cause as Error).message.slice(0, 200)}`, undefined, { cause });
    }
    if (this.#stopped) {
      await session.close();
      throw new ServerUnavailable('the runner is stopping');
    }
    this.#session = session;
    this.#tools = session.tools;
    this.#available = true;
    this.#upSince = Date.now();
    onChange();
    return session;
  }

  #lost(problem: string): void {
    this.#session = undefined;
    if (Date.now() - this.#upSince > HEALTHY_AFTER_MS) this.#crashes = 0;
    this.#crashed(problem);
    if (this.#circuitIsOpen) {
      this.#available = false;
      this.#options.onChange();
    }
  }

  #crashed(problem: string): void {
    if (this.#stopped) return;
    const { server, crashLimit, openForMs, firstPauseMs, onProblem } = this.#options;
    this.#crashes += 1;
    const isOpen = this.#crashes >= crashLimit;
    const ms = isOpen ? openForMs : firstPauseMs * 2 ** (this.#crashes - 1);
    onProblem(`server ${server.name}: ${problem}; trying again in ${ms} ms${isOpen ? ' (circuit open)' : ''}`);
    const over = Promise.withResolvers<void>();
    const timer = setTimeout(() => {
      this.#pause = undefined;
      over.resolve();
      this.connect().catch(() => undefined);
    }, ms).unref();
    this.#pause = { until: Date.now() + ms, timer, over: over.promise };
  }
}

function unlessAborted(work: Promise<unknown>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const aborted = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', aborted, { once: true });
    work.then(() => resolve(), reject).finally(() => signal.removeEventListener('abort', aborted));
  });
}
