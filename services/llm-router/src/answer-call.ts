import { setTimeout as pause } from 'node:timers/promises';
import { LIMITS, type LlmCommand, type WorkerAnswer } from '@mandate/contracts';
import { likelyTokens, MAX_CALLS_PER_TURN } from '@mandate/domain';
import { StepFailed } from '@mandate/service-kit';
import { chooseModel, type PricedModel } from './choose-model.ts';
import { cutText } from './cut-text.ts';
import { type LanguageModel, type ModelAnswer, ModelCallFailed, type ProviderName, type TokenUsage } from './language-model.ts';
import type { ModelTable } from './models/model-table.ts';
import { costOf } from './models/price.ts';
import { mostInputTokens, promptSize, worstCaseMicroUsd } from './worst-case.ts';

/** What a call needs from its surroundings. */
export interface Router {
  readonly table: ModelTable;
  readonly model: (provider: ProviderName, id: string) => LanguageModel;
}

/** A finished call: what is reported, and which model did it. */
export interface FinishedCall {
  readonly answer: Extract<WorkerAnswer, { kind: 'llm' }>;
  readonly said: ModelAnswer;
}

/** How to call: decided before anything is sent. */
export interface CallPlan {
  readonly model: PricedModel;
  readonly maxInputTokens: number;
  readonly maxOutputTokens: number;
}

/**
 * Chooses the model and proves that the call stays within its reservation.
 * @throws StepFailed `no_capable_provider`, `context_length` or `reservation_exceeded`; nothing was sent
 */
export function planCall(
  { table }: Router,
  command: Pick<LlmCommand, 'body'> & { readonly reservation: { readonly moneyMicroUsd: number } },
): CallPlan {
  const { body: request, reservation } = command;
  const likely = likelyTokens(promptSize(request).bytes) + request.maxOutputTokens;
  const choice = chooseModel(table.models, table.preferred, {
    model: request.model,
    tools: request.tools.length > 0,
    contextTokens: likely,
  });
  if ('refused' in choice) throw new StepFailed('no_capable_provider', choice.refused, { billed: 'no' });
  const { model } = choice;
  const maxInputTokens = mostInputTokens(request);
  const maxOutputTokens = Math.min(request.maxOutputTokens, model.maxOutputTokens);
  if (model.flatUpToTokens !== undefined && maxInputTokens > model.flatUpToTokens) {
    throw new StepFailed(
      'context_length',
      `The prompt may have ${maxInputTokens} tokens; above ${model.flatUpToTokens} ${model.id} costs more than was reserved for.`,
      { billed: 'no' },
    );
  }
  const worst = worstCaseMicroUsd(model.price, maxInputTokens, maxOutputTokens);
  if (worst > reservation.moneyMicroUsd) {
    throw new StepFailed(
      'reservation_exceeded',
      `The call can cost ${worst} micro-USD with ${model.id}; ${reservation.moneyMicroUsd} were reserved.`,
      { billed: 'no' },
    );
  }
  return { model, maxInputTokens, maxOutputTokens };
}

/** Makes the call. @throws StepFailed */
export async function carryOut(
  router: Router,
  command: Pick<LlmCommand, 'body' | 'timeoutMs'>,
  plan: CallPlan,
  signal: AbortSignal,
): Promise<FinishedCall> {
  const { model, maxOutputTokens } = plan;
  const upstream = router.model(model.provider, model.id);
  const give = (said: ModelAnswer, upstreamRequests: number): FinishedCall => ({
    said,
    answer: reported(router.table, plan, said, upstreamRequests),
  });
  try {
    const { said, upstreamRequests } = await askTwiceAtMost(
      () => upstream.generate(command.body, { signal, maxOutputTokens }),
      command.timeoutMs,
      signal,
    );
    const finished = give(said, upstreamRequests);
    refuseUselessAnswer(finished);
    return finished;
  } catch (error) {
    if (!(error instanceof ModelCallFailed)) throw error;
    const { usage } = error;
    const nothingSaid: ModelAnswer = { text: '', toolCalls: [], usage, finishReason: 'error' };
    throw new StepFailed(error.code, error.message, {
      billed: error.billed,
      retryAfterMs: error.retryAfterMs,
      cause: error,
      ...(error.retryable === undefined ? {} : { retryable: error.retryable }),
      ...(usage === undefined ? {} : { answer: give(nothingSaid, 1).answer }),
    });
  }
}

