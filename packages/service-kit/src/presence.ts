import { type Heartbeat, heartbeat, type ServiceName, subjects } from '@mandate/contracts';
import type { Bus } from '@mandate/messaging';

/** Told twice a second; silent for three of them is gone. */
export const HEARTBEAT_MS = 500;
export const GONE_AFTER_MS = 3 * HEARTBEAT_MS;

/** Who is there, from heartbeats. How long ago somebody was heard is not measured by the wall clock, which may be set. */
export class Presence {
  readonly #seen = new Map<string, { readonly beat: Heartbeat; readonly at: number }>();
  readonly #listeners: ((beat: Heartbeat) => void)[] = [];
  /** Since when this process has heard heartbeats (its own at least) without a gap. */
  #since = performance.now();
  #lastHeard = performance.now();
  readonly #subscription: { stop(): void };

  constructor(bus: Bus) {
    this.#subscription = bus.listen('hb.>', (message) => {
      const parsed = heartbeat.safeParse(safeJson(message.string()));
      if (!parsed.success) return;
      const now = performance.now();
      if (now - this.#lastHeard > GONE_AFTER_MS) this.#since = now;
      this.#lastHeard = now;
      this.#seen.set(parsed.data.instance, { beat: parsed.data, at: now });
      for (const listener of this.#listeners) listener(parsed.data);
    });
  }

  /** It hears nobody, itself included: the bus is down, or cannot be reached from here. */
  get isDeaf(): boolean {
    return performance.now() - this.#lastHeard > GONE_AFTER_MS;
  }

  /** `unknown` while this process has not listened for long enough to tell: after its start, a broken connection, a stall. */
  state(instance: string): 'alive' | 'gone' | 'unknown' {
    const seen = this.#seen.get(instance);
    const now = performance.now();
    if (seen !== undefined && now - seen.at < GONE_AFTER_MS) return seen.beat.leaving ? 'gone' : 'alive';
    return this.isDeaf || now - this.#since < GONE_AFTER_MS ? 'unknown' : 'gone';
  }

  /** The latest heartbeat of every instance of a service; silent ones are forgotten after a minute. */
  of(service: ServiceName): readonly { readonly beat: Heartbeat; readonly silentMs: number }[] {
    const now = performance.now();
    for (const [instance, { at }] of this.#seen) if (now - at > 60_000) this.#seen.delete(instance);
    return [...this.#seen.values()].filter(({ beat }) => beat.service === service).map(({ beat, at }) => ({ beat, silentMs: now - at }));
  }

  onBeat(listener: (beat: Heartbeat) => void): void {
    this.#listeners.push(listener);
  }

  stop(): void {
    this.#subscription.stop();
  }
}

/** Tells this instance's heartbeat until stopped; the last one says that it leaves. */
export function beat(
  bus: Bus,
  service: ServiceName,
  instance: string,
  describe: () => Omit<Heartbeat, 'service' | 'instance' | 'at' | 'leaving'>,
): { stop(): void } {
  const say = (leaving: boolean): void => {
    const told: Heartbeat = { service, instance, at: Date.now(), leaving, ...describe() };
    bus.tell(subjects.heartbeat(service, instance), JSON.stringify(told));
  };
  say(false);
  const timer = setInterval(() => say(false), HEARTBEAT_MS);
  return {
    stop: () => {
      clearInterval(timer);
      say(true);
    },
  };
}

function safeJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
