/* Where clauses begin, and which of them are steps. */
import { COURTESY, INTENT_TERMS, STEP_VERBS, TASK_TYPE_TERMS, type WeightedTerms } from './lexicon.ts';
import { indexTerms } from './match-lexicon.ts';
import type { Token } from './tokens.ts';

/** The clauses of a text, by the index of the token that heads them. */
export interface Clauses {
  readonly heads: ReadonlySet<number>;
  /** Heads that are verbs: each asks for something to be done. */
  readonly steps: readonly number[];
  readonly itemCount: number;
}

const CONNECTORS = new Set(['and', 'then', 'or', 'but', 'afterwards', 'finally', 'plus', 'also', 'after', 'before', 'while', 'once']);
/** "Refactor it to reduce duplication": a head, but a purpose and no further step. */
const PURPOSES = new Set(['to', 'that']);
const STEP_HEADS = verbHeads([...Object.values(INTENT_TERMS), ...Object.values(TASK_TYPE_TERMS)].flat(), STEP_VERBS);

/** Finds the heads of clauses. Appending text never takes one away. */
export function findClauses(tokens: readonly Token[]): Clauses {
  const heads = new Set<number>();
  const steps: number[] = [];
  let isOpen = true;
  let isPurpose = false;
  let itemCount = 0;
  for (const [at, token] of tokens.entries()) {
    if (token.kind === 'item') itemCount += 1;
    if (token.kind === 'stop' || token.kind === 'item' || token.kind === 'comma') {
      isOpen = true;
      isPurpose = false;
      continue;
    }
    if (token.kind !== 'word') {
      isOpen = false;
      continue;
    }
    if (isOpen && COURTESY.has(token.text)) continue;
    if (isOpen) {
      heads.add(at);
      if (STEP_HEADS.has(token.text) && !isPurpose) steps.push(at);
    }
    isPurpose = PURPOSES.has(token.text);
    isOpen = isPurpose || CONNECTORS.has(token.text);
  }
  return { heads, steps, itemCount };
}

function verbHeads(tables: WeightedTerms, more: string): ReadonlySet<string> {
  const headTerms = tables.flatMap(([, list]) => list.split(',').map((term) => term.trim())).filter((term) => term.startsWith('^'));
  const words = [...headTerms, ...more.split(',').map((term) => term.trim())].filter((term) => !term.includes(' '));
  return new Set(indexTerms('step', [[1, words.join(',')]]).keys());
}