const SHORT_WAIT_MS = 250;
const LONGEST_WAIT_MS = 2_000;
const LEAST_TIME_LEFT_MS = 1_000;

/** One more try after a failure that provably cost nothing, soon, and only while there is time; everything else is the orchestrator's. */
async function askTwiceAtMost(
  ask: () => Promise<ModelAnswer>,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<{ readonly said: ModelAnswer; readonly upstreamRequests: number }> {
  const started = performance.now();
  try {
    return { said: await ask(), upstreamRequests: 1 };
  } catch (error) {
    const waitMs = error instanceof ModelCallFailed ? worthAnother(error) : undefined;
    const leftMs = timeoutMs - (performance.now() - started);
    if (waitMs === undefined || leftMs < waitMs + LEAST_TIME_LEFT_MS) throw error;
    await pause(waitMs, undefined, { signal }).catch(() => signal.throwIfAborted());
    return { said: await ask(), upstreamRequests: 2 };
  }
}

const PASSING: ReadonlySet<string> = new Set(['rate_limit', 'overloaded', 'server_error', 'connection']);

/** How long to wait before the one repetition, or undefined when there is none. */
function worthAnother(failure: ModelCallFailed): number | undefined {
  if (failure.billed !== 'no' || failure.retryable === false || !PASSING.has(failure.code)) return undefined;
  const waitMs = failure.retryAfterMs ?? SHORT_WAIT_MS;
  return waitMs <= LONGEST_WAIT_MS ? waitMs : undefined;
}

function refuseUselessAnswer({ answer, said }: FinishedCall): void {
  if (said.finishReason === 'content_filter')
    throw new StepFailed('content_filter', 'The vendor’s content filter stopped the answer.', { billed: 'yes', answer });
  const isEmpty = said.text === '' && said.toolCalls.length === 0;
  if (said.finishReason === 'error' || (isEmpty && said.finishReason === 'other')) {
    throw new StepFailed('bad_answer', 'The model ended without an answer.', { billed: 'yes', answer });
  }
}

function reported(table: ModelTable, plan: CallPlan, said: ModelAnswer, upstreamRequests: number): FinishedCall['answer'] {
  const usage = said.usage ?? mostUsage(plan, said);
  const { inputTokens, outputTokens, cachedInputTokens, reasoningTokens } = usage;
  return {
    kind: 'llm',
    provider: plan.model.provider,
    model: plan.model.id,
    priceVersion: table.priceVersion,
    usage: { inputTokens, outputTokens, cachedInputTokens, reasoningTokens },
    costMicroUsd: costOf(plan.model.price, usage),
    finishReason: said.finishReason,
    upstreamRequests,
    content: { text: cutText(said.text, LIMITS.modelTextBytes), calls: boundedCalls(said.toolCalls) },
  };
}

/** A vendor that says nothing about usage is believed to have charged the most that it could. */
function mostUsage({ maxInputTokens, maxOutputTokens }: CallPlan, said: ModelAnswer): TokenUsage {
  const saidBytes = Buffer.byteLength(said.text) + said.toolCalls.reduce((sum, call) => sum + Buffer.byteLength(JSON.stringify(call)), 0);
  return {
    inputTokens: maxInputTokens,
    outputTokens: Math.min(maxOutputTokens, saidBytes),
    cachedInputTokens: 0,
    cacheWriteTokens: 0,
    reasoningTokens: 0,
  };
}

/** One more than are run per turn, so that the refusal of the rest is seen; and no arguments that no tool would take. */
function boundedCalls(calls: ModelAnswer['toolCalls']): FinishedCall['answer']['content']['calls'] {
  let left: number = LIMITS.modelTextBytes;
  return calls.slice(0, MAX_CALLS_PER_TURN + 1).map((call) => {
    const json = JSON.stringify(call.args);
    const bytes = Buffer.byteLength(json);
    const fits = bytes <= Math.min(LIMITS.toolArgsBytes, left);
    if (fits) left -= bytes;
    return { callId: call.callId, tool: call.tool.toWellFormed().slice(0, 200), args: fits ? call.args : { _raw: cutText(json, 1_024) } };
  });
}
