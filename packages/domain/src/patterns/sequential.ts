import { answeredOf, type Crew, crewOf, failedOf, failedWith, hearCrew, sent } from './crew.ts';
import type { Brief, OwedStep, Pattern } from './pattern.ts';
import { promptOf, begin } from './dialogue.ts';

/** One after the other: every member of the team works on the task with the result of the one before; the last one answers. */
export interface SequentialState extends Crew {
  readonly brief: Brief;
}

export const sequential: Pattern<SequentialState> = {
  initial: (brief) => ({ ...crewOf(brief.team.length === 0 ? [brief.self] : brief.team), brief }),
  evolve: (state, event) => (event.kind === 'raised' ? again(state) : hearCrew(state, event)),
  pending,
  outcome: (state) => {
    const failed = failedOf(state)[0];
    if (failed?.end?.kind === 'failed') {
      const place = state.members.indexOf(failed) + 1;
      return failedWith(state, 'StageFailed', `Stage ${place} of ${state.members.length} (${failed.to.role}) failed: ${failed.end.code}.`);
    }
    const last = state.members.at(-1)?.end;
    return last?.kind === 'answered' ? last : undefined;
  },
  // It asks no model itself.
  prompt: (state, part) => promptOf(begin(state.brief), part, []),
};

function pending(state: SequentialState): readonly OwedStep[] {
  if (failedOf(state).length > 0) return [];
  const next = state.members.findIndex((member) => member.end === undefined);
  const member = state.members[next];
  if (member === undefined || member.child !== undefined) return [];
  const before = answeredOf(state).at(-1);
  return [sent(state.brief, next, member.to, state.members.length - next, before === undefined ? [] : [before.child])];
}

/** The stage that failed is sent again. */
const again = (state: SequentialState): SequentialState => ({
  ...state,
  members: state.members.map((member) => (member.end?.kind === 'failed' ? { to: member.to } : member)),
});
