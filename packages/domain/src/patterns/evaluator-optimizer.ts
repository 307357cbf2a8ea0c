import type { Casting } from '../workflow/steps.ts';
import { answerOf, begin, type Dialogue, hear, ours, outcomeOf, owes, promptOf, remark, type Turn, user } from './dialogue.ts';
import { type Brief, type OwedStep, type Pattern, type PatternOutcome, type Rating, RATINGS, type StepEvent } from './pattern.ts';
import { NOTE_BYTES } from './prompt.ts';

/** It answers, another role rates the answer, and it improves until the rating is good enough. The best one seen is the answer. */
export interface EvaluatorOptimizerState {
  readonly brief: Brief;
  readonly talk: Dialogue;
  readonly rating: boolean;
  readonly rated: readonly Rated[];
  /** No more rating: the rater did not rate, or could not be asked. */
  readonly unrated: boolean;
}

interface Rated {
  readonly turn: Turn;
  readonly rating: Rating;
}

const DEFAULT_REFINEMENTS = 3;
const FEEDBACK_BYTES = 8_000;

export const evaluatorOptimizer: Pattern<EvaluatorOptimizerState> = {
  initial: (brief) => ({ brief, talk: begin(brief), rating: false, rated: [], unrated: false }),
  evolve,
  pending,
  outcome,
  prompt: (state, part) => {
    if (part?.name !== 'rate') return promptOf(state.talk, part, ['delegate', 'consult']);
    const candidate = answerOf(state.talk);
    return {
      as: rater(state.brief),
      lines: [user({ of: 'task' }), user({ of: 'answer', version: candidate?.version ?? 0 }, ours({ name: 'rate' }))],
      own: ['rate'],
      tools: 'none',
    };
  },
};

/** The second of the team rates what the first makes; alone, it rates itself. */
const rater = (brief: Brief): Casting => brief.team.find(({ role }) => role.startsWith('reviewer@')) ?? brief.team[1] ?? brief.self;

function evolve(state: EvaluatorOptimizerState, event: StepEvent): EvaluatorOptimizerState {
  if (event.kind === 'asked' && event.owed.kind === 'llm' && event.owed.part?.name === 'rate') return { ...state, rating: true };
  if ('part' in event && event.part?.name === 'rate') {
    if (event.kind === 'model_answered') return rated(state, event);
    return { ...state, rating: false, unrated: true };
  }
  return { ...state, talk: hear(state.talk, event), ...(event.kind === 'raised' ? { unrated: false } : {}) };
}

function rated(state: EvaluatorOptimizerState, event: Extract<StepEvent, { kind: 'model_answered' }>): EvaluatorOptimizerState {
  const index = event.calls.findIndex((call) => call.ask?.kind === 'rate');
  const ask = event.calls[index]?.ask;
  const turn = answerOf(state.talk);
  if (ask?.kind !== 'rate' || turn === undefined) return { ...state, rating: false, unrated: true };
  const next = { ...state, rating: false, rated: [...state.rated, { turn, rating: ask.rating }] };
  if (isGoodEnough(next, ask.rating) || next.rated.length > refinements(state.brief)) return next;
  const words = [ours({ name: 'improve' }), { of: 'argument', call: { version: event.version, index }, name: 'feedback' }] as const;
  return { ...next, talk: remark(next.talk, words, NOTE_BYTES + FEEDBACK_BYTES) };
}

const refinements = (brief: Brief): number => brief.tuning.refinements ?? DEFAULT_REFINEMENTS;
const isGoodEnough = ({ brief }: EvaluatorOptimizerState, rating: Rating): boolean =>
  RATINGS.indexOf(rating) >= RATINGS.indexOf(brief.tuning.minimumRating ?? 'good');

function pending(state: EvaluatorOptimizerState): readonly OwedStep[] {
  if (outcome(state) !== undefined || state.rating) return [];
  const candidate = answerOf(state.talk);
  if (candidate === undefined) return owes(state.talk);
  const promptBytes = rater(state.brief).baseBytes + state.brief.taskBytes + candidate.textBytes + NOTE_BYTES;
  return [{ kind: 'llm', promptBytes, messages: 3, part: { name: 'rate' } }];
}

function outcome(state: EvaluatorOptimizerState): PatternOutcome | undefined {
  const best = bestOf(state.rated);
  const talk = outcomeOf(state.talk);
  const candidate = answerOf(state.talk);
  if (talk?.kind === 'failed') return { ...talk, partialAt: best?.turn.version ?? talk.partialAt };
  const last = state.rated.at(-1);
  const finished = state.unrated || (last !== undefined && last.turn.version === candidate?.version);
  if (!finished || candidate === undefined) return undefined;
  const { version, textBytes: bytes } = best?.turn ?? candidate;
  return { kind: 'answered', version, bytes };
}

/** Of equally good ones the later: it has heard more. */
const bestOf = (all: readonly Rated[]): Rated | undefined =>
  all.reduce<Rated | undefined>(
    (best, one) => (best === undefined || RATINGS.indexOf(one.rating) >= RATINGS.indexOf(best.rating) ? one : best),
    undefined,
  );
