import { attemptId, type AttemptId, ROOT_AGENT, stepId } from '../ids.ts';
import { type Decision, nothing, unreachable } from '../decider.ts';
import {
  available,
  costMicroUsd,
  DEFAULT_ROOT,
  type Figures,
  likelyTokens,
  type Limits,
  mostTokens,
  NONE,
  ROOT_CEILING,
  shortfall,
} from '../mandate/mandate.ts';
import { direct } from '../patterns/direct.ts';
import type { OwedStep } from '../patterns/pattern.ts';
import { refusal, type Refusal } from '../refusals.ts';
import { backoffMs, RETRY, type RetryPolicy } from '../retry.ts';
import type { AttemptSettled, StepRefused, TaskOptions, WorkflowEvent } from './events.ts';
import type { Circumstances, WorkflowInput } from './inputs.ts';
import type { OpenAttempt, Step } from './steps.ts';
import { type Agent, evolve, isOpen, type OpenStep, rootOf, type Workflow } from './workflow.ts';

/** More tool calls than this in one model turn are refused one by one. */
export const MAX_CALLS_PER_TURN = 32;
/** Patterns that are built; the others are refused by name. */
export const PATTERNS_BUILT = ['direct'] as const;

/**
 * What follows from an input: first the input itself as an event, then its consequences, until nothing more is owed.
 * Pure: the same history and input decide the same, today and in a replay.
 */
export function decide(input: WorkflowInput, workflow: Workflow, circumstances: Circumstances): Decision<WorkflowEvent> {
  const story = new Story(workflow, circumstances);
  switch (input.kind) {
    case 'submit':
      return submit(input, story);
    case 'cancel':
      return cancel(input, story);
    case 'start':
      return start(input, story);
    case 'result':
      return result(input, story);
    case 'attempt_timer':
      return attemptTimer(input.attempt, story);
    case 'retry_timer':
      return retryTimer(input, story);
    case 'workflow_timer':
      return workflowTimer(story);
    case 'bus_reset':
      return busReset(input.incarnation, story);
    default:
      return unreachable(input);
  }
}

/** A decision being written: events so far and the state after them. Lives only inside one call of `decide`. */
class Story {
  readonly events: WorkflowEvent[] = [];
  readonly now: number;
  readonly bus: string;
  workflow: Workflow;

  constructor(workflow: Workflow, circumstances: Circumstances) {
    this.workflow = workflow;
    this.now = Math.max(workflow.at, circumstances.now);
    this.bus = circumstances.bus;
  }

  tell(event: WorkflowEvent): void {
    this.events.push(event);
    this.workflow = evolve(this.workflow, event, this.now);
  }

  end(): Decision<WorkflowEvent> {
    return { kind: 'events', events: this.events };
  }
}

function submit(input: Extract<WorkflowInput, { kind: 'submit' }>, story: Story): Decision<WorkflowEvent> {
  const known = story.workflow.submitted;
  if (known !== undefined) {
    return known.bodyHash === input.bodyHash
      ? nothing('the same request was already accepted')
      : { kind: 'refused', refusal: refusal('IdempotencyConflict', `Request ${input.request} was already used for another task.`) };
  }
  story.tell({
    type: 'task.submitted',
    data: { request: input.request, source: input.source, bodyHash: input.bodyHash, taskBytes: input.taskBytes, options: input.options },
  });
  const no = refuseOptions(
    input.options,
    input.environment.tools.map((tool) => tool.name),
  );
  const terms = input.environment.model;
  if (no !== undefined || terms === null) {
    const { code, message } = no ?? refusal('ModelUnknown', 'options.model names a model that is not in the catalogue.');
    story.tell({ type: 'task.rejected', data: { code, message } });
    return story.end();
  }
  const wanted = input.options.tools;
  story.tell({
    type: 'mandate.granted',
    data: {
      agent: ROOT_AGENT,
      parent: null,
      depth: 0,
      role: input.environment.role,
      limits: rootLimits(input.options, story.now),
      tools: input.environment.tools.filter((tool) => wanted === undefined || wanted.includes(tool.name)),
      catalogHash: input.environment.catalogHash,
      promptBaseBytes: input.environment.promptBaseBytes,
      model: terms,
      timing: input.environment.timing,
    },
  });
  if (input.options.pattern !== undefined) {
    story.tell({
      type: 'decision.made',
      data: { agent: ROOT_AGENT, pattern: input.options.pattern, chosenBy: 'client', reasons: ['options.pattern'] },
    });
  } else {
    const root = rootOf(story.workflow);
    if (root !== undefined) reserveAttempt(story, root, { kind: 'analyze' }, stepId(ROOT_AGENT, 1), 1);
  }
  return advance(story);
}

