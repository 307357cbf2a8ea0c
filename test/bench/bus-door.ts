/** Submits tasks over the bus as the gateway does, and hears how they end. */
import { subjects, type TaskReceipt, type TaskResult, TYPES } from '@mandate/contracts';
import { partitionOfRequest } from '@mandate/domain';
import type { Bus } from '@mandate/messaging';
import { randomBytes } from 'node:crypto';

export const TENANT = 'acme';
/** Nothing measured here takes longer; what does is broken, and a bench that hangs says nothing. */
const PATIENCE_MS = 60_000;

export class BusDoor {
  readonly #bus: Bus;
  readonly #waiting = new Map<string, PromiseWithResolvers<TaskResult>>();
  readonly #listening: { stop(): void };
  readonly #run = randomBytes(4).toString('hex');
  #count = 0;

  constructor(bus: Bus) {
    this.#bus = bus;
    this.#listening = bus.listen(subjects.out(TENANT, '*'), (message) => this.#hear(message.json()));
  }

  /** Resolves with the result of the workflow. @throws when it is refused, or not over within a minute */
  async submit(task: string, options: object = { pattern: 'direct' }): Promise<TaskResult> {
    const request = `b${this.#run}-${this.#count++}`;
    const answer = Promise.withResolvers<TaskResult>();
    this.#waiting.set(request, answer);
    const limit = setTimeout(
      () => answer.reject(new Error(`request ${request} had no result within ${PATIENCE_MS / 1_000} s`)),
      PATIENCE_MS,
    );
    try {
      await this.#bus.publish(subjects.inbox(partitionOfRequest(TENANT, request), 'gateway', TENANT), submission(request, task, options));
      return await answer.promise;
    } finally {
      clearTimeout(limit);
      this.#waiting.delete(request);
    }
  }

  stop(): void {
    this.#listening.stop();
  }

  #hear(event: { readonly type: string; readonly data: TaskReceipt | TaskResult }): void {
    const answer = this.#waiting.get(event.data.request);
    if (answer === undefined) return;
    if (event.type === TYPES.taskResult) answer.resolve(event.data as TaskResult);
    else if (!(event.data as TaskReceipt).accepted)
      answer.reject(new Error(`request ${event.data.request} was refused: ${JSON.stringify(event.data)}`));
  }
}

function submission(request: string, task: string, options: object): string {
  return JSON.stringify({
    specversion: '1.0',
    id: request,
    source: '/bench',
    type: TYPES.taskSubmit,
    subject: request,
    tenant: TENANT,
    data: { task, options },
  });
}
