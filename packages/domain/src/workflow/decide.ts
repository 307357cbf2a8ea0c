import { type AgentId, type AttemptId, type RequestId, ROOT_AGENT, stepId } from '../ids.ts';
import { type Decision, nothing, unreachable } from '../decider.ts';
import {
  closingReserve,
  DEFAULT_ROOT,
  EDITION_1_CALLS,
  type Limits,
  MAX_AGENTS,
  MAX_DEPTH,
  NONE,
  plus,
  ROOT_CEILING,
} from '../mandate/mandate.ts';
import { NEEDS_CHILDREN } from '../patterns/patterns.ts';
import { refusal, type Refusal, type RefusalCode } from '../refusals.ts';
import { advance } from './advance.ts';
import { reserveAttempt, retryNow, settleAttempt, settleUnanswered, unansweredOutcome } from './attempts.ts';
import type { DelegationTerms, WorkflowEvent } from './events.ts';
import { dueReuse, isReusing, isTooLong, MAX_HOPS } from './fork.ts';
import type { Circumstances, WorkflowInput } from './inputs.ts';
import { endReuse } from './reuse.ts';
import { Story } from './story.ts';
import { isOpen, isUnleased, rootOf, stopOf, type Workflow } from './workflow.ts';

type Submission = Extract<WorkflowInput, { kind: 'submit' | 'fork' }>;

/**
 * What follows from an input: first the input itself as an event, then its consequences, until nothing more is owed.
 * Pure: the same history and input decide the same, today and in a replay.
 */
