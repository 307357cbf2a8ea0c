import type { OpenAttempt } from './steps.ts';
import type { TimerFired } from './events.ts';
import { isOpen, rootOf, type Workflow } from './workflow.ts';

/**
 * Everything that is owed to the world now. Recomputed from state: takeover and healing dispatch from here,
 * never from a range of the log.
 */
export interface Pending {
  /** Commands that a worker should have. Sending one again is safe: the claim decides. */
  readonly dispatch: readonly OpenAttempt[];
  /** Attempts whose workers should stop. Repeated until they are settled. */
  readonly stop: readonly OpenAttempt[];
  readonly timers: readonly DueTimer[];
}

export interface DueTimer {
  /** Epoch ms. */
  readonly at: number;
  readonly fire: TimerFired;
}

export function pending(workflow: Workflow): Pending {
  if (!isOpen(workflow)) return { dispatch: [], stop: [], timers: [] };
  const attempts = [...workflow.attempts.values()];
  const timers: DueTimer[] = attempts.map((attempt) => ({ at: attempt.deadlineAt, fire: { timer: 'attempt', attempt: attempt.id } }));
  for (const step of workflow.steps.values()) {
    if (step.retryAt !== undefined) timers.push({ at: step.retryAt, fire: { timer: 'retry', step: step.id, attempt: step.attempts + 1 } });
  }
  const root = rootOf(workflow);
  if (workflow.phase === 'running' && root !== undefined) timers.push({ at: root.mandate.limits.deadlineAt, fire: { timer: 'workflow' } });
  return { dispatch: attempts, stop: workflow.phase === 'ending' ? attempts : [], timers };
}
