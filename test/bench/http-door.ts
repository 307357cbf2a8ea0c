/** Submits tasks through the gateway's REST door. Plain `node:http`: the load must not cost more than what it measures. */
import { subjects, type TaskResult, TYPES } from '@mandate/contracts';
import type { Bus } from '@mandate/messaging';
import { Agent, request } from 'node:http';
import { TENANT } from './bus-door.ts';

const PATIENCE_MS = 60_000;

export interface Answer {
  readonly status: number;
  readonly body: string;
}

export class HttpDoor {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 256 });
  readonly #url: string;
  readonly #key: string;
  readonly #listening: { stop(): void };
  /** Results by request, whichever of the result and its wish comes first. */
  readonly #results = new Map<string, PromiseWithResolvers<TaskResult>>();

  constructor(options: { readonly url: string; readonly apiKey: string; readonly bus: Bus }) {
    this.#url = options.url;
    this.#key = options.apiKey;
    this.#listening = options.bus.listen(subjects.out(TENANT, '*'), (message) => {
      const event = message.json<{ type: string; data: TaskResult }>();
      if (event.type === TYPES.taskResult) this.#resultOf(event.data.request).resolve(event.data);
    });
  }

  /** Accepted (202) over HTTP; the result is heard on the bus, as any service can. */
  async submit(task: string, options: object): Promise<TaskResult> {
    const answer = await this.send('POST', '/api/v1/tasks', { task, options });
    if (answer.status !== 202) throw new Error(`the gateway answered ${answer.status}: ${answer.body.slice(0, 500)}`);
    const { requestId } = (JSON.parse(answer.body) as { data: { requestId: string } }).data;
    const { promise, reject } = this.#resultOf(requestId);
    const limit = setTimeout(() => reject(new Error(`task ${requestId} had no result within ${PATIENCE_MS / 1_000} s`)), PATIENCE_MS);
    try {
      return completed(await promise);
    } finally {
      clearTimeout(limit);
      this.#results.delete(requestId);
    }
  }

  /** One request that answers with the whole finished task (200), as the read model shows it. */
  async submitAndWait(task: string, options: object): Promise<void> {
    const answer = await this.send('POST', '/api/v1/tasks?wait=60', { task, options });
    if (answer.status !== 200) throw new Error(`the gateway answered ${answer.status}: ${answer.body.slice(0, 500)}`);
    const { data } = JSON.parse(answer.body) as { data: { status: string; request: string } };
    this.#results.delete(data.request);
    if (data.status !== 'completed') throw new Error(`a task ended ${data.status}: ${answer.body.slice(0, 500)}`);
  }

  send(method: string, path: string, body?: unknown): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const sent = request(
        this.#url + path,
        { method, agent: this.#agent, headers: { authorization: `Bearer ${this.#key}`, 'content-type': 'application/json' } },
        (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
          response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text })).on('error', reject);
        },
      );
      sent.on('error', reject).end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  stop(): void {
    this.#listening.stop();
    this.#agent.destroy();
  }

  #resultOf(id: string): PromiseWithResolvers<TaskResult> {
    const known = this.#results.get(id) ?? Promise.withResolvers<TaskResult>();
    this.#results.set(id, known);
    return known;
  }
}

function completed(result: TaskResult): TaskResult {
  if (result.status !== 'completed') throw new Error(`a task ended ${result.status}: ${result.code} ${result.message}`);
  return result;
}
