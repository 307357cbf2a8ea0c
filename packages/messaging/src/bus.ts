import { jetstream, type JetStreamClient } from '@nats-io/jetstream';
import { connect, type Msg, type NatsConnection } from '@nats-io/transport-node';
import { Publisher } from './publisher.ts';

/** Where JetStream's API is found by a service: its account imports it under this prefix from the account BUS. */
export const API_PREFIX = 'BUS.API';

/** A question that a dying server took with it is given up after so long; whoever asked asks again. */
const API_TIMEOUT_MS = 2_000;

export interface BusOptions {
  /** `nats://host:port`, or several separated by commas. */
  readonly servers: string;
  readonly user: string;
  readonly password: string;
  /** Shown in the server's connection list. */
  readonly name: string;
  /** @default 'BUS.API'; the admin user inside the account BUS uses '$JS.API' */
  readonly apiPrefix?: string;
  /** Told of disconnects, reconnects and asynchronous permission errors. */
  readonly onStatus?: (status: { readonly type: string; readonly detail: string }) => void;
}

/** One connection to the bus: stored publishes, core messages, questions and answers. */
export class Bus {
  readonly nc: NatsConnection;
  readonly js: JetStreamClient;
  readonly apiPrefix: string;
  readonly #publisher: Publisher;
  readonly #background: Promise<void>[] = [];
  readonly #onStatus: BusOptions['onStatus'];

  private constructor(nc: NatsConnection, options: BusOptions) {
    this.nc = nc;
    this.apiPrefix = options.apiPrefix ?? API_PREFIX;
    this.js = jetstream(nc, { apiPrefix: this.apiPrefix, timeout: API_TIMEOUT_MS });
    this.#publisher = new Publisher(nc);
    this.#onStatus = options.onStatus;
    this.#background.push(this.#watchStatus(options));
  }

  /** Connects, and stays connected: it reconnects for ever, every 250 ms. @throws when the first connection fails within 10 s */
  static async connect(options: BusOptions): Promise<Bus> {
    const nc = await connect({
      servers: options.servers.split(','),
      user: options.user,
      pass: options.password,
      name: options.name,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 250,
      reconnectJitter: 100,
      pingInterval: 10_000,
      timeout: 10_000,
      waitOnFirstConnect: false,
    });
    return new Bus(nc, options);
  }

  /** Publishes into a stream and waits until the server has stored it. Pipelined: many may be in flight. */
  publish(
    subject: string,
    body: Uint8Array | string,
    options?: { readonly id?: string; readonly headers?: Readonly<Record<string, string>> },
  ): Promise<{ readonly duplicate: boolean; readonly sequence: number }> {
    return this.#publisher.publish(subject, body, options);
  }

  /** Core NATS: whoever listens now. */
  tell(subject: string, body: Uint8Array | string): void {
    if (!this.nc.isClosed()) this.nc.publish(subject, body);
  }

  /** Core NATS request and reply. @throws when nobody answers within `timeoutMs` */
  async ask(subject: string, body: string, timeoutMs = 2_000): Promise<unknown> {
    const reply = await this.nc.request(subject, body, { timeout: timeoutMs });
    return reply.json();
  }

  /** Answers questions; one of the queue group gets each. A handler's exception becomes an `internal` problem. */
  answer(subject: string, queue: string, handler: (message: Msg) => Promise<unknown>): { stop(): void } {
    const subscription = this.nc.subscribe(subject, {
      queue,
      callback: (error, message) => {
        if (error !== null) return;
        Promise.resolve(message)
          .then(handler)
          // An answer beyond the server's max_payload is refused by `respond`: that too is a failure of the handler.
          .then((value) => message.respond(JSON.stringify(value)))
          .catch(() =>
            message.respond(
              JSON.stringify({
                ok: false,
                problem: {
                  code: 'internal',
                  message: `${subject} could not be answered.`,
                  next: 'Try again; see the log of the answering service.',
                },
              }),
            ),
          )
          .catch(() => undefined);
      },
    });
    return { stop: () => subscription.unsubscribe() };
  }

  /** Listens to core messages. The handler must not be async. One that throws loses its message and nothing else. */
  listen(subject: string, handler: (message: Msg) => void): { stop(): void } {
    const heard = (message: Msg): void => {
      try {
        handler(message);
      } catch (error) {
        // What is thrown into the client ends its connection, and its words may be somebody's.
        this.#onStatus?.({ type: 'handler failed', detail: `${subject}: ${(error as Error).name}` });
      }
    };
    const subscription = this.nc.subscribe(subject, { callback: (error, message) => (error === null ? heard(message) : undefined) });
    return { stop: () => subscription.unsubscribe() };
  }

  /**
   * The bus incarnation: when the claim store was created. A wiped JetStream gets a new one, and claims made before it
   * prove nothing. @throws when the stream does not exist
   */
  async incarnation(): Promise<string> {
    const info = (await this.ask(`${this.apiPrefix}.STREAM.INFO.CLAIMS`, '')) as { created?: string; error?: { description?: string } };
    if (info.created === undefined)
      throw new Error(
        `stream CLAIMS: ${info.error?.description ?? 'not found'}. Provision the bus (npm start does; in a cluster run the provision job).`,
      );
    return info.created;
  }

  get connected(): boolean {
    return !this.nc.isClosed() && this.#up;
  }

  /** Waits for acknowledgements that are still due, then closes. */
  async close(): Promise<void> {
    await this.#publisher.drain();
    if (!this.nc.isClosed()) await this.nc.drain().catch(() => this.nc.close());
    await Promise.all(this.#background);
  }

  #up = true;

  async #watchStatus(options: BusOptions): Promise<void> {
    for await (const status of this.nc.status()) {
      if (status.type === 'disconnect') this.#up = false;
      if (status.type === 'reconnect') {
        this.#up = true;
        this.#publisher.reconnected();
      }
      const detail = status.type === 'error' ? status.error.message : 'server' in status ? String(status.server) : '';
      if (status.type !== 'ping') options.onStatus?.({ type: status.type, detail });
    }
  }
}
