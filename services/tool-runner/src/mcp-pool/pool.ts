import type { Tool } from '@modelcontextprotocol/client';
import type { ToolServer } from '../tools-file.ts';
import type { Session } from './session.ts';
import { Slot, type SlotOptions } from './slot.ts';

export interface PoolOptions
  extends Pick<SlotOptions, 'connectWithinMs' | 'crashLimit' | 'openForMs' | 'firstPauseMs' | 'onChange' | 'onProblem'> {
  readonly servers: readonly ToolServer[];
  readonly onNoise: (server: string, from: 'stdout' | 'stderr', line: string) => void;
}

/** A session lent for one call. */
export interface Lease {
  readonly session: Session;
  /** The call broke the session: the next one needs a new one. */
  broken(problem: string): void;
  give(): void;
}

/** The sessions to all servers. The first one of each is opened at once, because somebody will ask for its tools; more of them when calls overlap. */
export class McpPool {
  readonly #slots: ReadonlyMap<string, readonly Slot[]>;

  constructor({ servers, onNoise, ...options }: PoolOptions) {
    const slotsOf = (server: ToolServer): Slot[] =>
      Array.from(
        { length: server.instances },
        () => new Slot({ ...options, server, onNoise: (from, line) => onNoise(server.name, from, line) }),
      );
    this.#slots = new Map(servers.map((server) => [server.name, slotsOf(server)]));
  }

  /** Resolves when the first try to connect each server has ended, well or not. */
  async start(): Promise<void> {
    await Promise.allSettled([...this.#slots.values()].flatMap(([first]) => (first === undefined ? [] : [first.connect()])));
  }

  /** Tools of a server, or undefined while it is not available. */
  tools(server: string): readonly Tool[] | undefined {
    return this.#slots.get(server)?.find((slot) => slot.tools !== undefined)?.tools;
  }

  /** Process ids of the stdio servers that run now. */
  get pids(): readonly number[] {
    return [...this.#slots.values()].flat().flatMap(({ pid }) => (pid === undefined ? [] : [pid]));
  }

  /** The least busy session of a server. @throws ServerUnavailable */
  async lease(server: string, signal: AbortSignal): Promise<Lease> {
    const slots = this.#slots.get(server) ?? [];
    const [slot] = slots.toSorted(
      (a, b) => a.busy - b.busy || Number(b.isUp) - Number(a.isUp) || Number(b.isStarted) - Number(a.isStarted),
    );
    if (slot === undefined) throw new Error(`no server ${server} is configured`);
    slot.busy += 1;
    let isGiven = false;
    const give = (): void => {
      if (!isGiven) slot.busy -= 1;
      isGiven = true;
    };
    try {
      const session = await slot.session(signal);
      return { session, give, broken: (problem) => slot.abandon(session, problem) };
    } catch (error) {
      give();
      throw error;
    }
  }

  /** Ends every session and every process. */
  async stop(): Promise<void> {
    await Promise.all([...this.#slots.values()].flat().map((slot) => slot.stop()));
  }
}
