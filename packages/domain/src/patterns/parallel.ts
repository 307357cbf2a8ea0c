import { answeredOf, atWork, type Answered, type Crew, crewOf, failedOf, failedWith, hearCrew, sent } from './crew.ts';
import { begin, ours, promptOf, user } from './dialogue.ts';
import type { Brief, OwedStep, Pattern, PatternOutcome, StepEvent } from './pattern.ts';
import { NOTE_BYTES, SUMMARY_BYTES } from './prompt.ts';

/**
 * All at once. Sections: every member of the team takes the task from its side, and one more call joins the results.
 * Votes: several do the same, and the answer that most of them give is the answer.
 */
export interface ParallelState extends Crew {
  readonly brief: Brief;
  readonly join: 'waiting' | 'asked' | PatternOutcome;
}

export const parallel: Pattern<ParallelState> = {
  initial: (brief) => ({ ...crewOf(teamOf(brief)), brief, join: 'waiting' }),
  evolve,
  pending,
  outcome,
  prompt: (state, part) =>
    part?.name !== 'join'
      ? promptOf(begin(state.brief), part, [])
      : {
          as: undefined,
          lines: [
            user({ of: 'task' }),
            user(...answeredOf(state).map(({ child }) => ({ of: 'result', agent: child }) as const), ours({ name: 'join' })),
          ],
          own: [],
          tools: 'none',
        },
};

function teamOf(brief: Brief): Brief['team'] {
  if (votes(brief)) return Array.from({ length: Math.max(2, brief.tuning.votes ?? 3) }, () => brief.self);
  return brief.team.length === 0 ? [brief.self] : brief.team;
}

const votes = (brief: Brief): boolean => brief.tuning.mode === 'votes';

function evolve(state: ParallelState, event: StepEvent): ParallelState {
  if (event.kind === 'asked' && event.owed.kind === 'llm' && event.owed.part?.name === 'join') return { ...state, join: 'asked' };
  if (event.kind === 'model_answered' && event.part?.name === 'join') {
    return { ...state, join: { kind: 'answered', version: event.version, bytes: event.textBytes } };
  }
  if ((event.kind === 'model_failed' || event.kind === 'refused') && event.part?.name === 'join') {
    return { ...state, join: failedWith(state, event.code, 'The results could not be joined.') };
  }
  if (event.kind === 'raised') return raised(state);
  return hearCrew(state, event);
}

/** Enough have answered, or too few can. Undefined while it is open. */
function verdict(state: ParallelState): 'enough' | 'too few' | undefined {
  const all = state.members.length;
  const answered = answeredOf(state).length;
  const failed = failedOf(state).length;
  const need = needed(state);
  if (all - failed < need) return 'too few';
  if (answered + failed === all) return 'enough';
  // Best effort waits for everybody; a quorum does not.
  return state.brief.tuning.policy === 'quorum' && answered >= need ? 'enough' : undefined;
}

function needed({ brief, members }: ParallelState): number {
  const { policy, quorum } = brief.tuning;
  if (policy === 'all') return members.length;
  return policy === 'quorum' ? Math.max(1, Math.min(members.length, quorum ?? Math.floor(members.length / 2) + 1)) : 1;
}

function pending(state: ParallelState): readonly OwedStep[] {
  const decided = verdict(state);
  if (decided !== undefined) {
    const stops = atWork(state).map(({ child }): OwedStep => ({ kind: 'stop', child }));
    if (stops.length > 0) return stops;
    return decided === 'enough' && !votes(state.brief) && state.join === 'waiting' && answeredOf(state).length > 1 ? [joining(state)] : [];
  }
  const heirs = state.members.length + (votes(state.brief) ? 0 : 1);
  return state.members.flatMap((member, place) =>
    member.child === undefined && member.end === undefined ? [sent(state.brief, place, member.to, heirs - place)] : [],
  );
}

const joining = (state: ParallelState): OwedStep => ({
  kind: 'llm',
  promptBytes:
    state.brief.promptBaseBytes +
    state.brief.taskBytes +
    NOTE_BYTES +
    answeredOf(state).reduce((sum, { end }) => sum + Math.min(SUMMARY_BYTES, end.bytes) + NOTE_BYTES, 0),
  messages: 3,
  part: { name: 'join' },
});

function outcome(state: ParallelState): PatternOutcome | undefined {
  if (typeof state.join === 'object') return state.join;
  const decided = verdict(state);
  if (decided === undefined) return undefined;
  const answered = answeredOf(state);
  if (decided === 'too few') {
    return failedWith(
      state,
      'SectionsFailed',
      `${answered.length} of ${state.members.length} parts succeeded; ${needed(state)} were needed.`,
    );
  }
  if (votes(state.brief)) return majority(answered).end;
  return answered.length === 1 ? answered[0]?.end : undefined;
}

/** The answer given most often; of equals the first. */
function majority(answered: readonly Answered[]): Answered {
  const count = (of: Answered): number => answered.filter(({ end }) => end.fingerprint === of.end.fingerprint).length;
  return answered.reduce((best, one) => (count(one) > count(best) ? one : best));
}

function raised(state: ParallelState): ParallelState {
  if (typeof state.join === 'object' && state.join.kind === 'failed') return { ...state, join: 'waiting' };
  if (verdict(state) !== 'too few') return state;
  return { ...state, members: state.members.map((member) => (member.end?.kind === 'failed' ? { to: member.to } : member)) };
}