function refuseOptions(options: TaskOptions, granted: readonly string[]): Refusal | undefined {
  const ceilings = [
    ['maxCostMicroUsd', ROOT_CEILING.moneyMicroUsd],
    ['maxTokens', ROOT_CEILING.tokens],
    ['maxModelCalls', ROOT_CEILING.modelCalls],
    ['maxToolCalls', ROOT_CEILING.toolCalls],
    ['deadlineMs', ROOT_CEILING.deadlineMs],
  ] as const;
  for (const [name, ceiling] of ceilings) {
    const asked = options[name];
    if (asked !== undefined && asked > ceiling)
      return refusal('MandateTooLarge', `options.${name} is ${asked}; the ceiling is ${ceiling}.`);
  }
  if (options.pattern !== undefined && !(PATTERNS_BUILT as readonly string[]).includes(options.pattern)) {
    return refusal('PatternUnknown', `Pattern ${options.pattern} cannot be run; these can: ${PATTERNS_BUILT.join(', ')}.`);
  }
  const foreign = options.tools?.find((tool) => !granted.includes(tool));
  if (foreign !== undefined) return refusal('ToolNotAllowed', 'options.tools names a tool that this tenant was not granted.');
  return undefined;
}

function rootLimits(options: TaskOptions, now: number): Limits {
  return {
    moneyMicroUsd: options.maxCostMicroUsd ?? DEFAULT_ROOT.moneyMicroUsd,
    tokens: options.maxTokens ?? DEFAULT_ROOT.tokens,
    modelCalls: options.maxModelCalls ?? DEFAULT_ROOT.modelCalls,
    toolCalls: options.maxToolCalls ?? DEFAULT_ROOT.toolCalls,
    children: DEFAULT_ROOT.children,
    contextTokens: DEFAULT_ROOT.contextTokens,
    deadlineAt: now + (options.deadlineMs ?? DEFAULT_ROOT.deadlineMs),
  };
}

function cancel(input: Extract<WorkflowInput, { kind: 'cancel' }>, story: Story): Decision<WorkflowEvent> {
  const { phase, ending } = story.workflow;
  if (phase === 'absent') return { kind: 'refused', refusal: refusal('WorkflowUnknown', 'There is no such workflow to cancel.') };
  if (phase === 'cancelled' || ending?.as === 'cancelled') return nothing('it is already cancelled or being cancelled');
  if (!isOpen(story.workflow)) return { kind: 'refused', refusal: refusal('WorkflowEnded', `The workflow is already ${phase}.`) };
  story.tell({ type: 'cancel.requested', data: { request: input.request } });
  return advance(story);
}

function start(input: Extract<WorkflowInput, { kind: 'start' }>, story: Story): Decision<WorkflowEvent> {
  const attempt = story.workflow.attempts.get(input.attempt);
  if (attempt === undefined || story.workflow.phase === 'ending') {
    return { kind: 'refused', refusal: refusal('AttemptNotLive', `Attempt ${input.attempt} is not open for a start.`) };
  }
  if (attempt.runner === input.runner) return nothing('this runner was already allowed to start');
  if (attempt.runner !== undefined) {
    return { kind: 'refused', refusal: refusal('AttemptNotLive', `Attempt ${input.attempt} was started by another runner.`) };
  }
  story.tell({ type: 'attempt.started', data: { attempt: input.attempt, runner: input.runner } });
  return story.end();
}

