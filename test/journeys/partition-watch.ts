import { parseCloudEvent, parseMessage, subjects, taskReceipt, TYPES, workflowIdFor } from '@mandate/contracts';
import { partitionOf, PARTITIONS } from '@mandate/domain';
import { Bus } from '@mandate/messaging';
import type { World } from '../world.ts';

const EVERY_MS = 50;

/**
 * How long partitions are idle, seen from outside: each is asked twenty times a second about a workflow that does not
 * exist, and whoever owns it refuses. The longest time between two answers is how long nobody worked there.
 */
export class PartitionWatch {
  readonly #bus: Bus;
  readonly #listening: { stop(): void };
  readonly #timer: NodeJS.Timeout;
  readonly #lastAnswer = new Map<number, number>();
  readonly #longest = new Map<number, number>();
  readonly #nobody: readonly string[];
  #asked = 0;

  private constructor(bus: Bus) {
    this.#bus = bus;
    this.#nobody = Array.from({ length: PARTITIONS }, (_, p) => nobodyIn(p));
    this.#listening = bus.listen('out.acme.*', (message) => this.#heard(message.data));
    this.#timer = setInterval(() => this.#ask(), EVERY_MS);
  }

  static async open({ stack }: World): Promise<PartitionWatch> {
    const { nats } = stack;
    return new PartitionWatch(await Bus.connect({ servers: nats.url, user: 'gateway', password: nats.password('gateway'), name: 'watch' }));
  }

  /** Begins anew. Resolves when every partition has answered. */
  async begin(): Promise<void> {
    this.#longest.clear();
    this.#lastAnswer.clear();
    await this.#allAnswered();
  }

  /** @returns the longest silence of any partition since `begin`, in ms, once all of them answer again */
  async longestSilence(): Promise<number> {
    const now = performance.now();
    while ([...this.#lastAnswer.values()].some((at) => at < now)) await new Promise((done) => setTimeout(done, EVERY_MS));
    return Math.max(...this.#longest.values());
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#listening.stop();
    await this.#bus.close();
  }

  async #allAnswered(): Promise<void> {
    while (this.#lastAnswer.size < PARTITIONS) await new Promise((done) => setTimeout(done, EVERY_MS));
  }

  #ask(): void {
    this.#asked += 1;
    for (const [p, workflow] of this.#nobody.entries()) {
      const request = `watch-${p}-${this.#asked}`;
      const message = {
        specversion: '1.0',
        id: request,
        source: '/watch',
        type: TYPES.taskCancel,
        subject: request,
        tenant: 'acme',
        data: { workflow },
      };
      this.#bus.publish(subjects.inbox(p, 'gateway', 'acme'), JSON.stringify(message)).catch(() => undefined);
    }
  }

  #heard(bytes: Uint8Array): void {
    const event = parseCloudEvent(bytes);
    const receipt = event.ok ? parseMessage(event.value, TYPES.taskReceipt, taskReceipt) : event;
    if (!receipt.ok || !receipt.value.request.startsWith('watch-')) return;
    const p = Number(receipt.value.request.split('-')[1]);
    const now = performance.now();
    const last = this.#lastAnswer.get(p);
    this.#lastAnswer.set(p, now);
    if (last !== undefined) this.#longest.set(p, Math.max(this.#longest.get(p) ?? 0, now - last));
  }
}

function nobodyIn(partition: number): string {
  for (let n = 0; ; n++) {
    const workflow = workflowIdFor('acme', `nobody-${n}`);
    if (partitionOf(workflow) === partition) return workflow;
  }
}
