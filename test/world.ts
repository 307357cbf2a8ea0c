import type { StoredEvent, TaskDetail } from '@mandate/contracts';
import { type Stack, type StackOptions, startStack } from '@mandate/local';
import { mcpPrograms, startStubModel, STUB_PRICE, type StubModel } from '@mandate/test-kit';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';

/** A whole stack that can be hurt, with oracles that it cannot influence: the stub model's bill and a counter tool's file. */
export interface World {
  readonly stack: Stack;
  readonly model: StubModel;
  /** What was said about deaths and restarts. */
  readonly said: readonly string[];
  /** Beside it lie the logs of the services. */
  readonly crashFile: string;
  /** How often the counter tool really ran. */
  counted(): number;
  /** The next process that passes `point` the n-th time dies there. */
  armCrash(point: string, n?: number): Promise<void>;
  crashHappened(): boolean;
  /** A request to the gateway as the tenant acme, unless the headers say otherwise. */
  api(path: string, init?: RequestInit, gateway?: number): Promise<Response>;
  submit(task: string, options?: object, key?: string): Promise<string>;
  /** The task once it has ended. @throws when it does not within `withinMs` */
  ended(workflow: string, withinMs?: number): Promise<TaskDetail>;
  history(workflow: string): Promise<readonly StoredEvent[]>;
  sql<Row extends pg.QueryResultRow>(text: string, values?: readonly unknown[]): Promise<Row[]>;
  /** `keep` leaves its folder, to look at. @default false */
  stop(options?: { readonly keep?: boolean }): Promise<void>;
}

export interface WorldOptions extends Partial<StackOptions> {
  /** MCP servers besides the counter, as they stand in the tools file. */
  readonly toolServers?: readonly object[];
}

export async function startWorld({ toolServers = [], ...options }: WorldOptions = {}): Promise<World> {
  const home = options.home ?? (await mkdtemp(join(tmpdir(), 'mandate-faults-')));
  const counterFile = join(home, 'counter.txt');
  const crashFile = join(home, 'crash');
  const model = await startStubModel();
  const toolsFile = join(home, 'fault-tools.json');
  await writeFile(toolsFile, JSON.stringify({ servers: [counterServer(counterFile), ...toolServers] }));
  const modelsFile = join(home, 'models.json');
  await writeFile(modelsFile, JSON.stringify({ models: [STUB_TERMS] }));
  const said: string[] = [];
  const crash = { MANDATE_CRASH_FILE: crashFile };
  const names = ['gateway', 'analyzer', 'orchestrator', 'llm-router', 'tool-runner', 'projector'] as const;
  const stack = await startStack({
    home,
    durability: 'off',
    modelUrl: model.url,
    toolsFile,
    // Deaths follow one another here by design.
    restartDelayMs: () => 100,
    say: (line) => said.push(line),
    ...options,
    env: Object.fromEntries(
      names.map((name) => [
        name,
        {
          ...crash,
          LOG_LEVEL: 'info',
          ...(name === 'llm-router' ? { MANDATE_MODELS_FILE: modelsFile, MANDATE_MODEL: 'openai/stub-model' } : {}),
          ...options.env?.[name],
        },
      ]),
    ),
  });
  // The pool meets servers that die: its errors are expected here.
  const pool = new pg.Pool({ connectionString: stack.postgres.url('mandate'), max: 2 }).on('error', () => undefined);
  const sql = async <Row extends pg.QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<Row[]> =>
    (await pool.query<Row>(text, [...values])).rows;
  const api = (path: string, init: RequestInit = {}, gateway = 1): Promise<Response> =>
    fetch(`${stack.gatewayUrls[gateway - 1]}${path}`, {
      ...init,
      headers: { authorization: `Bearer ${stack.apiKey('acme')}`, 'content-type': 'application/json', ...init.headers },
    });

  // On a busy machine the first word of the tools may come later than tasks are taken up without any.
  await until(
    30_000,
    async () => (await sql("select 1 from es.artifact where kind = 'tools' and body like '%increment%'").catch(() => []))[0],
  );

  return {
    stack,
    model,
    said,
    crashFile,
    sql,
    api,
    counted: () =>
      existsSync(counterFile)
        ? readFileSync(counterFile, 'utf8')
            .split('\n')
            .filter((line) => line !== '').length
        : 0,
    armCrash: (point, n = 1) => writeFile(crashFile, `${point}@${n}`),
    crashHappened: () => !existsSync(crashFile),
    submit: (task, taskOptions = {}, key = crypto.randomUUID()) => submitUntilAccepted(api, task, taskOptions, key),
    ended: async (workflow, withinMs = 30_000) => {
      const found = await until(withinMs, async () => {
        const answer = await api(`/api/v1/tasks/${workflow}`).catch(() => undefined);
        if (answer?.status !== 200) return undefined;
        const { data } = (await answer.json()) as { data: TaskDetail };
        return data.endedAt === null ? undefined : data;
      });
      if (found === undefined)
        throw new Error(
          `${workflow} did not end within ${withinMs} ms: ${JSON.stringify(await sql('select version, type from es.event where stream_id = $1 order by version', [workflow]))}`,
        );
      return found;
    },
    history: async (workflow) =>
      (await sql<{ envelope: StoredEvent }>('select envelope from es.event where stream_id = $1 order by version', [workflow])).map(
        (row) => row.envelope,
      ),
    stop: async ({ keep = false } = {}) => {
      await pool.end();
      await stack.stop();
      await model.stop();
      if (!keep && options.home === undefined) await rm(home, { recursive: true, force: true });
    },
  };
}

