import { subjects } from '@mandate/contracts';
import type { Bus } from '@mandate/messaging';
import type { EncodedEvent } from '@mandate/event-store';
import type { Logger } from '@mandate/service-kit';

type PublishedEvent = Pick<EncodedEvent, 'type' | 'schema' | 'version' | 'at' | 'envelope'>;

/**
 * Publishes what was stored, at least once, and knows how far: every event below `published` has been acknowledged by
 * the bus. The log is the outbox; a successor publishes again from the noted position.
 */
export class Relay {
  readonly #bus: Bus;
  readonly #logger: Logger;
  readonly #partition: number;
  readonly #incarnation: string;
  readonly #source: string;
  readonly #unacknowledged = new Set<number>();
  #next: number;
  #stopped = false;

  constructor(options: {
    readonly bus: Bus;
    readonly logger: Logger;
    readonly partition: number;
    readonly incarnation: string;
    readonly instance: string;
    readonly from: number;
  }) {
    this.#bus = options.bus;
    this.#logger = options.logger;
    this.#partition = options.partition;
    this.#incarnation = options.incarnation;
    this.#source = `/mandate/orchestrator/${options.instance}`;
    this.#next = options.from;
  }

  /** Every event below it is on the bus. */
  get published(): number {
    let lowest = this.#next;
    for (const position of this.#unacknowledged) lowest = Math.min(lowest, position);
    return lowest;
  }

  /**
   * Something may be stored at the next position that was not handed to it: `published` waits there.
   * @returns that position
   */
  suspect(): number {
    this.#unacknowledged.add(this.#next);
    return this.#next;
  }

  publish(tenant: string, workflow: string, firstPosition: number, events: readonly PublishedEvent[]): void {
    for (const [index, event] of events.entries()) {
      const position = firstPosition + index;
      this.#unacknowledged.add(position);
      this.#next = Math.max(this.#next, position + 1);
      void this.#untilStored(
        position,
        event.type,
        tenant,
        workflow,
        this.#message(position, tenant, workflow, event),
        `${workflow}-${event.version}`,
      );
    }
  }

  stop(): void {
    this.#stopped = true;
  }

  /** The envelope goes out as the very bytes that are stored and hashed. */
  #message(position: number, tenant: string, workflow: string, event: PublishedEvent): string {
    const head = {
      specversion: '1.0',
      id: `${workflow}-${event.version}`,
      source: this.#source,
      type: `mandate.${event.type}.v${event.schema}`,
      subject: workflow,
      time: new Date(event.at).toISOString(),
      tenant,
      partition: this.#partition,
      position,
      incarnation: this.#incarnation,
    };
    return `${JSON.stringify(head).slice(0, -1)},"data":${event.envelope}}`;
  }

  async #untilStored(position: number, type: string, tenant: string, workflow: string, message: string, id: string): Promise<void> {
    for (let wait = 100; !this.#stopped; wait = Math.min(5_000, wait * 2)) {
      try {
        await this.#bus.publish(subjects.event(this.#partition, tenant, workflow, type), message, { id });
        this.#unacknowledged.delete(position);
        return;
      } catch (error) {
        if (wait === 100)
          this.#logger.warn({ partition: this.#partition, problem: (error as Error).message }, 'event not published yet; trying again');
        await new Promise((done) => setTimeout(done, wait).unref());
      }
    }
  }
}
