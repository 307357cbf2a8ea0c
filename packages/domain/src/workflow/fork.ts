import type { AgentId, StepId } from '../ids.ts';
import { refusal, type Refusal } from '../refusals.ts';
import type { ForkChange, ReusableStep, TaskForked, WorkflowEvent } from './events.ts';
import type { Environment } from './inputs.ts';
import type { OpenAttempt, Step } from './steps.ts';
import { rootOf, type Workflow } from './workflow.ts';

/** A fork of a fork of a fork is the last. */
export const MAX_HOPS = 3;
/** The steps of a past, as JSON: with all that stands beside them in their event they fit into one message of the bus (1 MiB). */
const MAX_PAST_BYTES = 900_000;

/** Whether a fork still lives its origin's past: nothing is sent to anybody. */
export const isReusing = ({ forked }: Workflow): boolean => forked !== undefined && forked.ended === undefined;

/** The answer of the origin that is due. */
export interface DueReuse {
  readonly attempt: OpenAttempt;
  /** The version of the origin's event that holds it. */
  readonly at: number;
}

/**
 * What of a run can be reused up to a version: the settlement that ended each step, in the order in which they came. Timers
 * and retries in between are not. What has not answered is no answer: an effect that may or may not have happened, a call
 * that was stopped or that nobody took. It ends the list.
 * @param events the whole stream, from its first
 */
export function reusableSteps(events: readonly WorkflowEvent[], upTo: number): Pick<TaskForked['reuse'], 'steps' | 'until'> {
  const owed = new Map<string, Step>();
  const steps: ReusableStep[] = [];
  const parents = new Map<AgentId, AgentId | null>();
  const spared = new Set<AgentId>();
  const isSpared = (agent: AgentId): boolean => {
    for (let id: AgentId | null = agent; id !== null; id = parents.get(id) ?? null) if (spared.has(id)) return true;
    return false;
  };
  for (const [index, event] of events.slice(0, upTo).entries()) {
    if (event.type === 'attempt.reserved') owed.set(event.data.attempt, event.data.owes);
    if (event.type === 'mandate.granted') parents.set(event.data.agent, event.data.parent);
    // That it is not needed any more follows from answers alone: a fork stops it, and whoever works for it, too.
    if (event.type === 'agent.stopped' && event.data.code === 'NotNeeded') spared.add(event.data.agent);
    const isLast = event.type === 'attempt.reused' || (event.type === 'attempt.settled' && event.data.final);
    if (!isLast) continue;
    const { attempt, step, agent, outcome } = event.data;
    if (outcome === 'lost' || outcome === 'unknown') return { steps, until: 'unanswered' };
    if ((outcome === 'cancelled' || outcome === 'expired') && !isSpared(agent)) return { steps, until: 'unanswered' };
    const owes = owed.get(attempt);
    if (owes !== undefined) steps.push({ step, version: index + 1, ...factsOf(owes) });
  }
  return { steps, until: 'fork_point' };
}

export const isTooLong = ({ steps }: TaskForked['reuse']): boolean => JSON.stringify(steps).length > MAX_PAST_BYTES;

function factsOf(owes: Step): Omit<ReusableStep, 'step' | 'version'> {
  if (owes.kind === 'tool') return { kind: owes.kind, tool: owes.tool, argsAt: owes.argsAt };
  return owes.kind === 'llm' && owes.part !== undefined ? { kind: owes.kind, part: owes.part.name } : { kind: owes.kind };
}

/** In what a fork differs from its origin. */
export function forkChanges(
  origin: Workflow,
  { environment, options, task }: { readonly environment: Environment; readonly options: TaskForked['options']; readonly task: boolean },
): readonly ForkChange[] {
  const root = rootOf(origin);
  const granted = (root?.granted.tools ?? []).map(({ name }) => name).toSorted();
  const offered = environment.tools.map(({ name }) => name).filter((name) => options.tools?.includes(name) ?? true);
  const before = origin.submitted?.options ?? {};
  const mandate = ['maxCostMicroUsd', 'maxTokens', 'maxModelCalls', 'maxToolCalls', 'deadlineMs', 'maxDepth', 'maxAgents'] as const;
  return [
    ...(task ? (['task'] as const) : []),
    ...(root === undefined || root.granted.model.model === environment.model?.model ? [] : (['model'] as const)),
    ...(mandate.every((name) => before[name] === options[name]) ? [] : (['mandate'] as const)),
    ...(before.pattern === options.pattern ? [] : (['pattern'] as const)),
    ...(root === undefined || granted.join() === offered.toSorted().join() ? [] : (['tools'] as const)),
    ...(root === undefined || root.granted.catalogHash === environment.catalogHash ? [] : (['tool_versions'] as const)),
  ];
}

/** The open attempt that the next of the origin's answers is for; undefined while none is, and once reuse has ended. */
export function dueReuse(workflow: Workflow): DueReuse | undefined {
  const { forked } = workflow;
  const next = forked?.data.reuse.steps[forked.versions.size];
  if (forked === undefined || !isReusing(workflow) || workflow.phase !== 'running' || next === undefined) return undefined;
  const attempt = [...workflow.attempts.values()].find(({ step }) => step === next.step);
  return attempt !== undefined && isSame(forked.versions, next, attempt.owes) ? { attempt, at: next.version } : undefined;
}

/** Whether it does not owe now what its origin was answered next. While the account is waited for, nobody can tell. */
export function hasDiverged(workflow: Workflow): boolean {
  const waits = workflow.allowance?.waiting === true;
  return isReusing(workflow) && workflow.phase === 'running' && !waits && dueReuse(workflow) === undefined;
}

/**
 * The effect firewall: a fork does nothing to the world but read, unless it was allowed by name. While its past is reused it
 * may owe what its origin was answered: that is answered from there and never sent.
 */
export function refuseEffect(workflow: Workflow, step: StepId, owes: Step): Refusal | undefined {
  const { forked } = workflow;
  if (forked === undefined || owes.kind !== 'tool' || owes.effect === 'read_only') return undefined;
  const { firewall, reuse } = forked.data;
  if (firewall.allowed.includes(owes.tool)) return undefined;
  const left = isReusing(workflow) ? reuse.steps.slice(forked.versions.size) : [];
  if (left.some((next) => next.step === step && isSame(forked.versions, next, owes))) return undefined;
  return refusal('EffectNotAllowedInFork', `${owes.tool} changes the world, and this run is a fork that may not call it.`);
}

/** Whether a step owes what its origin owed there. Models, prices, tool versions and lengths may differ. */
function isSame(versions: ReadonlyMap<number, number>, origin: ReusableStep, owes: Step): boolean {
  if (origin.kind !== owes.kind) return false;
  if (owes.kind === 'llm') return origin.part === owes.part?.name;
  if (owes.kind !== 'tool' || origin.argsAt === undefined) return true;
  const { version, index } = owes.argsAt;
  return origin.tool === owes.tool && versions.get(origin.argsAt.version) === version && origin.argsAt.index === index;
}