function result(input: Extract<WorkflowInput, { kind: 'result' }>, story: Story): Decision<WorkflowEvent> {
  const attempt = story.workflow.attempts.get(input.attempt);
  if (attempt === undefined) return lateResult(input, story);
  if (input.answer !== undefined && input.answer.kind !== attempt.owes.kind) {
    return {
      kind: 'refused',
      refusal: refusal('AttemptNotLive', `Attempt ${input.attempt} owes ${attempt.owes.kind}; the answer is about ${input.answer.kind}.`),
    };
  }
  // A worker can lose a call, but only the record says whether one that must not be repeated was started.
  const outcome = input.outcome === 'lost' ? unansweredOutcome(attempt) : input.outcome;
  settleAttempt(story, attempt, { ...input, outcome });
  return advance(story);
}

function lateResult(input: Extract<WorkflowInput, { kind: 'result' }>, story: Story): Decision<WorkflowEvent> {
  if (!story.workflow.unanswered.has(input.attempt) || input.outcome === 'lost' || input.outcome === 'unknown') {
    return nothing('the attempt was already settled');
  }
  const answer = input.answer;
  const llm = answer?.kind === 'llm' ? answer : undefined;
  story.tell({
    type: 'attempt.answered_late',
    data: {
      attempt: input.attempt,
      outcome: input.outcome,
      costMicroUsd: llm?.costMicroUsd ?? 0,
      tokens: llm === undefined ? 0 : llm.usage.inputTokens + llm.usage.outputTokens,
    },
  });
  return story.end();
}

function attemptTimer(id: AttemptId, story: Story): Decision<WorkflowEvent> {
  const attempt = story.workflow.attempts.get(id);
  if (attempt === undefined || story.now < attempt.deadlineAt) return nothing('the attempt is settled or still has time');
  story.tell({ type: 'timer.fired', data: { timer: 'attempt', attempt: id } });
  settleUnanswered(story, attempt);
  return advance(story);
}

function retryTimer(input: Extract<WorkflowInput, { kind: 'retry_timer' }>, story: Story): Decision<WorkflowEvent> {
  const step = story.workflow.steps.get(input.step);
  if (step?.retryAt === undefined || step.attempts + 1 !== input.attempt || story.now < step.retryAt)
    return nothing('that retry is not due');
  story.tell({ type: 'timer.fired', data: { timer: 'retry', step: input.step, attempt: input.attempt } });
  retryNow(story, step);
  return advance(story);
}

function workflowTimer(story: Story): Decision<WorkflowEvent> {
  const root = rootOf(story.workflow);
  if (story.workflow.phase !== 'running' || root === undefined || story.now < root.mandate.limits.deadlineAt)
    return nothing('the workflow still has time');
  story.tell({ type: 'timer.fired', data: { timer: 'workflow' } });
  return advance(story);
}

/** Claims made on the old bus prove nothing: whatever they guarded is lost, unless its start was committed here. */
function busReset(incarnation: string, story: Story): Decision<WorkflowEvent> {
  const exposed = [...story.workflow.attempts.values()].filter((attempt) => attempt.bus !== incarnation && attempt.runner === undefined);
  if (exposed.length === 0) return nothing('no attempt depends on the old bus');
  story.tell({ type: 'bus.reset', data: { incarnation } });
  for (const attempt of exposed) settleUnanswered(story, attempt);
  return advance(story);
}

function settleUnanswered(story: Story, attempt: OpenAttempt): void {
  const outcome = unansweredOutcome(attempt);
  settleAttempt(story, attempt, { outcome });
}

function unansweredOutcome(attempt: OpenAttempt): 'lost' | 'unknown' | 'expired' {
  if (attempt.owes.kind !== 'tool' || attempt.owes.effect !== 'non_idempotent') return 'lost';
  // Its start is committed here before it runs: without that start it never ran, and now never will.
  return attempt.runner === undefined ? 'expired' : 'unknown';
}

