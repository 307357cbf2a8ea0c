import { type DirectAnswer, type DirectCall, directCall, issues, type ModelRequest, type Problem, subjects } from '@mandate/contracts';
import { REFUSALS } from '@mandate/domain';
import { claim } from '@mandate/messaging';
import { crashPoint, type ServiceContext, Standings, StepFailed } from '@mandate/service-kit';
import { Counter } from 'prom-client';
import { type CallPlan, planCall, type Router } from '../answer-call.ts';
import type { RouterConfig } from '../config.ts';
import type { FinishedCall } from '../answer-call.ts';
import { worstCaseMicroUsd } from '../worst-case.ts';
import { Chunks, NotLeased, type Reserved } from './chunks.ts';

type Reply = { readonly ok: true; readonly value: DirectAnswer } | { readonly ok: false; readonly problem: Problem };
type CarryOut = (
  call: { readonly body: ModelRequest; readonly timeoutMs: number },
  plan: CallPlan,
  run: { readonly signal: AbortSignal; readonly traceparent: string | undefined },
) => Promise<FinishedCall>;

/** Serves `q.llm-router.call`: model calls without a task, paid from chunks of the tenant's account. */
export function serveDirectCalls(
  context: ServiceContext<RouterConfig>,
  router: Router,
  carryOut: CarryOut,
): { readonly inFlight: number; stop(withinMs: number): Promise<void> } {
  const { bus, log, instance, config } = context;
  const standings = new Standings(bus);
  const chunks = new Chunks(
    { bus, log, instance, standings },
    {
      chunkMicroUsd: config.LLM_CHUNK_MICRO_USD,
      chunkMs: config.LLM_CHUNK_MS,
      callMs: config.LLM_DIRECT_MS,
      graceMs: config.LLM_CHUNK_GRACE_MS,
    },
  );
  const running = new Set<Promise<unknown>>();
  const calls = new Counter({
    name: 'mandate_direct_calls_total',
    help: 'Model calls without a task, by how they ended.',
    labelNames: ['outcome'],
    registers: [context.metrics],
  });

  const answering = bus.answer(subjects.query('llm-router', 'call'), 'llm-router', (message) => {
    const answered = answer(message.json()).then((reply) => {
      calls.inc({ outcome: reply.ok ? 'succeeded' : reply.problem.code });
      return reply;
    });
    const done = answered.finally(() => running.delete(done));
    running.add(done);
    return done;
  });

  async function answer(asked: unknown): Promise<Reply> {
    const parsed = directCall.safeParse(asked);
    if (!parsed.success) return no('bad_request', issues(parsed.error), 'Match the schema call.ask.');
    if (running.size >= config.LLM_DIRECT_CONCURRENCY)
      return no('overloaded', 'This router is busy with as many direct calls as it takes.', 'Try again in a moment.');
    try {
      return { ok: true, value: await call(parsed.data) };
    } catch (error) {
      if (error instanceof NotLeased) return { ok: false, problem: error.refusal };
      if (error instanceof StepFailed) return no(error.code, error.message, NEXT[error.code] ?? 'Try again later, or use another model.');
      throw error;
    }
  }

  async function call(asked: DirectCall): Promise<DirectAnswer> {
    const until = Date.now() + Math.min(asked.timeoutMs, config.LLM_DIRECT_MS);
    const body = requestOf(asked);
    const plan = planCall(router, { body, reservation: { moneyMicroUsd: Number.MAX_SAFE_INTEGER } });
    const worstMicroUsd = worstCaseMicroUsd(plan.model.price, plan.maxInputTokens, plan.maxOutputTokens);
    const reserved = await chunks.reserve({ tenant: asked.tenant, key: asked.key, model: plan.model.id }, worstMicroUsd, until);
    crashPoint('direct:after-reserve');
    const isFirst = await takeKey(asked, reserved);
    if (!isFirst)
      throw new NotLeased({
        code: 'IdempotencyConflict',
        message: 'A call with this Idempotency-Key was made before; its answer was not kept.',
        next: REFUSALS.IdempotencyConflict,
      });
    const timeoutMs = Math.max(1, until - Date.now());
    const timedOut = new StepFailed('timeout', `No answer within ${asked.timeoutMs} ms.`, { billed: 'maybe' });
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(timedOut), timeoutMs);
    let spent = { micro: worstMicroUsd, tokens: 0 };
    try {
      const { answer: said } = await carryOut({ body, timeoutMs }, plan, { signal: late.signal, traceparent: asked.traceparent });
      spent = { micro: said.costMicroUsd, tokens: said.usage.inputTokens + said.usage.outputTokens };
      crashPoint('direct:after-call');
      const { provider, model, finishReason, usage, costMicroUsd, content } = said;
      return { text: content.text, provider, model, finishReason, usage, costMicroUsd };
    } catch (error) {
      if (error instanceof StepFailed) spent = spentOn(error, worstMicroUsd);
      throw late.signal.aborted ? timedOut : error;
    } finally {
      clearTimeout(timer);
      reserved.settle(spent.micro, spent.tokens);
    }
  }

  /** The first call with a key is made, and no other: its claim outlives it. */
  async function takeKey(asked: DirectCall, reserved: Reserved): Promise<boolean> {
    if (asked.idempotencyKey === null) return true;
    try {
      const { won } = await claim(bus, `call_${asked.idempotencyKey}`, 'c1', `${instance}/${crypto.randomUUID()}`);
      if (!won) reserved.settle(0, 0);
      return won;
    } catch (error) {
      reserved.settle(0, 0);
      throw new StepFailed('connection', 'The bus could not take the claim of this call.', { billed: 'no', cause: error });
    }
  }

  return {
    get inFlight() {
      return running.size;
    },
    stop: async (withinMs) => {
      answering.stop();
      const late = new Promise((done) => setTimeout(done, withinMs).unref());
      await Promise.race([Promise.allSettled(running), late]);
      await chunks.stop();
      standings.stop();
    },
  };
}

const NEXT: Readonly<Record<string, string>> = {
  no_capable_provider: 'Use a model of GET /api/v1/models, or leave model out.',
  context_length: 'Send less, or use a model with a larger context.',
  timeout: 'Allow more time, or ask for a shorter answer.',
};

const no = (code: string, message: string, next: string): Reply => ({ ok: false, problem: { code, message, next } });

/** What a failed call cost: nothing when that is provable, what it said it used, else the worst. */
function spentOn(failure: StepFailed, worstMicroUsd: number): { readonly micro: number; readonly tokens: number } {
  if (failure.answer?.kind === 'llm') {
    const { costMicroUsd, usage } = failure.answer;
    return { micro: costMicroUsd, tokens: usage.inputTokens + usage.outputTokens };
  }
  return { micro: failure.billed === 'no' ? 0 : worstMicroUsd, tokens: 0 };
}

const requestOf = ({ model, system, messages, maxOutputTokens }: DirectCall): ModelRequest => ({
  model,
  system,
  messages: messages.map((each) => (each.role === 'assistant' ? { ...each, toolCalls: [] } : each)),
  tools: [],
  maxOutputTokens,
});