/** The stub's own prices, so that its bill and the ledger are in the same money. */
const STUB_TERMS = {
  id: 'stub-model',
  provider: 'openai',
  tier: 'cheap',
  contextTokens: 200_000,
  maxOutputTokens: 4_096,
  inputUsdPerMillionTokens: STUB_PRICE.input / 1e6,
  outputUsdPerMillionTokens: STUB_PRICE.output / 1e6,
  cachedInputUsdPerMillionTokens: STUB_PRICE.cachedInput / 1e6,
} as const;

function counterServer(file: string): object {
  return {
    name: 'counter',
    transport: 'stdio',
    command: process.execPath,
    args: [mcpPrograms.counter],
    env: { COUNTER_FILE: file },
    tenants: ['acme', 'globex'],
    grants: [
      { tools: ['read', 'slow', 'crash'], effect: 'read_only' },
      { tools: ['increment'], effect: 'non_idempotent' },
    ],
  };
}

/** As a careful client does: the same key again until it is answered. */
async function submitUntilAccepted(
  api: (path: string, init: RequestInit) => Promise<Response>,
  task: string,
  options: object,
  key: string,
): Promise<string> {
  const accepted = await until(60_000, async () => {
    const answer = await api('/api/v1/tasks', {
      method: 'POST',
      headers: { 'idempotency-key': key },
      body: JSON.stringify({ task, options }),
    }).catch(() => undefined);
    if (answer === undefined || answer.status >= 500) return undefined;
    if (answer.status !== 202) throw new Error(`submit: ${answer.status} ${await answer.text()}`);
    return ((await answer.json()) as { data: { workflowId: string } }).data.workflowId;
  });
  if (accepted === undefined) throw new Error('the task was not accepted within 60 s');
  return accepted;
}

/** Asks until there is an answer. */
export async function until<T>(withinMs: number, ask: () => Promise<T | undefined>): Promise<T | undefined> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const found = await ask();
    if (found !== undefined || performance.now() > deadline) return found;
    await new Promise((done) => setTimeout(done, 25));
  }
}

/** What a history says, modulo attempts: which steps there were and how each ended, and how the task ended. */
export function storyOf(history: readonly StoredEvent[]): readonly string[] {
  const settled = history.flatMap((event) =>
    event.type === 'attempt.settled' && event.data.final ? [`${event.data.step} ${event.data.outcome}`] : [],
  );
  return [
    ...settled.sort(),
    ...history.flatMap((event) => (/^task\.(completed|failed|cancelled|rejected)$/.test(event.type) ? [event.type] : [])),
  ];
}

/** Money and tool calls that the log says were spent; at least what the oracles saw. */
export function spentOf(history: readonly StoredEvent[]): {
  readonly moneyMicroUsd: number;
  readonly modelCalls: number;
  readonly toolCalls: number;
} {
  return history.reduce(
    (sum, event) =>
      event.type !== 'attempt.settled'
        ? sum
        : {
            moneyMicroUsd: sum.moneyMicroUsd + event.data.spent.moneyMicroUsd,
            modelCalls: sum.modelCalls + event.data.spent.modelCalls,
            toolCalls: sum.toolCalls + event.data.spent.toolCalls,
          },
    { moneyMicroUsd: 0, modelCalls: 0, toolCalls: 0 },
  );
}
