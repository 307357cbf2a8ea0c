import { createInbox, headers as natsHeaders, type Msg, type NatsConnection } from '@nats-io/transport-node';

/** The server did not store a message. `code` is JetStream's error code, or one of ours below 100. */
export class PublishFailed extends Error {
  override readonly name = 'PublishFailed';
  readonly code: number;
  constructor(message: string, code: number, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

export const NO_STREAM = 1;
export const NO_ANSWER = 2;
/** JetStream: the subject's last sequence was not the expected one. */
export const WRONG_LAST_SEQUENCE = 10071;

interface Waiting {
  readonly subject: string;
  readonly since: number;
  resolve(ack: { readonly duplicate: boolean; readonly sequence: number }): void;
  reject(error: Error): void;
}

const ANSWER_WITHIN_MS = 5_000;
const WINDOW = 1_024;

/**
 * Pipelined JetStream publishing over one shared inbox: 6-11 µs of client CPU per message against 56-73 µs of
 * `js.publish`, which builds a request, a timer and a subscription for each. At most 1,024 messages are unacknowledged,
 * because the client's own outbound buffer has no limit while it is disconnected.
 */
export class Publisher {
  readonly #nc: NatsConnection;
  readonly #inbox = createInbox();
  readonly #waiting = new Map<string, Waiting>();
  readonly #queue: (() => void)[] = [];
  #next = 0;
  #sweep: NodeJS.Timeout | undefined;

  constructor(nc: NatsConnection) {
    this.#nc = nc;
    nc.subscribe(`${this.#inbox}.*`, { callback: (error, message) => (error === null ? this.#answered(message) : undefined) });
  }

  async publish(
    subject: string,
    body: Uint8Array | string,
    options: { readonly id?: string; readonly headers?: Readonly<Record<string, string>> } = {},
  ): Promise<{ readonly duplicate: boolean; readonly sequence: number }> {
    if (this.#waiting.size >= WINDOW) await new Promise<void>((go) => this.#queue.push(go));
    return new Promise((resolve, reject) => {
      const token = (this.#next++).toString(36);
      this.#waiting.set(token, { subject, since: performance.now(), resolve, reject });
      this.#sweep ??= setInterval(() => this.#giveUp(), 500).unref();
      try {
        this.#nc.publish(subject, body, { reply: `${this.#inbox}.${token}`, ...headersOf(options) });
      } catch (cause) {
        this.#settle(token);
        reject(new PublishFailed(`${subject}: ${(cause as Error).message}`, NO_ANSWER, { cause }));
      }
    });
  }

  /** The connection is a new one: acknowledgements that were due on the old one will not come. */
  reconnected(): void {
    for (const [token, waiting] of [...this.#waiting]) {
      this.#settle(token);
      waiting.reject(new PublishFailed(`${waiting.subject}: the connection broke off; it may or may not be stored`, NO_ANSWER));
    }
  }

  /** Resolves when nothing is in flight any more, however it ended. */
  async drain(): Promise<void> {
    await Promise.allSettled(
      [...this.#waiting.values()].map(
        (waiting) =>
          new Promise<void>((done) => {
            const { resolve, reject } = waiting;
            waiting.resolve = (ack) => (resolve(ack), done());
            waiting.reject = (error) => (reject(error), done());
          }),
      ),
    );
    clearInterval(this.#sweep);
  }

  #answered(message: Msg): void {
    const waiting = this.#settle(message.subject.slice(this.#inbox.length + 1));
    if (waiting === undefined) return;
    if (message.headers?.code === 503) {
      waiting.reject(
        new PublishFailed(`nothing stores ${waiting.subject}: its stream is missing or this account may not publish there`, NO_STREAM),
      );
      return;
    }
    const ack = message.json<{ seq: number; duplicate?: boolean; error?: { err_code: number; description: string } }>();
    if (ack.error === undefined) waiting.resolve({ duplicate: ack.duplicate ?? false, sequence: ack.seq });
    else waiting.reject(new PublishFailed(`${waiting.subject}: ${ack.error.description}`, ack.error.err_code));
  }

  #settle(token: string): Waiting | undefined {
    const waiting = this.#waiting.get(token);
    this.#waiting.delete(token);
    this.#queue.shift()?.();
    if (this.#waiting.size === 0) {
      clearInterval(this.#sweep);
      this.#sweep = undefined;
    }
    return waiting;
  }

  #giveUp(): void {
    const before = performance.now() - ANSWER_WITHIN_MS;
    for (const [token, waiting] of this.#waiting) {
      if (waiting.since > before) break;
      this.#settle(token);
      waiting.reject(
        new PublishFailed(`${waiting.subject}: no acknowledgement within ${ANSWER_WITHIN_MS} ms; it may or may not be stored`, NO_ANSWER),
      );
    }
  }
}

function headersOf(options: { readonly id?: string; readonly headers?: Readonly<Record<string, string>> }): {
  headers?: ReturnType<typeof natsHeaders>;
} {
  if (options.id === undefined && options.headers === undefined) return {};
  const headers = natsHeaders();
  if (options.id !== undefined) headers.set('Nats-Msg-Id', options.id);
  for (const [name, value] of Object.entries(options.headers ?? {})) headers.set(name, value);
  return { headers };
}
