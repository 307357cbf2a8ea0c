import type { Casting } from '../workflow/steps.ts';
import { begin, type Dialogue, hear, ours, outcomeOf, owes, promptOf, user } from './dialogue.ts';
import type { Brief, OwedStep, Pattern, PatternOutcome, StepEvent } from './pattern.ts';
import { NOTE_BYTES } from './prompt.ts';

/** One is chosen out of the team, and only that one works: the agent goes on in its role, at the same depth. */
export interface RouterState {
  readonly brief: Brief;
  /** Answers without a usable choice so far. */
  readonly misses: number;
  readonly choosing: boolean;
  readonly chosen?: Casting;
  readonly talk?: Dialogue;
  readonly failure?: { readonly code: string; readonly message: string };
}

const MAX_MISSES = 2;

export const router: Pattern<RouterState> = {
  initial: (brief) => ({ brief, misses: 0, choosing: false, ...(brief.team.length > 1 ? {} : chosen(brief, brief.team[0] ?? brief.self)) }),
  evolve,
  pending,
  outcome: (state): PatternOutcome | undefined => {
    if (state.talk !== undefined) return outcomeOf(state.talk);
    return state.failure === undefined ? undefined : { kind: 'failed', ...state.failure, partialAt: null };
  },
  prompt: (state, part) =>
    part?.name === 'choose'
      ? {
          as: undefined,
          lines: [
            user(
              { of: 'task' },
              ours({ name: 'roster', roles: state.brief.team.map(({ role }) => role) }),
              ours({ name: state.misses === 0 ? 'choose' : 'choose_again' }),
            ),
          ],
          own: ['choose'],
          tools: 'none',
        }
      : promptOf(state.talk ?? begin(state.brief), part, ['delegate', 'consult'], state.chosen),
};

function evolve(state: RouterState, event: StepEvent): RouterState {
  if (event.kind === 'asked' && event.owed.kind === 'llm' && event.owed.part?.name === 'choose') return { ...state, choosing: true };
  if ('part' in event && event.part?.name === 'choose') {
    if (event.kind === 'model_answered') return choice(state, event);
    if (event.kind === 'model_failed')
      return { ...state, choosing: false, failure: { code: event.code, message: 'Nobody could be chosen.' } };
    if (event.kind === 'refused') return { ...state, choosing: false, failure: { code: event.code, message: event.message } };
  }
  if (event.kind === 'raised' && state.failure !== undefined) {
    const { failure: _, ...rest } = state;
    return { ...rest, misses: 0 };
  }
  return state.talk === undefined ? state : { ...state, talk: hear(state.talk, event) };
}

function choice(state: RouterState, event: Extract<StepEvent, { kind: 'model_answered' }>): RouterState {
  const asked = event.calls.find((call) => call.ask?.kind === 'choose')?.ask;
  const to = asked?.kind === 'choose' ? asked.to : null;
  const known = state.brief.team.find(({ role }) => role === to?.role);
  if (known !== undefined) return { ...state, choosing: false, ...chosen(state.brief, known) };
  const misses = state.misses + 1;
  const failure = { code: 'NoCapableAgent', message: `${misses} answers chose nobody of the team.` };
  return { ...state, choosing: false, misses, ...(misses >= MAX_MISSES ? { failure } : {}) };
}

const chosen = (brief: Brief, to: Casting): Pick<RouterState, 'chosen' | 'talk'> => ({
  chosen: to,
  talk: begin({ ...brief, promptBaseBytes: to.baseBytes }),
});

function pending(state: RouterState): readonly OwedStep[] {
  if (state.talk !== undefined) return owes(state.talk, state.chosen);
  if (state.choosing || state.failure !== undefined) return [];
  return [
    {
      kind: 'llm',
      promptBytes: state.brief.promptBaseBytes + state.brief.taskBytes + 2 * NOTE_BYTES,
      messages: 2,
      part: { name: 'choose' },
    },
  ];
}
