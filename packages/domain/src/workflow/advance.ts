import { type AgentId, ROOT_AGENT, stepId } from '../ids.ts';
import { type Decision, unreachable } from '../decider.ts';
import { available, spentTo, WARN_PERCENT } from '../mandate/mandate.ts';
import type { OwedStep, PatternOutcome } from '../patterns/pattern.ts';
import { latestOfWork, outcomeOfWork, owedBy } from '../patterns/patterns.ts';
import { refusal } from '../refusals.ts';
import { reserveOrRefuse } from './attempts.ts';
import { chooseFromAnalysis, fallbackOf } from './choose-pattern.ts';
import { sendChild } from './delegate.ts';
import type { WorkflowEvent } from './events.ts';
import { hasDiverged, isReusing } from './fork.ts';
import { endReuse, endReuseInTime } from './reuse.ts';
import type { AgentEnd, Casting } from './steps.ts';
import type { Story } from './story.ts';
import { type Agent, rootOf, stopOf } from './workflow.ts';

/** More tool calls than this in one model turn are refused one by one. */
export const MAX_CALLS_PER_TURN = 32;

/** Everything that is owed now, in order, until nothing is left to decide. */
export function advance(story: Story, team: readonly Casting[] = []): Decision<WorkflowEvent> {
  endReuseInTime(story);
  goOn(story, team);
  if (hasDiverged(story.workflow)) {
    endReuse(story, 'diverged');
    goOn(story, team);
  }
  return story.end();
}

function goOn(story: Story, team: readonly Casting[]): void {
  if (story.workflow.phase === 'ending') return finish(story);
  const root = rootOf(story.workflow);
  if (story.workflow.phase !== 'running' || root === undefined) return;
  if (root.decision === undefined && root.stopped === undefined) chooseFromAnalysis(story, team);
  for (let moved = true; moved; ) {
    moved = false;
    // Children first: what they bring, their parents go on with.
    for (const id of [...story.workflow.agents.keys()].toReversed()) moved = goOnWith(story, id) || moved;
  }
}

/** @returns whether anything was decided about this agent */
function goOnWith(story: Story, id: AgentId): boolean {
  const agent = story.workflow.agents.get(id);
  if (agent === undefined || agent.end !== undefined || story.workflow.phase !== 'running') return false;
  const stopped = stopOf(story.workflow, agent);
  if (stopped !== undefined) return concludeStopped(story, agent, stopped);
  if (agent.work === undefined) return false;
  return oweSteps(story, id) || conclude(story, id);
}

/** Reserves what the agent's pattern owes. */
function oweSteps(story: Story, id: AgentId): boolean {
  if (story.workflow.allowance?.waiting === true) return false;
  const work = story.workflow.agents.get(id)?.work;
  const owed = work === undefined ? [] : owedBy(work);
  if (owed[0]?.kind === 'llm' && owed[0].part === undefined && warn(story, id)) return true;
  let moved = false;
  for (const [position, step] of owed.entries()) {
    const agent = story.workflow.agents.get(id);
    if (agent === undefined) break;
    moved = takeUp(story, agent, step, position) || moved;
  }
  return moved;
}

/** Before it asks the model again, an agent is told what is left, once for every dimension that is nearly used up. */
function warn(story: Story, id: AgentId): boolean {
  const agent = story.workflow.agents.get(id);
  if (agent === undefined || agent.granted.edition === 1) return false;
  const { deadlineAt } = agent.mandate.limits;
  const late = (story.now - agent.grantedAt) * 100 >= (deadlineAt - agent.grantedAt) * WARN_PERCENT;
  const dimensions = [...spentTo(agent.mandate, WARN_PERCENT), ...(late ? (['time'] as const) : [])].filter(
    (name) => !agent.warned.includes(name),
  );
  if (dimensions.length === 0) return false;
  story.tell({ type: 'mandate.warned', data: { agent: id, dimensions, left: available(agent.mandate) } });
  return true;
}

function takeUp(story: Story, agent: Agent, owed: OwedStep, position: number): boolean {
  const step = stepId(agent.id, agent.stepCount + 1);
  switch (owed.kind) {
    case 'llm':
      reserveOrRefuse(story, agent, owed, step, 1);
      return true;
    case 'tool':
      runTool(story, agent, owed, position);
      return true;
    case 'child':
      sendChild(story, agent, owed);
      return true;
    case 'refuse':
      story.tell({ type: 'step.refused', data: { agent: agent.id, step, code: owed.code, message: owed.message, call: owed.call } });
      return true;
    case 'hand_over': {
      const from = agent.work?.pattern === 'swarm' ? (agent.work.state.held.at(-1)?.role ?? agent.granted.role) : agent.granted.role;
      story.tell({ type: 'agent.handed_over', data: { agent: agent.id, from, to: owed.to, call: owed.call } });
      return true;
    }
    case 'stop':
      return stopChild(story, owed.child);
    default:
      return unreachable(owed);
  }
}

