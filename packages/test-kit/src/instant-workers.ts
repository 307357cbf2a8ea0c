import {
  type LlmCommand,
  llmCommand,
  type ModelCatalog,
  subjects,
  type ToolCatalog,
  toolCommand,
  TYPES,
  type WorkerAnswer,
} from '@mandate/contracts';
import { type RunningService, serveAttempts, type ServiceDefinition, startService, type Working } from '@mandate/service-kit';
import { createHash } from 'node:crypto';
import { z } from 'zod';

const config = z.object({ COMMAND_KEY: z.string() });

/** One tool of each effect, and one model at $1 in and $2 out per million tokens. */
export const instantTools: ToolCatalog = {
  tools: [
    { name: 'core__look', description: 'Looks.', inputSchema: { type: 'object' }, effect: 'read_only', tenants: ['acme', 'globex'] },
    { name: 'core__send', description: 'Sends.', inputSchema: { type: 'object' }, effect: 'non_idempotent', tenants: ['acme', 'globex'] },
  ],
};
export const instantModels: ModelCatalog = {
  priceVersion: 'instant@1',
  defaultModel: 'instant',
  models: [
    {
      id: 'instant',
      provider: 'instant',
      tier: 'cheap',
      contextTokens: 100_000,
      maxOutputTokens: 1_000,
      inputMicroUsdPerMillionTokens: 1_000_000,
      outputMicroUsdPerMillionTokens: 2_000_000,
      priced: true,
    },
  ],
};

export interface InstantWorkers {
  /** Attempts that were really run, in order: the oracle of what happened. */
  readonly ran: readonly { readonly workflow: string; readonly attempt: string; readonly tool?: string }[];
  /** Held back until released; for commands that are in flight while something else happens. */
  hold(): () => void;
  readonly services: readonly RunningService[];
  stop(): Promise<void>;
}

/** What a test sees and holds back of the workers in its own process. */
export interface InstantHooks {
  readonly onRun?: (run: InstantWorkers['ran'][number]) => void;
  /** Awaited before every answer. */
  readonly gate?: () => Promise<void>;
}

/** The definition of one instant worker, for `startService` in a test or `runService` in a process of its own. */
export function instantWorker(kind: 'llm' | 'tool', hooks: InstantHooks = {}): ServiceDefinition<typeof config> {
  return kind === 'llm' ? instantModel(hooks) : instantTool(hooks);
}

const instantModel = (hooks: InstantHooks): ServiceDefinition<typeof config> => ({
  name: 'llm-router',
  config,
  secrets: ['COMMAND_KEY'],
  start: async (context) =>
    working(
      context,
      instantModels,
      serveAttempts(context, {
        kind: 'llm',
        type: TYPES.llmRun,
        schema: llmCommand,
        commandKey: context.config.COMMAND_KEY,
        concurrency: 512,
        guard: () => 'claim',
        run: async (command) => {
          hooks.onRun?.({ workflow: command.workflow, attempt: command.attempt });
          await hooks.gate?.();
          await delay(command);
          return modelAnswer(command);
        },
      }),
    ),
});

const instantTool = (hooks: InstantHooks): ServiceDefinition<typeof config> => ({
  name: 'tool-runner',
  config,
  secrets: ['COMMAND_KEY'],
  start: async (context) =>
    working(
      context,
      instantTools,
      serveAttempts(context, {
        kind: 'tool',
        type: TYPES.toolRun,
        schema: toolCommand,
        commandKey: context.config.COMMAND_KEY,
        concurrency: 512,
        guard: (command) => (command.body.effect === 'non_idempotent' ? 'start' : 'claim'),
        run: async (command) => {
          hooks.onRun?.({ workflow: command.workflow, attempt: command.attempt, tool: command.body.tool });
          await hooks.gate?.();
          return { kind: 'tool', isError: false, truncated: false, content: { text: 'seen' } };
        },
      }),
    ),
});

/**
 * Workers that answer at once, over the real bus and the real worker's half of the protocol: what is left of a step is
 * the core. `[[turns:N]]` in the task makes N model calls with a tool call between them (`[[tool:core__send]]` says which);
 * after them `[[children:N:work]]` sends N agents, whose task is `[[work]]`, and one more call joins what they bring.
 * `[[delay:N]]` makes the model think for N ms.
 */
