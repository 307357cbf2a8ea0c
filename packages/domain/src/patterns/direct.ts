import { begin, type Dialogue, hear, outcomeOf, owes, promptOf } from './dialogue.ts';
import type { Pattern } from './pattern.ts';

/** One agent and its tool loop, until it answers. */
export const direct: Pattern<Dialogue> = {
  initial: begin,
  evolve: hear,
  pending: (state) => owes(state),
  outcome: outcomeOf,
  prompt: (state, part) => promptOf(state, part, ['delegate', 'consult']),
};
