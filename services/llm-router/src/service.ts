import { createHash } from 'node:crypto';
import { type LlmCommand, llmCommand, subjects, TYPES, type WorkerAnswer } from '@mandate/contracts';
import {
  type ActiveSpan,
  type AttemptRun,
  serveAttempts,
  type ServiceContext,
  type ServiceDefinition,
  StepFailed,
  type Working,
} from '@mandate/service-kit';
import { type CallPlan, carryOut, type FinishedCall, planCall, type Router } from './answer-call.ts';
import { chooseModel } from './choose-model.ts';
import { type RouterConfig, routerConfig } from './config.ts';
import { buildModelTable, catalogOf, type ModelTable } from './models/model-table.ts';
import { readOperatorTable } from './models/operator-table.ts';
import { configuredProviders, modelsOf } from './providers/configured-providers.ts';
import { serveDirectCalls } from './direct/direct-calls.ts';
import { GEN_AI, PROVIDER_NAMES } from './semconv.ts';

/** One call to one of many models: choose, prove that it is paid for, call, meter. */
export const llmRouter: ServiceDefinition<typeof routerConfig> = {
  name: 'llm-router',
  config: routerConfig,
  secrets: ['COMMAND_KEY', 'OPENAI_API_KEY', 'ANTHROPIC_API_KEY', 'GOOGLE_GENERATIVE_AI_API_KEY', 'OPENAI_COMPATIBLE_API_KEY'],
  start,
};

async function start(context: ServiceContext<RouterConfig>): Promise<Working> {
  const { config, bus, log } = context;
  const providers = await configuredProviders(config);
  const table = buildModelTable({
    providers: [...providers.keys()],
    operator: readOperatorTable(config.MANDATE_MODELS_FILE),
    compatibleModel: config.OPENAI_COMPATIBLE_MODEL,
    preferred: config.MANDATE_MODEL,
    now: new Date(),
  });
  const catalog = catalogOf(table, defaultModel(table));
  const catalogHash = createHash('sha256').update(JSON.stringify(catalog)).digest('hex');
  const router: Router = { table, model: modelsOf(providers) };
  const answering = bus.answer(subjects.query('llm-router', 'catalog'), 'llm-router', () => Promise.resolve({ ok: true, value: catalog }));
  const attempts = serveAttempts(context, {
    kind: 'llm',
    type: TYPES.llmRun,
    schema: llmCommand,
    commandKey: config.COMMAND_KEY,
    concurrency: config.LLM_CONCURRENCY,
    guard: () => 'claim',
    run: (command, run) => runCall(context, router, command, run),
  });
  const direct = serveDirectCalls(context, router, (call, plan, run) => traced(context, router, { ...call, plan }, run));
  log.info({ models: catalog.models.length, defaultModel: catalog.defaultModel, priceVersion: catalog.priceVersion }, 'models');
  return {
    ready: () => ({ ok: true, missing: [] }),
    inFlight: () => attempts.inFlight + direct.inFlight,
    catalogHash: () => catalogHash,
    stop: async () => {
      await Promise.all([attempts.stop(20_000), direct.stop(20_000)]);
      answering.stop();
    },
  };
}

/** What a request that names no model gets: the catalogue says it, so that reservations are made at its price. @throws Error when MANDATE_MODEL cannot serve */
function defaultModel(table: ModelTable): string | null {
  const choice = chooseModel(table.models, table.preferred, { model: null, tools: true, contextTokens: 0 });
  if ('model' in choice) return table.preferred ?? choice.model.id;
  if (table.preferred !== undefined) throw new Error(`MANDATE_MODEL: ${choice.refused}`);
  return null;
}

async function runCall(context: ServiceContext<RouterConfig>, router: Router, command: LlmCommand, run: AttemptRun): Promise<WorkerAnswer> {
  const plan = planCall(router, command);
  const call = { body: command.body, timeoutMs: command.timeoutMs, plan, conversation: command.workflow };
  return (await traced(context, router, call, { signal: run.signal, traceparent: run.span.traceparent })).answer;
}

/** A call and its span. */
async function traced(
  context: ServiceContext<RouterConfig>,
  router: Router,
  call: Pick<LlmCommand, 'body' | 'timeoutMs'> & { readonly plan: CallPlan; readonly conversation?: string },
  run: { readonly signal: AbortSignal; readonly traceparent: string | undefined },
): Promise<FinishedCall> {
  const { plan } = call;
  const { id, provider } = plan.model;
  const span = context.tracing.start(`chat ${id}`, {
    parent: run.traceparent,
    kind: 'client',
    attributes: {
      [GEN_AI.operation]: 'chat',
      [GEN_AI.provider]: PROVIDER_NAMES[provider],
      [GEN_AI.requestModel]: id,
      [GEN_AI.requestMaxTokens]: plan.maxOutputTokens,
      ...(call.conversation === undefined ? {} : { [GEN_AI.conversation]: call.conversation }),
    },
  });
  try {
    const finished = await carryOut(router, call, plan, run.signal);
    describe(span, finished);
    return finished;
  } catch (error) {
    span.fail(error instanceof StepFailed ? error.code : 'internal');
    throw error;
  } finally {
    span.end();
  }
}

function describe(span: ActiveSpan, { answer, said }: FinishedCall): void {
  span.set({
    [GEN_AI.responseModel]: said.responseModel ?? answer.model,
    [GEN_AI.finishReasons]: [answer.finishReason],
    [GEN_AI.inputTokens]: answer.usage.inputTokens,
    [GEN_AI.outputTokens]: answer.usage.outputTokens,
    [GEN_AI.cacheReadTokens]: answer.usage.cachedInputTokens,
    [GEN_AI.reasoningTokens]: answer.usage.reasoningTokens,
    ...(said.responseId === undefined ? {} : { [GEN_AI.responseId]: said.responseId }),
  });
}