function runTool(story: Story, agent: Agent, owed: Extract<OwedStep, { kind: 'tool' }>, position: number): void {
  const step = stepId(agent.id, agent.stepCount + 1);
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

function stopChild(story: Story, id: AgentId): boolean {
  const child = story.workflow.agents.get(id);
  if (child === undefined || child.end !== undefined || stopOf(story.workflow, child) !== undefined) return false;
  story.tell({
    type: 'agent.stopped',
    data: { agent: id, as: 'cancelled', code: 'NotNeeded', message: 'Its result is not needed any more.' },
  });
  return true;
}

const liveChildren = (story: Story, id: AgentId): readonly Agent[] =>
  [...story.workflow.agents.values()].filter((agent) => agent.parent === id && agent.end === undefined);
/** Also while a step waits for its retry: whoever has ended spends nothing more. */
const isBusy = (story: Story, id: AgentId): boolean => [...story.workflow.steps.values()].some((step) => step.agent === id);

/** Once its pattern has an outcome: children that are not needed are stopped, another pattern is tried, or it ends. */
function conclude(story: Story, id: AgentId): boolean {
  const agent = story.workflow.agents.get(id);
  const outcome = agent?.work === undefined ? undefined : outcomeOfWork(agent.work);
  if (agent === undefined || outcome === undefined) return false;
  const children = liveChildren(story, id);
  if (children.length > 0) return children.map((child) => stopChild(story, child.id)).some(Boolean);
  if (isBusy(story, id)) return false;
  const other = outcome.kind === 'failed' && !OUT_OF_MANDATE.has(outcome.code) ? fallbackOf(agent, outcome.code) : undefined;
  if (other !== undefined) {
    story.tell({ type: 'decision.made', data: other });
    return true;
  }
  if (agent.parent === null) endTask(story, agent, outcome);
  else endChild(story, agent, endOf(outcome));
  return true;
}

/** What ran out, runs out with any pattern. */
const OUT_OF_MANDATE: ReadonlySet<string> = new Set([
  'CostBudgetExceeded',
  'TokenBudgetExceeded',
  'ModelCallBudgetExceeded',
  'ContextBudgetExceeded',
  'DeadlineExceeded',
  'SpendingFrozen',
]);

function endOf(outcome: PatternOutcome): AgentEnd {
  if (outcome.kind === 'answered') {
    const { version: answerAt, bytes, fingerprint } = outcome;
    return { kind: 'answered', answerAt, bytes, ...(fingerprint === undefined ? {} : { fingerprint }) };
  }
  return { kind: 'failed', code: outcome.code, message: failureMessage(outcome), partialAt: outcome.partialAt };
}

function failureMessage(outcome: Extract<PatternOutcome, { kind: 'failed' }>): string {
  return outcome.message ?? `The model could not be asked: ${outcome.code}.`;
}

function endChild(story: Story, agent: Agent, end: AgentEnd): void {
  story.tell({ type: 'agent.ended', data: { agent: agent.id, end, spent: agent.mandate.spent } });
  story.tell({ type: 'mandate.released', data: { agent: agent.id, returned: available(agent.mandate) } });
}

function endTask(story: Story, root: Agent, outcome: PatternOutcome): void {
  // Nothing of its past is owed any more: not by one that is topped up and goes on, either.
  if (isReusing(story.workflow)) endReuse(story, 'run_ended');
  const ended = { spent: root.mandate.spent, steps: story.workflow.stepCount };
  if (outcome.kind === 'answered') story.tell({ type: 'task.completed', data: { ...ended, answerAt: outcome.version } });
  else
    story.tell({
      type: 'task.failed',
      data: { ...ended, code: outcome.code, message: failureMessage(outcome), answerAt: outcome.partialAt },
    });
  releaseRoot(story);
}

function concludeStopped(story: Story, agent: Agent, { as, code, message }: NonNullable<Agent['stopped']>): boolean {
  if (liveChildren(story, agent.id).length > 0 || isBusy(story, agent.id)) return false;
  const partialAt = agent.work === undefined ? null : latestOfWork(agent.work);
  if (agent.parent === null) endTask(story, agent, { kind: 'failed', code, message, partialAt });
  else endChild(story, agent, { kind: as, code, message, partialAt });
  return true;
}

/** `cancelling` until every attempt is settled; then whoever is left ends, the deepest first. */
function finish(story: Story): void {
  const { ending } = story.workflow;
  if (story.workflow.attempts.size > 0 || ending === undefined || rootOf(story.workflow) === undefined) return;
  for (const id of [...story.workflow.agents.keys()].toReversed()) {
    const agent = story.workflow.agents.get(id);
    if (agent === undefined || agent.parent === null || agent.end !== undefined) continue;
    const partialAt = agent.work === undefined ? null : latestOfWork(agent.work);
    endChild(story, agent, { kind: ending.as, code: ending.code, message: ending.message, partialAt });
  }
  const root = rootOf(story.workflow);
  if (root === undefined) return;
  const ended = { spent: root.mandate.spent, steps: story.workflow.stepCount };
  if (ending.as === 'cancelled') story.tell({ type: 'task.cancelled', data: ended });
  else {
    const partialAt = root.work === undefined ? null : latestOfWork(root.work);
    story.tell({ type: 'task.failed', data: { ...ended, code: ending.code, message: ending.message, answerAt: partialAt } });
  }
  releaseRoot(story);
}

function releaseRoot(story: Story): void {
  const root = rootOf(story.workflow);
  if (root !== undefined) story.tell({ type: 'mandate.released', data: { agent: ROOT_AGENT, returned: available(root.mandate) } });
}