export function decide(input: WorkflowInput, workflow: Workflow, circumstances: Circumstances): Decision<WorkflowEvent> {
  const story = new Story(workflow, circumstances);
  switch (input.kind) {
    case 'submit':
      return submit(input, story);
    case 'fork':
      return fork(input, story);
    case 'reuse':
      return reuse(input, story);
    case 'end_reuse':
      return reuseLost(input.why, story);
    case 'cancel':
      return cancel(input, story);
    case 'start':
      return start(input, story);
    case 'result':
      return result(input, story);
    case 'top_up':
      return topUp(input, story);
    case 'erase':
      return erase(input, story);
    case 'erased':
      return erased(input.keys, story);
    case 'allowance':
      return allowance(input, story);
    case 'agent_timer':
      return agentTimer(input.agent, story);
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

function submit(input: Extract<WorkflowInput, { kind: 'submit' }>, story: Story): Decision<WorkflowEvent> {
  const repeated = submittedBefore(input, story.workflow);
  if (repeated !== undefined) return repeated;
  story.tell({
    type: 'task.submitted',
    data: { request: input.request, source: input.source, bodyHash: input.bodyHash, taskBytes: input.taskBytes, options: input.options },
  });
  return begin(input, story);
}

/** The past of another run is the beginning of this one. */
function fork(input: Extract<WorkflowInput, { kind: 'fork' }>, story: Story): Decision<WorkflowEvent> {
  const repeated = submittedBefore(input, story.workflow);
  if (repeated !== undefined) return repeated;
  if (input.hops > MAX_HOPS)
    return refused(refusal('ForkTooDeep', `It would be the fork number ${input.hops} in a row; ${MAX_HOPS} may follow each other.`));
  if (isTooLong(input.reuse))
    return refused(refusal('PastTooLong', `${input.reuse.steps.length} steps of the origin were answered up to there.`));
  const { kind: _, environment: __, ...data } = input;
  story.tell({ type: 'task.forked', data });
  return begin(input, story);
}

/** What is said to the same request again, whatever it says now. */
export function submittedBefore(input: Pick<Submission, 'request' | 'bodyHash'>, workflow: Workflow): Decision<never> | undefined {
  const known = workflow.submitted;
  if (known === undefined) return undefined;
  if (workflow.erasure !== undefined) return refused(contentErased());
  return known.bodyHash === input.bodyHash
    ? nothing('the same request was already accepted')
    : refused(refusal('IdempotencyConflict', `Request ${input.request} was already used for another task.`));
}

function begin(input: Submission, story: Story): Decision<WorkflowEvent> {
  const no = refuseOptions(input);
  const terms = input.environment.model;
  if (no !== undefined || terms === null) {
    const { code, message } = no ?? refusal('ModelUnknown', 'options.model names a model that is not in the catalogue.');
    story.tell({ type: 'task.rejected', data: { code, message } });
    return story.end();
  }
  const wanted = input.options.tools;
  const delegation = delegationTerms(input);
  const limits = rootLimits(input, delegation, story.now);
  story.tell({
    type: 'mandate.granted',
    data: {
      agent: ROOT_AGENT,
      parent: null,
      depth: 0,
      role: input.environment.role,
      limits,
      tools: input.environment.tools.filter((tool) => wanted === undefined || wanted.includes(tool.name)),
      catalogHash: input.environment.catalogHash,
      promptBaseBytes: input.environment.promptBaseBytes,
      model: terms,
      timing: input.environment.timing,
      edition: input.environment.edition,
      tier: input.environment.tier,
      errand: null,
      fingerprint: input.environment.fingerprint,
      closing: input.environment.edition === 1 ? NONE : closingReserve(limits, terms.worstPrice),
      delegation,
    },
  });
  if (input.environment.lease) askAllowance(story, limits.moneyMicroUsd);
  if (input.options.pattern !== undefined) {
    story.tell({
      type: 'decision.made',
      data: {
        agent: ROOT_AGENT,
        pattern: input.options.pattern,
        chosenBy: 'client',
        reasons: ['options.pattern'],
        weighed: [],
        alternatives: [],
        team: input.environment.team,
        tuning: input.options.tuning ?? {},
      },
    });
  } else {
    const root = rootOf(story.workflow);
    if (root !== undefined) reserveAttempt(story, root, { kind: 'analyze' }, stepId(ROOT_AGENT, 1), 1);
  }
  return advance(story);
}

/** The origin's next answer, if the fork owes now what the origin owed then. */
function reuse(input: Extract<WorkflowInput, { kind: 'reuse' }>, story: Story): Decision<WorkflowEvent> {
  const due = dueReuse(story.workflow);
  if (due?.attempt.id !== input.attempt || due.at !== input.from.version) return nothing('that answer is not waited for');
  const { attempt } = due;
  if (input.answer !== undefined && input.answer.kind !== attempt.owes.kind) return nothing('the answer is about something else');
  const { from, outcome, answer, failure } = input;
  story.tell({
    type: 'attempt.reused',
    data: {
      attempt: attempt.id,
      step: attempt.step,
      agent: attempt.agent,
      from,
      outcome,
      ...(answer === undefined ? {} : { answer }),
      ...(failure === undefined ? {} : { failure }),
    },
  });
  return advance(story, input.team);
}

function reuseLost(why: Extract<WorkflowInput, { kind: 'end_reuse' }>['why'], story: Story): Decision<WorkflowEvent> {
  if (!isOpen(story.workflow) || !isReusing(story.workflow)) return nothing('nothing is reused');
  endReuse(story, why);
  return advance(story);
}

function refuseOptions({ options, environment }: Pick<Submission, 'options' | 'environment'>): Refusal | undefined {
  const ceilings = [
    ['maxCostMicroUsd', ROOT_CEILING.moneyMicroUsd],
    ['maxTokens', ROOT_CEILING.tokens],
    ['maxModelCalls', ROOT_CEILING.modelCalls],
    ['maxToolCalls', ROOT_CEILING.toolCalls],
    ['deadlineMs', ROOT_CEILING.deadlineMs],
    ['maxDepth', MAX_DEPTH],
    ['maxAgents', MAX_AGENTS.ceiling],
  ] as const;
  for (const [name, ceiling] of ceilings) {
    const asked = options[name];
    if (asked !== undefined && asked > ceiling)
      return refusal('MandateTooLarge', `options.${name} is ${asked}; the ceiling is ${ceiling}.`);
  }
  if (options.pattern !== undefined && options.pattern !== 'direct') {
    if (environment.edition === 1) return refusal('PatternUnknown', `Pattern ${options.pattern} cannot be run; these can: direct.`);
    if (NEEDS_CHILDREN.has(options.pattern) && delegationTerms({ options, environment }).maxDepth === 0)
      return refusal('DelegationDepthExceeded', `Pattern ${options.pattern} sends children, and this task may not delegate.`);
  }
  const granted = environment.tools.map((tool) => tool.name);
  const foreign = options.tools?.find((tool) => !granted.includes(tool));
  if (foreign !== undefined) return refusal('ToolNotAllowed', 'options.tools names a tool that this tenant was not granted.');
  return undefined;
}

/** Whoever says less, client or operator, is right. */
function delegationTerms({ options, environment }: Pick<Submission, 'options' | 'environment'>): DelegationTerms {
  const { maxDepth, maxAgents, deepest } = environment.delegation;
  return {
    maxDepth: Math.min(MAX_DEPTH, maxDepth, options.maxDepth ?? MAX_DEPTH),
    maxAgents: Math.min(maxAgents, options.maxAgents ?? MAX_AGENTS.default),
    deepest,
  };
}

/** What the account is to lease, for as long as anything of it can be spent. */
function askAllowance(story: Story, moneyMicroUsd: number): void {
  const root = rootOf(story.workflow);
  if (root === undefined) return;
  const { timing, model } = root.granted;
  story.tell({
    type: 'allowance.asked',
    data: {
      // The first is for the mandate that the task began with; without one, a top-up is the second.
      number: (story.workflow.allowance?.asked.number ?? (story.workflow.topUps.size > 0 ? 1 : 0)) + 1,
      moneyMicroUsd,
      // An attempt that is reserved at the last moment is settled by then.
      expiresAt: root.mandate.limits.deadlineAt + timing.queueMs + Math.max(timing.llmMs, timing.toolMs) + 2 * timing.graceMs,
      model: model.model,
    },
  });
}

/** More for the root; whatever had run out goes on exactly where it stopped. */
function topUp(input: Extract<WorkflowInput, { kind: 'top_up' }>, story: Story): Decision<WorkflowEvent> {
  const { workflow } = story;
  const root = rootOf(workflow);
  if (root === undefined) return refused(refusal('WorkflowUnknown', 'There is no such workflow to top up.'));
  if (workflow.erasure !== undefined) return refused(contentErased());
  if (workflow.topUps.has(input.request)) return nothing('this top-up was already taken');
  const resumable = workflow.phase === 'failed' && RESUMABLE.has(workflow.failure?.code ?? '') && root.granted.edition > 1;
  if (workflow.phase !== 'running' && !resumable) {
    return refused(
      refusal('NotResumable', `The workflow is ${workflow.phase}${workflow.failure === undefined ? '' : ` (${workflow.failure.code})`}.`),
    );
  }
  if (workflow.phase === 'running' && workflow.allowance?.waiting === true)
    return refused(refusal('NotResumable', 'The account of the tenant has not answered for this workflow yet.'));
  const { limits } = root.mandate;
  const more = plus(limits, input.added);
  const deadlineAt = input.deadlineMs === undefined ? limits.deadlineAt : Math.max(story.now, limits.deadlineAt) + input.deadlineMs;
  const tooMuch = (['moneyMicroUsd', 'tokens', 'modelCalls', 'toolCalls'] as const).find((name) => more[name] > ROOT_CEILING[name]);
  if (tooMuch !== undefined)
    return refused(
      refusal('MandateTooLarge', `The mandate would be ${more[tooMuch]} ${tooMuch}; the ceiling is ${ROOT_CEILING[tooMuch]}.`),
    );
  if (deadlineAt <= story.now) return refused(refusal('DeadlineExceeded', 'The deadline has passed: give more time with deadlineMs.'));
  if (deadlineAt > story.now + ROOT_CEILING.deadlineMs)
    return refused(refusal('MandateTooLarge', `The deadline would be more than ${ROOT_CEILING.deadlineMs} ms from now.`));
  story.tell({ type: 'mandate.topped_up', data: { request: input.request, added: input.added, deadlineAt } });
  if (workflow.allowance !== undefined || input.lease === true) {
    askAllowance(
      story,
      isUnleased(workflow) ? Math.max(0, more.moneyMicroUsd - root.mandate.spent.moneyMicroUsd) : input.added.moneyMicroUsd,
    );
  }
  // It ended before it was known what the task is.
  if (root.decision === undefined && workflow.steps.size === 0)
    reserveAttempt(story, root, { kind: 'analyze' }, stepId(ROOT_AGENT, root.stepCount + 1), 1);
  return advance(story);
}

/** A workflow that ended for one of these has work left that more of it would carry on. */
export const RESUMABLE: ReadonlySet<string> = new Set<RefusalCode>([
  'CostBudgetExceeded',
  'TokenBudgetExceeded',
  'ModelCallBudgetExceeded',
  'DeadlineExceeded',
  'SpendingFrozen',
  'QuotaExceeded',
]);

function allowance(input: Extract<WorkflowInput, { kind: 'allowance' }>, story: Story): Decision<WorkflowEvent> {
  const { workflow } = story;
  const { number, granted, code, message } = input;
  if (!isOpen(workflow) || workflow.allowance?.asked.number !== number || !workflow.allowance.waiting)
    return nothing('that allowance is not waited for');
  const why = { ...(code === undefined ? {} : { code }), ...(message === undefined ? {} : { message }) };
  story.tell({ type: 'allowance.answered', data: { number, granted, ...why } });
  if (!granted && number === 1) failForWant(story, code ?? 'QuotaExceeded', message ?? 'The account of the tenant has nothing left.');
  return advance(story);
}

/** The whole task fails before anything was spent. */
function failForWant(story: Story, code: RefusalCode, message: string): void {
  story.tell({ type: 'agent.stopped', data: { agent: ROOT_AGENT, as: 'failed', code, message } });
}

function agentTimer(id: AgentId, story: Story): Decision<WorkflowEvent> {
  const agent = story.workflow.agents.get(id);
  if (agent === undefined || agent.end !== undefined || stopOf(story.workflow, agent) !== undefined)
    return nothing('the agent has ended or is ending');
  if (story.workflow.phase !== 'running' || story.now < agent.mandate.limits.deadlineAt) return nothing('the agent still has time');
  story.tell({ type: 'timer.fired', data: { timer: 'agent', agent: id } });
  story.tell({
    type: 'agent.stopped',
    data: { agent: id, as: 'failed', code: 'DeadlineExceeded', message: 'The deadline of the agent has passed.' },
  });
  return advance(story);
}

const refused = (no: Refusal): Decision<never> => ({ kind: 'refused', refusal: no });

function rootLimits({ options, environment }: Submission, { maxDepth }: DelegationTerms, now: number): Limits {
  const calls = environment.edition === 1 ? EDITION_1_CALLS : DEFAULT_ROOT;
  return {
    moneyMicroUsd: options.maxCostMicroUsd ?? DEFAULT_ROOT.moneyMicroUsd,
    tokens: options.maxTokens ?? DEFAULT_ROOT.tokens,
    modelCalls: options.maxModelCalls ?? calls.modelCalls,
    toolCalls: options.maxToolCalls ?? calls.toolCalls,
    children: maxDepth === 0 ? 0 : DEFAULT_ROOT.children,
    contextTokens: DEFAULT_ROOT.contextTokens,
    deadlineAt: now + (options.deadlineMs ?? DEFAULT_ROOT.deadlineMs),
  };
}

function cancel(input: Extract<WorkflowInput, { kind: 'cancel' }>, story: Story): Decision<WorkflowEvent> {
  const { phase, ending } = story.workflow;
  if (phase === 'absent') return { kind: 'refused', refusal: refusal('WorkflowUnknown', 'There is no such workflow to cancel.') };
  if (phase === 'cancelled' || ending?.as === 'cancelled') return nothing('it is already cancelled or being cancelled');
  if (!isOpen(story.workflow)) return { kind: 'refused', refusal: refusal('WorkflowEnded', `The workflow is already ${phase}.`) };
  if (input.agent !== undefined) return cancelAgent(input.agent, input.request, story);
  story.tell({ type: 'cancel.requested', data: { request: input.request } });
  return advance(story);
}

/** One child and whoever works for it; its parent hears of it and decides what then. */
function cancelAgent(id: AgentId, request: RequestId, story: Story): Decision<WorkflowEvent> {
  const agent = story.workflow.agents.get(id);
  if (agent === undefined || agent.parent === null) return refused(refusal('WorkflowUnknown', `There is no child ${id} in this workflow.`));
  if (agent.end !== undefined || stopOf(story.workflow, agent) !== undefined) return nothing('the agent has ended or is ending');
  story.tell({ type: 'cancel.requested', data: { request, agent: id } });
  story.tell({ type: 'agent.stopped', data: { agent: id, as: 'cancelled', code: 'Cancelled', message: 'The agent was cancelled.' } });
  return advance(story);
}

/** The run ends, whatever its state; open attempts are settled as in a cancellation, without their words. */
function erase({ request, of }: Extract<WorkflowInput, { kind: 'erase' }>, story: Story): Decision<WorkflowEvent> {
  const { phase, erasure } = story.workflow;
  if (phase === 'absent') return refused(refusal('WorkflowUnknown', 'There is no such workflow to erase.'));
  if (erasure !== undefined) return nothing('it is erased or being erased');
  story.tell({ type: 'erasure.requested', data: { request, of } });
  return advance(story);
}

function erased(keys: number, story: Story): Decision<WorkflowEvent> {
  if (story.workflow.erasure !== 'requested') return nothing('no erasure is waited for');
  story.tell({ type: 'content.erased', data: { keys } });
  return story.end();
}

const contentErased = (): Refusal => refusal('ContentErased', 'The content of this workflow was erased.');

function start(input: Extract<WorkflowInput, { kind: 'start' }>, story: Story): Decision<WorkflowEvent> {
  const attempt = story.workflow.attempts.get(input.attempt);
  const agent = attempt === undefined ? undefined : story.workflow.agents.get(attempt.agent);
  const isOver = story.workflow.phase === 'ending' || isReusing(story.workflow);
  if (attempt === undefined || agent === undefined || isOver || stopOf(story.workflow, agent) !== undefined) {
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
  if (isReusing(story.workflow)) return refused(refusal('AttemptNotLive', `Attempt ${input.attempt} was not sent to anybody.`));
  if (input.answer !== undefined && input.answer.kind !== attempt.owes.kind) {
    return {
      kind: 'refused',
      refusal: refusal('AttemptNotLive', `Attempt ${input.attempt} owes ${attempt.owes.kind}; the answer is about ${input.answer.kind}.`),
    };
  }
  // A worker can lose a call, but only the record says whether one that must not be repeated was started.
  const outcome = input.outcome === 'lost' ? unansweredOutcome(attempt) : input.outcome;
  settleAttempt(story, attempt, { ...input, outcome });
  return advance(story, input.team);
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