export async function startInstantWorkers(
  env: (user: string) => NodeJS.ProcessEnv,
  keys: { readonly analyze: string; readonly llm: string; readonly tool: string },
): Promise<InstantWorkers> {
  const ran: InstantWorkers['ran'][number][] = [];
  let gate = Promise.resolve();
  const hooks: InstantHooks = { onRun: (run) => ran.push(run), gate: () => gate };
  const services = await Promise.all([
    startService(instantWorker('llm', hooks), { ...env('llm-router'), COMMAND_KEY: keys.llm }),
    startService(instantWorker('tool', hooks), { ...env('tool-runner'), COMMAND_KEY: keys.tool }),
  ]);
  return {
    ran,
    services,
    hold: () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      gate = promise;
      return resolve;
    },
    stop: async () => {
      await Promise.all(services.map((service) => service.stop()));
    },
  };
}

function working(
  context: Parameters<ServiceDefinition<typeof config>['start']>[0],
  catalog: unknown,
  consumption: ReturnType<typeof serveAttempts>,
): Working {
  const service = catalog === instantTools ? 'tool-runner' : 'llm-router';
  const answering = context.bus.answer(subjects.query(service, 'catalog'), service, async () => ({ ok: true, value: catalog }));
  const hash = createHash('sha256').update(JSON.stringify(catalog)).digest('hex');
  return {
    ready: () => ({ ok: true, missing: [] }),
    inFlight: () => consumption.inFlight,
    catalogHash: () => hash,
    stop: async () => {
      answering.stop();
      await consumption.stop(1_000);
    },
  };
}

function modelAnswer(command: LlmCommand): WorkerAnswer {
  const [first] = command.body.messages;
  const task = first?.role === 'user' ? first.text : '';
  const said = command.body.messages.filter((message) => message.role === 'assistant').length;
  const offered = command.body.tools.map(({ name }) => name);
  const calls =
    offered.length === 1 && offered[0] === 'rate' ? [{ callId: 'r', tool: 'rate', args: { rating: 'excellent' } }] : callsOf(task, said);
  return {
    kind: 'llm',
    provider: 'instant',
    model: 'instant',
    priceVersion: 'instant@1',
    usage: { inputTokens: 20, outputTokens: 5, cachedInputTokens: 0, reasoningTokens: 0 },
    costMicroUsd: 30,
    finishReason: calls.length > 0 ? 'tool_calls' : 'stop',
    upstreamRequests: 1,
    content: { text: calls.length > 0 ? '' : `done after ${said + 1} turns`, calls },
  };
}

/** `[[delay:N]]` answers after N ms, as a model does that thinks. */
async function delay(command: LlmCommand): Promise<void> {
  const [first] = command.body.messages;
  const ms = Number(/\[\[delay:(\d+)\]\]/.exec(first?.role === 'user' ? first.text : '')?.[1] ?? 0);
  if (ms > 0) await new Promise((done) => setTimeout(done, ms));
}

type Calls = Extract<WorkerAnswer, { kind: 'llm' }>['content']['calls'];

function callsOf(task: string, said: number): Calls {
  const turns = Number(/\[\[turns:(\d+)\]\]/.exec(task)?.[1] ?? 1);
  const tool = /\[\[tool:([a-z_]+)\]\]/.exec(task)?.[1] ?? 'core__look';
  const look: Calls = [{ callId: `c${said}`, tool, args: {} }];
  const children = childrenOf(task);
  if (task.includes('[[at-once]]')) return said === 0 ? [...look, ...children] : [];
  if (said + 1 < turns) return look;
  return said + 1 === turns ? children : [];
}

/** `[[children:N:work]]` delegates to N agents at once; `rated` stands for an answer that is rated. */
function childrenOf(task: string): Calls {
  const [, count = '0', work = ''] = /\[\[children:(\d+):([^\]]*)\]\]/.exec(task) ?? [];
  const args = work === 'rated' ? { task: 'look', pattern: 'evaluator-optimizer' } : { task: `look [[${work}]]${delayIn(task)}` };
  return Array.from({ length: Number(count) }, (_, n) => ({
    callId: `d${n}`,
    tool: 'delegate',
    args: { agent: 'researcher', ...args, task: `${n} ${args.task}` },
  }));
}

const delayIn = (task: string): string => /\[\[delay:\d+\]\]/.exec(task)?.[0] ?? '';