type Ended = Pick<Extract<WorkflowInput, { kind: 'result' }>, 'outcome' | 'answer' | 'failure' | 'worker' | 'durationMs'>;

function settleAttempt(story: Story, attempt: OpenAttempt, ended: Ended): void {
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
  if (story.workflow.phase !== 'running') return undefined;
  const policy: RetryPolicy = RETRY[attempt.owes.kind];
  if (attempt.number >= policy.maxAttempts || !mayRepeat(attempt, ended)) return undefined;
  const waitMs = ended.outcome === 'failed' ? backoffMs(policy, attempt.number, attempt.id, ended.failure?.retryAfterMs) : 0;
  const deadline = story.workflow.agents.get(attempt.agent)?.mandate.limits.deadlineAt ?? 0;
  return story.now + waitMs < deadline ? story.now + waitMs : undefined;
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

function retryNow(story: Story, step: OpenStep): void {
  const agent = story.workflow.agents.get(step.agent);
  if (agent !== undefined) reserveOrRefuse(story, agent, step.owes, step.id, step.attempts + 1);
}

/** Everything that is owed now, in order, until nothing is left to decide. */
function advance(story: Story): Decision<WorkflowEvent> {
  const { workflow } = story;
  if (workflow.phase === 'ending') return finish(story);
  const root = rootOf(workflow);
  if (workflow.phase !== 'running' || root === undefined) return story.end();
  if (root.decision === undefined) chooseFromAnalysis(story);
  for (let moved = true; moved; ) moved = oweSteps(story);
  return concludeRoot(story);
}

/** Once the analysis has ended, however it ended. A failed analysis never stops a task. */
function chooseFromAnalysis(story: Story): void {
  if (story.workflow.steps.size > 0) return;
  const settled = story.events.find((event) => event.type === 'attempt.settled' && event.data.final);
  const analysis =
    settled?.type === 'attempt.settled' && settled.data.answer?.kind === 'analyze' ? settled.data.answer.analysis : undefined;
  story.tell({
    type: 'decision.made',
    data:
      analysis === undefined
        ? { agent: ROOT_AGENT, pattern: 'direct', chosenBy: 'default', reasons: ['analysis.unavailable'] }
        : {
            agent: ROOT_AGENT,
            pattern: 'direct',
            chosenBy: 'analysis',
            reasons: [`tier.${analysis.tier}`, `type.${analysis.taskType}`, 'pattern.direct.only_one_built'],
          },
  });
}

/** Reserves what the agents' patterns owe. @returns whether anything was decided. */
function oweSteps(story: Story): boolean {
  let moved = false;
  for (const { id } of [...story.workflow.agents.values()]) {
    const work = story.workflow.agents.get(id)?.work;
    if (work === undefined) continue;
    for (const [position, owed] of direct.pending(work).entries()) {
      const agent = story.workflow.agents.get(id);
      if (agent === undefined) break;
      takeUp(story, agent, owed, position);
      moved = true;
    }
  }
  return moved;
}

function takeUp(story: Story, agent: Agent, owed: OwedStep, position: number): void {
  const step = stepId(agent.id, agent.stepCount + 1);
  if (owed.kind === 'llm') {
    reserveOrRefuse(story, agent, { kind: 'llm', promptBytes: owed.promptBytes, messages: owed.messages }, step, 1);
    return;
  }
  const tool = agent.granted.tools.find((granted) => granted.name === owed.tool);
  const no =
    tool === undefined
      ? refusal('ToolNotAllowed', 'This tool is not in the scope of the mandate.')
      : position >= MAX_CALLS_PER_TURN
        ? refusal('TooManyCallsInOneTurn', `At most ${MAX_CALLS_PER_TURN} tool calls are run per turn.`)
        : undefined;
  if (tool === undefined || no !== undefined) {
    const { code, message } = no ?? refusal('ToolNotAllowed', '');
    story.tell({ type: 'step.refused', data: { agent: agent.id, step, code, message, call: owed.call } });
    return;
  }
  reserveOrRefuse(story, agent, { kind: 'tool', tool: tool.name, effect: tool.effect, argsAt: owed.call }, step, 1);
}

function reserveOrRefuse(story: Story, agent: Agent, owes: Step, step: OpenStep['id'], number: number): void {
  const no = refuseStep(agent, owes, story.now);
  if (no === undefined) {
    reserveAttempt(story, agent, owes, step, number);
    return;
  }
  const call: StepRefused['call'] = owes.kind === 'tool' ? owes.argsAt : null;
  story.tell({ type: 'step.refused', data: { agent: agent.id, step, code: no.code, message: no.message, call } });
}

function refuseStep(agent: Agent, owes: Step, now: number): Refusal | undefined {
  const { limits } = agent.mandate;
  if (now >= limits.deadlineAt) return refusal('DeadlineExceeded', 'The deadline of the mandate has passed.');
  if (owes.kind === 'llm' && likelyTokens(owes.promptBytes) > limits.contextTokens) {
    return refusal('ContextBudgetExceeded', `Agent context budget (${limits.contextTokens / 1000}k tokens) exceeded. Simplify subtask.`);
  }
  const short = shortfall(agent.mandate, reservationFor(agent, owes));
  return short === undefined
    ? undefined
    : refusal(
        short.code,
        `The step needs ${short.wanted} ${short.dimension} at worst; ${Math.max(0, short.left)} are left of the mandate.`,
      );
}

/** The most that one attempt can cost. */
function reservationFor(agent: Agent, owes: Step): Figures {
  switch (owes.kind) {
    case 'analyze':
      return NONE;
    case 'tool':
      return { ...NONE, toolCalls: 1 };
    case 'llm': {
      const { worstPrice, maxOutputTokens } = agent.granted.model;
      const input = mostTokens(owes.promptBytes, owes.messages);
      return {
        moneyMicroUsd: costMicroUsd(worstPrice, input, maxOutputTokens),
        tokens: input + maxOutputTokens,
        modelCalls: 1,
        toolCalls: 0,
      };
    }
    default:
      return unreachable(owes);
  }
}

function reserveAttempt(story: Story, agent: Agent, owes: Step, step: OpenStep['id'], number: number): void {
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

function concludeRoot(story: Story): Decision<WorkflowEvent> {
  const root = rootOf(story.workflow);
  const outcome = root?.work === undefined ? undefined : direct.outcome(root.work);
  if (root === undefined || outcome === undefined || story.workflow.attempts.size > 0) return story.end();
  const ended = { spent: root.mandate.spent, steps: story.workflow.stepCount };
  if (outcome.kind === 'answered') story.tell({ type: 'task.completed', data: { ...ended, answerAt: outcome.version } });
  else
    story.tell({
      type: 'task.failed',
      data: { ...ended, code: outcome.code, message: failureMessage(story, outcome.code), answerAt: outcome.partialAt },
    });
  return release(story);
}

function failureMessage(story: Story, code: string): string {
  const told = story.events.findLast((event) => event.type === 'step.refused');
  return told?.type === 'step.refused' ? told.data.message : `The model could not be asked: ${code}.`;
}

/** `cancelling` until every attempt is settled. */
function finish(story: Story): Decision<WorkflowEvent> {
  const { workflow } = story;
  const root = rootOf(workflow);
  if (workflow.attempts.size > 0 || workflow.ending === undefined || root === undefined) return story.end();
  const ended = { spent: root.mandate.spent, steps: workflow.stepCount };
  if (workflow.ending.as === 'cancelled') story.tell({ type: 'task.cancelled', data: ended });
  else {
    const partialAt = root.work?.turns.at(-1)?.version ?? null;
    story.tell({
      type: 'task.failed',
      data: { ...ended, code: workflow.ending.code, message: workflow.ending.message, answerAt: partialAt },
    });
  }
  return release(story);
}

function release(story: Story): Decision<WorkflowEvent> {
  for (const agent of story.workflow.agents.values()) {
    story.tell({ type: 'mandate.released', data: { agent: agent.id, returned: available(agent.mandate) } });
  }
  return story.end();
}
