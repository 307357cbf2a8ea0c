import type { ConsumerMessages, JsMsg } from '@nats-io/jetstream';
import type { Bus } from './bus.ts';

/** One delivered message. Exactly one of `ack`, `retry` and `drop` ends it; until then it is signalled as in progress. */
export interface Delivery {
  readonly subject: string;
  readonly bytes: Uint8Array;
  header(name: string): string | undefined;
  /** Position in its stream: the same message delivered again has the same one. */
  readonly sequence: number;
  /** 1 the first time. */
  readonly deliveries: number;
  /** Handled; the server forgets it. */
  ack(): void;
  /** Give it to somebody again after a while. */
  retry(delayMs: number): void;
  /** Say nothing: the server delivers it again once its ack wait is over. */
  drop(): void;
}

export interface ConsumeOptions {
  readonly stream: string;
  readonly consumer: string;
  /** Deliveries handled at the same time; at most twice as many are held by this process. */
  readonly concurrency: number;
  /** The consumer's ack wait, in ms: progress is signalled every third of it. */
  readonly ackWaitMs: number;
  /** Must not throw: a throw drops the delivery, so that it comes again. */
  readonly handle: (delivery: Delivery) => Promise<void>;
  readonly onProblem?: (problem: string) => void;
}

export interface Consumption {
  readonly inFlight: number;
  /** Takes no more, finishes what is running (within `withinMs`), leaves the rest to others. */
  stop(withinMs: number): Promise<void>;
}

/**
 * Pulls from a durable consumer for ever: over reconnects, and over a stream that is missing for a while because the
 * bus was wiped and is being provisioned again.
 */
export function consume(bus: Bus, options: ConsumeOptions): Consumption {
  const running = new Map<number, Running>();
  let stopped = false;
  let messages: ConsumerMessages | undefined;
  let roomForOne: (() => void) | undefined;

  const signals = setInterval(() => {
    const due = performance.now() - options.ackWaitMs / 3;
    for (const entry of running.values()) {
      if (entry.lastSignal > due) continue;
      entry.lastSignal = performance.now();
      entry.message.working();
    }
  }, options.ackWaitMs / 4).unref();

  const loop = async (): Promise<void> => {
    while (!stopped && !bus.nc.isClosed()) {
      try {
        const consumer = await bus.js.consumers.get(options.stream, options.consumer);
        if (stopped) return;
        // Bound: after a reconnect it asks for messages, not whether its consumer is there. That question, when it is not
        // answered, is asked again only after `expires`, and nothing watches over it until then.
        messages = await consumer.consume({ bind: true, max_messages: options.concurrency * 2, expires: 10_000, idle_heartbeat: 1_000 });
        void watch(messages, options);
        await pump(messages);
      } catch (error) {
        if (!stopped) options.onProblem?.(`consumer ${options.stream}/${options.consumer}: ${(error as Error).message}`);
      }
      if (!stopped) await pause(200);
    }
  };

  const pump = async (source: ConsumerMessages): Promise<void> => {
    for await (const message of source) {
      const known = running.get(message.seq);
      if (known !== undefined) {
        // Ours, delivered again because a progress signal was late. The work goes on; answer with the newest delivery.
        known.message = message;
        continue;
      }
      if (stopped) {
        message.nak();
        continue;
      }
      run(message);
      if (running.size >= options.concurrency) await new Promise<void>((go) => (roomForOne = go));
    }
  };

  const run = (message: JsMsg): void => {
    const entry: Running = { message, lastSignal: performance.now(), done: Promise.resolve() };
    running.set(message.seq, entry);
    entry.done = options
      .handle(deliveryOf(entry))
      .catch((error: unknown) => options.onProblem?.(`handler of ${options.stream}/${options.consumer}: ${(error as Error).message}`))
      .finally(() => {
        running.delete(message.seq);
        roomForOne?.();
        roomForOne = undefined;
      });
  };

  const looping = loop();
  return {
    get inFlight() {
      return running.size;
    },
    async stop(withinMs) {
      stopped = true;
      messages?.stop();
      await Promise.race([Promise.allSettled([...running.values()].map((entry) => entry.done)), pause(withinMs)]);
      clearInterval(signals);
      await Promise.race([looping, pause(1_000)]);
    },
  };
}

interface Running {
  message: JsMsg;
  lastSignal: number;
  done: Promise<void>;
}

function deliveryOf(entry: Running): Delivery {
  const { message } = entry;
  return {
    subject: message.subject,
    bytes: message.data,
    header: (name) => message.headers?.get(name) || undefined,
    sequence: message.seq,
    deliveries: message.info.deliveryCount,
    ack: () => entry.message.ack(),
    retry: (delayMs) => entry.message.nak(delayMs),
    drop: () => undefined,
  };
}

async function watch(messages: ConsumerMessages, options: ConsumeOptions): Promise<void> {
  for await (const status of messages.status()) {
    const gone = status.type === 'consumer_deleted' || status.type === 'no_responders';
    const silent = status.type === 'heartbeats_missed' && status.count >= 2;
    if (!gone && !silent) continue;
    options.onProblem?.(`consumer ${options.stream}/${options.consumer}: ${status.type}; asking again`);
    messages.stop();
  }
}

const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms).unref());
