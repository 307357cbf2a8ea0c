/** For tests: the events of whole workflows, and a log that they can be put into. */
import type { StoredEvent } from '@mandate/contracts';
import { type DataKeys, seal } from '@mandate/event-store';
import { partitionOf, PARTITIONS, type WorkflowEvent, workflowIdOf } from '@mandate/domain';
import pg from 'pg';

const NOTHING = { moneyMicroUsd: 0, tokens: 0, modelCalls: 0, toolCalls: 0 };
const TERMS = {
  model: null,
  priceVersion: '1',
  worstPrice: { inputMicroUsdPerMillionTokens: 1, outputMicroUsdPerMillionTokens: 1 },
  maxOutputTokens: 1_000,
};
const TIMING = { queueMs: 1_000, analyzeMs: 1_000, llmMs: 1_000, toolMs: 1_000, graceMs: 1_000 };
const LIMITS = {
  moneyMicroUsd: 1_000_000,
  tokens: 100_000,
  modelCalls: 10,
  toolCalls: 20,
  children: 10,
  contextTokens: 100_000,
  deadlineAt: 9_000_000,
};

export const exampleWorkflow = (n: number, partition: number = n % PARTITIONS): string =>
  workflowIdOf(partition, [...String(n).padStart(26, '0')].map((digit) => 'abcdefghij'[Number(digit)]).join(''));

/** A task that reads a file with a tool between two model calls, and ends well: 11 events. */
export function exampleStream(
  n: number,
  options: { readonly tenant?: string; readonly partition?: number; readonly startedAt?: number } = {},
): readonly StoredEvent[] {
  const stream = exampleWorkflow(n, options.partition);
  const told = [
    { type: 'task.submitted', data: { request: `req-${n}`, source: 'gateway', bodyHash: '0'.repeat(64), taskBytes: 20, options: {} } },
    {
      type: 'mandate.granted',
      data: {
        agent: 'a0',
        parent: null,
        depth: 0,
        role: 'agent',
        limits: LIMITS,
        tools: [{ name: 'read_file', effect: 'read_only' }],
        catalogHash: null,
        promptBaseBytes: 100,
        model: TERMS,
        timing: TIMING,
      },
    },
    { type: 'decision.made', data: { agent: 'a0', pattern: 'direct', chosenBy: 'default', reasons: [] } },
    ...llmStep(1, 900, 40),
    {
      type: 'attempt.reserved',
      data: {
        ...attempt(2),
        owes: { kind: 'tool', tool: 'read_file', effect: 'read_only', argsAt: { version: 5, index: 0 } },
        reservation: { ...NOTHING, toolCalls: 1 },
      },
    },
    {
      type: 'attempt.settled',
      data: {
        attempt: 'a0_s2_t1',
        step: 'a0_s2',
        agent: 'a0',
        outcome: 'succeeded',
        final: true,
        spent: { ...NOTHING, toolCalls: 1 },
        settledAt: 'actual',
        answer: { kind: 'tool', isError: false, resultBytes: 64, truncated: false },
        worker: 'tool-runner/x',
        durationMs: 7,
      },
    },
    ...llmStep(3, 900, 60),
    { type: 'task.completed', data: { spent: { moneyMicroUsd: 100, tokens: 100, modelCalls: 2, toolCalls: 1 }, steps: 3, answerAt: 9 } },
    { type: 'mandate.released', data: { agent: 'a0', returned: NOTHING } },
  ] as unknown as WorkflowEvent[];
  return told.map((event, index) =>
    storedEvent(stream, index + 1, event, options.tenant ?? 'acme', (options.startedAt ?? 1_000_000 + n) + index),
  );
}

const attempt = (step: number) => ({
  attempt: `a0_s${step}_t1`,
  step: `a0_s${step}`,
  agent: 'a0',
  number: 1,
  expiresAt: 1,
  timeoutMs: 1_000,
  deadlineAt: 2,
  bus: 'b',
});

const llmStep = (step: number, reserved: number, cost: number) => [
  {
    type: 'attempt.reserved',
    data: {
      ...attempt(step),
      owes: { kind: 'llm', promptBytes: 100, messages: 1 },
      reservation: { moneyMicroUsd: reserved, tokens: 1_000, modelCalls: 1, toolCalls: 0 },
    },
  },
  {
    type: 'attempt.settled',
    data: {
      attempt: `a0_s${step}_t1`,
      step: `a0_s${step}`,
      agent: 'a0',
      outcome: 'succeeded',
      final: true,
      spent: { moneyMicroUsd: cost, tokens: cost, modelCalls: 1, toolCalls: 0 },
      settledAt: 'actual',
      answer: {
        kind: 'llm',
        provider: 'offline',
        model: 'offline-1',
        priceVersion: '1',
        usage: { inputTokens: cost - 10, outputTokens: 10, cachedInputTokens: 0, reasoningTokens: 0 },
        costMicroUsd: cost,
        finishReason: 'stop',
        textBytes: 10,
        calls: [],
        upstreamRequests: 1,
      },
      worker: 'llm-router/x',
      durationMs: 12,
    },
  },
];

export const storedEvent = (
  stream: string,
  version: number,
  event: WorkflowEvent,
  tenant = 'acme',
  at = 1_000_000 + version,
): StoredEvent => ({
  id: `${stream}.${version}`,
  schema: 1,
  stream,
  version,
  tenant,
  at,
  actor: 'key/test',
  causation: 'req',
  correlation: 'req',
  ...event,
});

/** Writes to the log as its superuser, without deciding anything. */
export class ExampleLog {
  readonly #client: pg.Client;

  private constructor(client: pg.Client) {
    this.#client = client;
  }

  static async open(url: string): Promise<ExampleLog> {
    const client = new pg.Client({ connectionString: url });
    client.on('error', () => undefined);
    await client.connect();
    return new ExampleLog(client);
  }

  /** @returns per event its partition and position, as the bus would tell them */
  async append(
    events: readonly StoredEvent[],
  ): Promise<readonly { readonly partition: number; readonly position: number; readonly envelope: StoredEvent }[]> {
    const placed = [];
    for (const [partition, group] of Map.groupBy(events, (event) => partitionOf(event.stream) ?? -1)) {
      const { rows } = await this.#client.query<{ base: string }>(
        `with moved as (update es.partition set next_pos = next_pos + $2 where p = $1 returning next_pos - $2 as base),
         written as (insert into es.event (p, pos, stream_id, version, tenant_id, type, envelope, hash, at)
           select $1, m.base + e.o - 1, e.j->>'stream', (e.j->>'version')::int, e.j->>'tenant', e.j->>'type', e.j, '', now() from moved m, json_array_elements($3::json) with ordinality e (j, o))
         select base from moved`,
        [partition, group.length, JSON.stringify(group)],
      );
      placed.push(...group.map((envelope, index) => ({ partition, position: Number(rows[0]?.base) + index, envelope })));
    }
    return placed;
  }

  async storeContent(keys: DataKeys, stream: string, version: number, content: unknown): Promise<void> {
    const key = await keys.fresh();
    const body = seal(key.key, `${stream}/${version}`, Buffer.from(JSON.stringify(content)));
    await this.#client.query('insert into es.content values ($1, $2, $3, $4, $5)', [partitionOf(stream), stream, version, key.id, body]);
  }

  async query<Row extends pg.QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    return (await this.#client.query<Row>(text, [...values])).rows;
  }

  async incarnation(): Promise<string> {
    return (await this.query<{ incarnation: string }>('select incarnation from es.log'))[0]?.incarnation ?? '';
  }

  close(): Promise<void> {
    return this.#client.end();
  }
}
