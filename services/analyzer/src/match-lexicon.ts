/* Terms of the lexicon found in tokens. Linear: each word looks up the terms it may begin. */
import { CONDITIONS, type WeightedTerms } from './lexicon.ts';
import type { Token } from './tokens.ts';

/** One term of the lexicon, ready to be matched. */
interface Term {
  readonly ruleId: string;
  readonly words: readonly string[];
  readonly weight: number;
  readonly headOnly: boolean;
}

/** Terms by their first word. */
export type TermIndex = ReadonlyMap<string, readonly Term[]>;

/** A term in a text. */
export interface TermMatch {
  readonly ruleId: string;
  readonly weight: number;
  readonly start: number;
  readonly end: number;
  readonly isHead: boolean;
}

/** Times that one rule counts in one text. */
const MATCHES_PER_RULE = 3;

/** Words after which a word is a name or a quotation, not a statement. */
const NAMING = new Set(['mention', 'mentions', 'mentioning', 'word', 'named', 'called', 'titled']);
const PLACING = new Set(['in', 'under', 'inside', 'within', 'below']);
const PLACE_NAMES = new Set([
  'docs',
  'test',
  'tests',
  'build',
  'design',
  'code',
  'scripts',
  'app',
  'server',
  'backend',
  'frontend',
  'logs',
  'data',
]);

/** Builds the index of a table of terms. */
export function indexTerms(table: string, terms: WeightedTerms): TermIndex {
  const index = new Map<string, Term[]>();
  for (const [weight, list] of terms) {
    for (const written of list.split(',').map((term) => term.trim())) {
      for (const words of formsOf(written.replace('^', ''))) {
        const [first = ''] = words;
        const term = {
          ruleId: `${table}.${written.replace(/[\^~]/g, '').replaceAll(' ', '-')}`,
          words,
          weight,
          headOnly: written.startsWith('^'),
        };
        index.set(first, [...(index.get(first) ?? []), term]);
      }
    }
  }
  return index;
}

/** Every term in a text; where several begin at one word, the longest, then the heaviest. */
export function matchTerms(tokens: readonly Token[], heads: ReadonlySet<number>, index: TermIndex): TermMatch[] {
  const matches: TermMatch[] = [];
  const seen = new Map<string, number>();
  for (let at = 0; at < tokens.length; at += 1) {
    const token = tokens[at];
    const candidates = token?.kind === 'word' ? index.get(token.text) : undefined;
    if (token === undefined || candidates === undefined || isName(tokens, at)) continue;
    const best = bestTerm(tokens, at, heads.has(at), candidates);
    if (!best) continue;
    const times = (seen.get(best.ruleId) ?? 0) + 1;
    seen.set(best.ruleId, times);
    if (times > MATCHES_PER_RULE) continue;
    const last = tokens[at + best.words.length - 1] ?? token;
    matches.push({ ruleId: best.ruleId, weight: best.weight / times, start: token.start, end: last.end, isHead: heads.has(at) });
  }
  return matches;
}

/** True where one of the words stands before, at most so many words away. */
export function comesAfter(tokens: readonly Token[], start: number, words: ReadonlySet<string>, distance: number): boolean {
  const at = tokens.findIndex((token) => token.start === start);
  return tokens.slice(Math.max(0, at - distance), at).some(({ kind, text }) => kind === 'word' && words.has(text));
}

/** True where an "if" stands before, in the same sentence. */
export function isConditional(tokens: readonly Token[], start: number): boolean {
  const at = tokens.findIndex((token) => token.start === start);
  for (let before = at - 1; before >= 0 && tokens[before]?.kind !== 'stop' && tokens[before]?.kind !== 'item'; before -= 1) {
    const token = tokens[before];
    if (token?.kind === 'word' && CONDITIONS.has(token.text)) return true;
  }
  return false;
}

function bestTerm(tokens: readonly Token[], at: number, isHead: boolean, candidates: readonly Term[]): Term | undefined {
  let best: Term | undefined;
  for (const term of candidates) {
    if (term.headOnly && !isHead) continue;
    const fits = term.words.every((word, offset) => tokens[at + offset]?.kind === 'word' && tokens[at + offset]?.text === word);
    if (!fits) continue;
    if (!best || term.words.length > best.words.length || (term.words.length === best.words.length && term.weight > best.weight))
      best = term;
  }
  return best;
}

function isName(tokens: readonly Token[], at: number): boolean {
  const [before, earlier] = [tokens[at - 1], tokens[at - 2]];
  if (before?.kind !== 'word') return false;
  if (NAMING.has(before.text)) return true;
  const isPlaced = PLACING.has(before.text) || (before.text === 'the' && earlier !== undefined && PLACING.has(earlier.text));
  return isPlaced && PLACE_NAMES.has(tokens[at]?.text ?? '');
}

/** `fix~` → fix, fixes, fixed, fixing; the mark may stand on any word of a term. */
function formsOf(term: string): string[][] {
  const words = term.split(/[\s/]+/);
  const marked = words.findIndex((word) => word.endsWith('~'));
  if (marked < 0) return [words];
  return verbForms((words[marked] ?? '').slice(0, -1)).map((form) => words.with(marked, form));
}

function verbForms(verb: string): string[] {
  const last = verb.slice(-1);
  if (last === 'e') return [verb, `${verb}s`, `${verb}d`, `${verb.slice(0, -1)}ing`];
  if (/[^aeiou]y$/.test(verb)) return [verb, `${verb.slice(0, -1)}ies`, `${verb.slice(0, -1)}ied`, `${verb}ing`];
  const stems = /[^aeiou][aeiou][bdgmnprt]$/.test(verb) ? [verb, verb + last] : [verb];
  const plural = /(?:s|x|z|ch|sh)$/.test(verb) ? `${verb}es` : `${verb}s`;
  return [verb, plural, ...stems.flatMap((stem) => [`${stem}ed`, `${stem}ing`])];
}
