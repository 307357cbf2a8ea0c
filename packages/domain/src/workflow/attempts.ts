import { attemptId, type StepId } from '../ids.ts';
import { unreachable } from '../decider.ts';
import {
  available,
  CLOSING,
  costMicroUsd,
  type Figures,
  likelyTokens,
  minus,
  mostTokens,
  NONE,
  plus,
  shortfall,
} from '../mandate/mandate.ts';
import { outcomeOfWork } from '../patterns/patterns.ts';
import { refusal, type Refusal } from '../refusals.ts';
import { backoffMs, RETRY, type RetryPolicy } from '../retry.ts';
import type { AttemptSettled } from './events.ts';
import { isReusing, refuseEffect } from './fork.ts';
import type { WorkflowInput } from './inputs.ts';
import type { OpenAttempt, Step } from './steps.ts';
import type { Story } from './story.ts';
import { type Agent, type OpenStep, stopOf } from './workflow.ts';

/** An answer that may not be at least this long is not worth asking for (tokens). */
export const MIN_OUTPUT_TOKENS = 256;

export function settleUnanswered(story: Story, attempt: OpenAttempt): void {
  const outcome = isReusing(story.workflow) ? 'expired' : unansweredOutcome(attempt);
  settleAttempt(story, attempt, { outcome });
}

export function unansweredOutcome(attempt: OpenAttempt): 'lost' | 'unknown' | 'expired' {
  if (attempt.owes.kind !== 'tool' || attempt.owes.effect !== 'non_idempotent') return 'lost';
  // Its start is committed here before it runs: without that start it never ran, and now never will.
  return attempt.runner === undefined ? 'expired' : 'unknown';
}

export type Ended = Pick<Extract<WorkflowInput, { kind: 'result' }>, 'outcome' | 'answer' | 'failure' | 'worker' | 'durationMs'>;

export function settleAttempt(story: Story, attempt: OpenAttempt, ended: Ended): void {
  const retryAt = retryTime(story, attempt, ended);
  const { spent, settledAt } = settlement(attempt, ended);
  const data: AttemptSettled = {
    attempt: attempt.id,
    step: attempt.step,
    agent: attempt.agent,
    outcome: ended.outcome,
    final: retryAt === undefined,
    spent,
    settledAt,
    ...(ended.answer === undefined ? {} : { answer: ended.answer }),
    ...(ended.failure === undefined ? {} : { failure: ended.failure }),
    ...(ended.worker === undefined ? {} : { worker: ended.worker }),
    ...(ended.durationMs === undefined ? {} : { durationMs: ended.durationMs }),
  };
  story.tell({ type: 'attempt.settled', data });
  if (retryAt === undefined) return;
  if (retryAt > story.now) {
    story.tell({ type: 'retry.scheduled', data: { step: attempt.step, attempt: attempt.number + 1, dueAt: retryAt } });
    return;
  }
  const step = story.workflow.steps.get(attempt.step);
  if (step !== undefined) retryNow(story, step);
}

/** When the step is tried again, or `undefined` when it ended with this attempt. */
function retryTime(story: Story, attempt: OpenAttempt, ended: Ended): number | undefined {
  const agent = story.workflow.agents.get(attempt.agent);
  if (story.workflow.phase !== 'running' || agent === undefined || stopOf(story.workflow, agent) !== undefined) return undefined;
  const policy: RetryPolicy = RETRY[attempt.owes.kind];
  if (attempt.number >= policy.maxAttempts || !mayRepeat(attempt, ended)) return undefined;
  if (agent.work !== undefined && outcomeOfWork(agent.work) !== undefined) return undefined;
  const waitMs = ended.outcome === 'failed' ? backoffMs(policy, attempt.number, attempt.id, ended.failure?.retryAfterMs) : 0;
  return story.now + waitMs < agent.mandate.limits.deadlineAt ? story.now + waitMs : undefined;
}

function mayRepeat(attempt: OpenAttempt, ended: Ended): boolean {
  if (ended.outcome === 'expired') return true;
  const repeatable = attempt.owes.kind !== 'tool' || attempt.owes.effect !== 'non_idempotent';
  if (ended.outcome === 'lost') return repeatable;
  if (ended.outcome !== 'failed' || ended.failure === undefined || !ended.failure.retryable) return false;
  return repeatable || ended.failure.billed === 'no';
}

function settlement(attempt: OpenAttempt, ended: Ended): { readonly spent: Figures; readonly settledAt: AttemptSettled['settledAt'] } {
  if (ended.answer !== undefined) return { spent: actual(ended.answer), settledAt: 'actual' };
  const provablyFree = ended.outcome === 'expired' || ended.failure?.billed === 'no';
  if (provablyFree || attempt.owes.kind === 'analyze') return { spent: NONE, settledAt: 'nothing' };
  return { spent: attempt.reservation, settledAt: 'worst_case' };
}

function actual(answer: NonNullable<Ended['answer']>): Figures {
  switch (answer.kind) {
    case 'analyze':
      return NONE;
    case 'tool':
      return { ...NONE, toolCalls: 1 };
    case 'llm':
      return {
        moneyMicroUsd: answer.costMicroUsd,
        tokens: answer.usage.inputTokens + answer.usage.outputTokens,
        modelCalls: 1,
        toolCalls: 0,
      };
    default:
      return unreachable(answer);
  }
}

export function retryNow(story: Story, step: OpenStep): void {
  const agent = story.workflow.agents.get(step.agent);
  if (agent !== undefined) reserveOrRefuse(story, agent, step.owes, step.id, step.attempts + 1);
}

