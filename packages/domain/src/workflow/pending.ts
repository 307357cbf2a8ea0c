import { type DueReuse, dueReuse, isReusing } from './fork.ts';
import type { OpenAttempt } from './steps.ts';
import type { Allowance, TimerFired } from './events.ts';
import { isOpen, rootOf, stopOf, type Workflow } from './workflow.ts';

/**
 * Everything that is owed to the world now. Recomputed from state: takeover and healing dispatch from here,
 * never from a range of the log.
 */
export interface Pending {
  /** Commands that a worker should have. Sending one again is safe: the claim decides. */
  readonly dispatch: readonly OpenAttempt[];
  /** The answer of its origin that a fork is to be given next. Until its past has ended nothing is dispatched. */
  readonly reuse?: DueReuse;
  /** Attempts whose workers should stop. Repeated until they are settled. */
  readonly stop: readonly OpenAttempt[];
  readonly timers: readonly DueTimer[];
  /** What the account is to be asked for. Asking again gets the same answer. */
  readonly allowance?: Allowance;
}

export interface DueTimer {
  /** Epoch ms. */
  readonly at: number;
  readonly fire: TimerFired;
}

export function pending(workflow: Workflow): Pending {
  if (!isOpen(workflow)) return { dispatch: [], stop: [], timers: [] };
  const attempts = [...workflow.attempts.values()];
  const reusing = isReusing(workflow);
  const reuse = dueReuse(workflow);
  // What was not sent is not late.
  const sent = reusing ? [] : attempts;
  const timers: DueTimer[] = sent.map((attempt) => ({ at: attempt.deadlineAt, fire: { timer: 'attempt', attempt: attempt.id } }));
  for (const step of workflow.steps.values()) {
    if (step.retryAt !== undefined) timers.push({ at: step.retryAt, fire: { timer: 'retry', step: step.id, attempt: step.attempts + 1 } });
  }
  const root = rootOf(workflow);
  if (workflow.phase === 'running' && root !== undefined) timers.push({ at: root.mandate.limits.deadlineAt, fire: { timer: 'workflow' } });
  for (const agent of workflow.agents.values()) {
    if (agent.parent !== null && agent.end === undefined && stopOf(workflow, agent) === undefined)
      timers.push({ at: agent.mandate.limits.deadlineAt, fire: { timer: 'agent', agent: agent.id } });
  }
  const { allowance } = workflow;
  return {
    // Without their content commands cannot be composed any more; the timers settle what nobody answers.
    dispatch: workflow.erasure === undefined ? sent : [],
    stop: workflow.phase === 'ending' ? attempts : attempts.filter((attempt) => isStopped(workflow, attempt)),
    ...(reuse === undefined || workflow.erasure !== undefined ? {} : { reuse }),
    timers: workflow.phase === 'running' ? timers : timers.filter(({ fire }) => fire.timer === 'attempt'),
    ...(allowance?.waiting === true ? { allowance: allowance.asked } : {}),
  };
}

function isStopped(workflow: Workflow, attempt: OpenAttempt): boolean {
  const agent = workflow.agents.get(attempt.agent);
  return agent !== undefined && stopOf(workflow, agent) !== undefined;
}
