import { settleAttempt } from './attempts.ts';
import type { ReuseEnded } from './events.ts';
import { isReusing, refuseEffect } from './fork.ts';
import type { Story } from './story.ts';
import { stopOf } from './workflow.ts';

/** Before anything is decided about what comes next: whether the past that is reused ends here. */
export function endReuseInTime(story: Story): void {
  const { forked, phase } = story.workflow;
  if (forked === undefined || !isReusing(story.workflow)) return;
  if (phase === 'ending') endReuse(story, 'run_ended');
  else if (forked.versions.size >= forked.data.reuse.steps.length) endReuse(story, forked.data.reuse.until);
}

/** Everything is live from here. What was reserved for an answer of the origin and may not run now never ran: nothing was sent. */
export function endReuse(story: Story, why: ReuseEnded['why']): void {
  story.tell({ type: 'reuse.ended', data: { why, reused: story.workflow.forked?.versions.size ?? 0 } });
  for (const attempt of story.workflow.attempts.values()) {
    const agent = story.workflow.agents.get(attempt.agent);
    const isStopped = story.workflow.phase === 'ending' || (agent !== undefined && stopOf(story.workflow, agent) !== undefined);
    if (isStopped || refuseEffect(story.workflow, attempt.step, attempt.owes) !== undefined)
      settleAttempt(story, attempt, { outcome: 'expired', failure: { code: 'expired', retryable: true, billed: 'no' } });
  }
}