/** Reserves an attempt at its worst case, or says why it cannot. */
export function reserveOrRefuse(story: Story, agent: Agent, owes: Step, step: StepId, number: number): void {
  const wanted = agent.granted.edition === 1 ? owes : affordable(story, agent, owes);
  const no = refuseEffect(story.workflow, step, wanted) ?? refuseStep(story, agent, wanted);
  if (no === undefined) {
    reserveAttempt(story, agent, wanted, step, number);
    return;
  }
  story.tell({
    type: 'step.refused',
    data: {
      agent: agent.id,
      step,
      code: no.code,
      message: no.message,
      call: owes.kind === 'tool' ? owes.argsAt : null,
      ...(owes.kind === 'llm' && owes.part !== undefined ? { part: owes.part } : {}),
    },
  });
}

function refuseStep(story: Story, agent: Agent, owes: Step): Refusal | undefined {
  const { limits } = agent.mandate;
  const { now } = story;
  if (story.frozen && owes.kind !== 'analyze') return refusal('SpendingFrozen', 'New spending is frozen by the operator.');
  if (now >= limits.deadlineAt - (isLast(owes) ? 0 : landingMs(agent)))
    return refusal('DeadlineExceeded', 'The deadline of the mandate has passed.');
  if (owes.kind === 'llm' && owes.part?.name !== 'closing' && likelyTokens(owes.promptBytes) > limits.contextTokens) {
    return refusal('ContextBudgetExceeded', `Agent context budget (${limits.contextTokens / 1000}k tokens) exceeded. Simplify subtask.`);
  }
  const short = shortfall(
    { ...agent.mandate, spent: plus(agent.mandate.spent, keptFrom(story, agent, owes)) },
    reservationFor(agent, owes),
  );
  return short === undefined
    ? undefined
    : refusal(
        short.code,
        `The step needs ${short.wanted} ${short.dimension} at worst; ${Math.max(0, short.left)} are left of the mandate.`,
      );
}

/** What a step may not touch: what was put aside, and what a top-up has added and the account has not leased yet. */
function keptFrom(story: Story, agent: Agent, owes: Step): Figures {
  const closing = isLast(owes) ? NONE : agent.granted.closing;
  const { allowance } = story.workflow;
  if (allowance?.waiting !== true || agent.parent !== null || owes.kind !== 'llm') return closing;
  return plus(closing, { ...NONE, moneyMicroUsd: allowance.asked.moneyMicroUsd });
}

/** Whatever ends the work may use what was put aside. */
const isLast = (owes: Step): boolean => owes.kind === 'llm' && (owes.part?.name === 'closing' || owes.part?.name === 'join');

/** So long before its deadline an agent starts nothing but its closing turn. */
export const landingMs = ({ granted, grantedAt, mandate }: Agent): number =>
  granted.closing.modelCalls === 0 ? 0 : Math.min(granted.timing.llmMs, Math.floor((mandate.limits.deadlineAt - grantedAt) / 10));

/** The same step with a shorter answer, when what is left does not reach for the longest. */
function affordable(story: Story, agent: Agent, owes: Step): Step {
  if (owes.kind !== 'llm') return owes;
  if (owes.part?.name === 'closing')
    return { ...owes, maxOutputTokens: Math.min(CLOSING.outputTokens, agent.granted.model.maxOutputTokens) };
  const left = minus(available(agent.mandate), keptFrom(story, agent, owes));
  const { worstPrice, maxOutputTokens } = agent.granted.model;
  const most = owes.maxOutputTokens ?? maxOutputTokens;
  const input = mostTokens(owes.promptBytes, owes.messages);
  const money = left.moneyMicroUsd - costMicroUsd(worstPrice, input, 0);
  const perToken = worstPrice.outputMicroUsdPerMillionTokens;
  const paid = perToken === 0 ? most : Math.floor((money * 1_000_000) / perToken);
  const output = Math.max(Math.min(MIN_OUTPUT_TOKENS, most), Math.min(most, left.tokens - input, paid));
  return output === maxOutputTokens ? owes : { ...owes, maxOutputTokens: output };
}

/** The most that one attempt can cost. */
function reservationFor(agent: Agent, owes: Step): Figures {
  switch (owes.kind) {
    case 'analyze':
      return NONE;
    case 'tool':
      return { ...NONE, toolCalls: 1 };
    case 'llm': {
      if (owes.part?.name === 'closing') return agent.granted.closing;
      const { worstPrice, maxOutputTokens } = agent.granted.model;
      const input = mostTokens(owes.promptBytes, owes.messages);
      const output = owes.maxOutputTokens ?? maxOutputTokens;
      return { moneyMicroUsd: costMicroUsd(worstPrice, input, output), tokens: input + output, modelCalls: 1, toolCalls: 0 };
    }
    default:
      return unreachable(owes);
  }
}

export function reserveAttempt(story: Story, agent: Agent, owes: Step, step: StepId, number: number): void {
  const { timing } = agent.granted;
  const timeoutMs = { analyze: timing.analyzeMs, llm: timing.llmMs, tool: timing.toolMs }[owes.kind];
  const expiresAt = story.now + timing.queueMs;
  story.tell({
    type: 'attempt.reserved',
    data: {
      attempt: attemptId(step, number),
      step,
      agent: agent.id,
      number,
      owes,
      reservation: reservationFor(agent, owes),
      expiresAt,
      timeoutMs,
      deadlineAt: expiresAt + timeoutMs + timing.graceMs,
      bus: story.bus,
    },
  });
}
