/* Numbers, measures, superlatives and search phrases in a clause. */
import type { Extract, Measure, Part, Pick, Selection } from './file-request.ts';
import { slotOf, type Clause } from './task-clauses.ts';
import { NUMBER_WORDS } from './task-words.ts';

const MEASURE_NOUNS: readonly (readonly [Exclude<Measure['kind'], 'occurrences'>, RegExp])[] = [
  ['lines', /\blines?\b|\bline counts?\b/i],
  ['words', /\bwords\b|\bword counts?\b|\bwordiest\b/i],
  ['characters', /\bcharacters?\b|\bletters\b/i],
  ['size', /\bbytes?\b|\bsizes?\b|\bhow (?:big|large)\b|\b(?:large|bigg|small)est\b|\b(?:larg|bigg|small)er\b/i],
  ['age', /\b(?:new|old)(?:est|er)\b|\brecent(?:ly)?\b|\blatest\b|\blast (?:modified|changed|updated)\b/i],
  ['headings', /\bheadings?\b|\bheaders\b|\bsections?\b/i],
  ['todos', /\bto-?dos?\b|\bfixmes?\b/i],
  ['emails', /\be-?mails?\b/i],
  ['urls', /\burls?\b|\b(?:web |hyper)?links?\b|\bweb ?addresses\b/i],
  ['numbers', /\bnumbers\b|\bdigits\b|\bfigures\b/i],
];

const MENTION_VERB = String.raw`(?:mention(?:s|ing)?|contain(?:s|ing)?|includ(?:es?|ing)|refer(?:s|ring)? to|referenc(?:es?|ing)|talk(?:s|ing)? about|discuss(?:es|ing)?|match(?:es|ing)?)`;
const LOOSE_VERB = String.raw`(?:say(?:s|ing)?|uses?|using|have|has|having|with|about)`;
const BARE_PHRASE = String.raw`[\p{L}\p{N}_'@#$.+-]+(?:\s+[\p{L}\p{N}_'@#$.+-]+){0,3}?`;
const PHRASE_END = String.raw`(?=\s*(?:$|[,?]|\b(?:the most|the least|most|least|more|in|under|inside|within|across|on|at|anywhere|and|or|appear(?:s|ing)?|occur(?:s|ring)?|are|is|how|mentioned|used|found|defined|per|for|by|over|altogether|please|exactly|often|from|of|throughout|file|files|folder)\b))`;
const SLOT = '<[qpxu]\\d+>';
const SLOTS = String.raw`${SLOT}(?:(?:\s*,\s*|\s+(?:and|or)\s+)+${SLOT})*`;
const LABEL =
  '(?:either |both )?(?:the |a |an )?(?:exact )?(?:(?:words?|terms?|phrases?|strings?|text|name|expression|keyword|identifier)\\s+)?';

const PHRASE_FORMS: readonly RegExp[] = [
  new RegExp(String.raw`\b(?:word|term|phrase|string|expression|keyword|identifier|text)s?\s+(${SLOTS})`, 'iu'),
  new RegExp(
    String.raw`\b(?:word|term|phrase|string|keyword|identifier)\s+(?!counts?\b|in\b|of\b|is\b|that\b|and\b|or\b)(${BARE_PHRASE})${PHRASE_END}`,
    'iu',
  ),
  new RegExp(
    String.raw`\b(?:occurrences?|instances?|mentions?|appearances?|uses?|references?)\s+(?:of|to)\s+${LABEL}(${SLOTS}|${BARE_PHRASE})${PHRASE_END}`,
    'iu',
  ),
  new RegExp(
    String.raw`\b(?:how\s+(?:often|many\s+times|frequently)|where|times)\s+(?:(?:do|does|did|is|are|has|have)\s+)?${LABEL}(${SLOTS}|${BARE_PHRASE})\s+(?:been\s+)?(?:appears?|occurs?|mentioned|used|found|shows?\s+up|comes?\s+up|defined)`,
    'iu',
  ),
  new RegExp(
    String.raw`\b(?:do|does|is|are)\s+${LABEL}(${SLOTS}|${BARE_PHRASE})\s+(?:appear|occur|mentioned|used|show\s+up|come\s+up)`,
    'iu',
  ),
  new RegExp(String.raw`\b${LOOSE_VERB}\s+${LABEL}(<q\d+>(?:(?:\s*,\s*|\s+(?:and|or)\s+)+<q\d+>)*)`, 'iu'),
  new RegExp(String.raw`\b${MENTION_VERB}\s+${LABEL}(${SLOTS})`, 'iu'),
  new RegExp(
    String.raw`\b(?:${MENTION_VERB}|uses?|using)\s+${LABEL}(?!no\b|any\b|how\b|which\b|what\b)(${BARE_PHRASE})${PHRASE_END}`,
    'iu',
  ),
  new RegExp(
    String.raw`\b(?:search|grep|look|hunt|scan)\b(?:\s+(?:the|all|every|through|in|files|folder|workspace|everything|<p\d+>))*\s+for\s+${LABEL}(${SLOTS}|${BARE_PHRASE})${PHRASE_END}`,
    'iu',
  ),
  new RegExp(String.raw`\b(?:start|begin)(?:s|ing|ning)?\s+with\s+${LABEL}(${SLOTS}|${BARE_PHRASE})${PHRASE_END}`, 'iu'),
  /\b(?!TODO|FIXME)([A-Z][A-Z0-9_]+)\s+(?:lines|messages|entries)\b/u,
  new RegExp(
    String.raw`\b(?:files?|documents?|docs|pages?|notes?|says?|tells?|written)\s+(?:\w+\s+)?(?:about|regarding|concerning)\s+${LABEL}(${SLOTS}|${BARE_PHRASE})${PHRASE_END}`,
    'iu',
  ),
  new RegExp(String.raw`\bgrep\s+${LABEL}(${SLOTS}|${BARE_PHRASE})${PHRASE_END}`, 'iu'),
  new RegExp(String.raw`(<q\d+>)\s+(?:appears?|occurs?|shows?\s+up|comes?\s+up|is\s+(?:mentioned|used))`, 'iu'),
  new RegExp(String.raw`\btimes\s+(${BARE_PHRASE})\s+(?:appears?|occurs?|is\s+(?:mentioned|used))`, 'iu'),
];

const NOT_A_PHRASE =
  /^(?:(?:the|a|an|sub-?folders?|subdirectories|directories|nested|hidden|paths?|sizes?|dates?|anywhere|everywhere|anything|something|there|here|at|under|most|least|more|fewest|fewer|many|much|any|some|all|its?|them|their|this|that|these|those|each|every|one|two|no|how|which|what|of|in|times?|often|files?|words?|lines?|headings?|sections?|characters?|bytes|to-?dos?|fixmes?|urls?|links?|numbers?|e-?mails?|addresses|e-?mail addresses|markdown|json|names?|folders?|extension|longest|shortest|largest|smallest|same|everything|it|does|do|is|are|comments?|notes)\s*)+$/i;

/** The phrase or phrases that a clause looks for, in the writer's own case. */
export function phrasesIn(clause: Clause): Selection['mentions'] {
  const isNegated = /\b(?:do(?:es)? not|don't|doesn't|without|never|not)\s+(?:mention|contain|include|refer|use|have|say|<q)/i.test(
    clause.words,
  );
  for (const form of PHRASE_FORMS) {
    const found = form.exec(clause.words)?.[1];
    if (found === undefined) continue;
    const marks = found.match(/<[qpxu]\d+>/g);
    if (marks) {
      return { phrases: marks.flatMap((mark) => slotOf(clause, mark)?.text ?? []), needsAll: !/\bor\b/i.test(found), isNegated };
    }
    const phrase = found.trim().replace(/[.']+$/, '');
    if (phrase !== '' && !NOT_A_PHRASE.test(phrase)) return { phrases: [phrase], needsAll: true, isNegated };
  }
  const quoted = clause.words.match(/<q\d+>/g) ?? [];
  return { phrases: quoted.flatMap((mark) => slotOf(clause, mark)?.text ?? []), needsAll: !/\bor\b/i.test(clause.words), isNegated };
}

/** The measures that a clause names, `occurrences` first where it counts a phrase. */
export function measuresIn(clause: Clause, phrases: readonly string[]): Measure[] {
  const words = clause.words;
  const countsPhrase =
    phrases.length > 0 &&
    /\b(?:occurrences?|times|how often|how frequently|instances|most often|most frequently|mentions (?:of|to)|references to|uses of|the most)\b|\bcount\s+(?:the\s+)?(?:word|term|phrase|<q)|\b(?:most|fewest|least|more) mentions\b/i.test(
      words,
    );
  if (countsPhrase) return phrases.map((phrase) => ({ kind: 'occurrences', phrase }));
  const nouns = MEASURE_NOUNS.filter(([, noun]) => noun.test(words)).map(([kind]) => ({ kind }));
  if (nouns.length > 0) return nouns;
  return /\bhow long\b|\b(?:long|short)(?:er|est)\b|\blength\b/i.test(words) ? [{ kind: 'lines' }, { kind: 'words' }] : [];
}

/** What a clause wants taken out of files. */
export function extractsIn(clause: Clause, phrases: readonly string[]): Extract[] {
  const words = clause.words;
  const [phrase] = phrases;
  if (phrase !== undefined && /\b(?:lines?|messages|entries)\b/i.test(words)) {
    const starts = /\b(?:start|begin)(?:s|ning|ing)?\s+with\b/i.test(words);
    return [{ kind: starts ? 'lines-starting-with' : 'lines-with', phrase }];
  }
  const extracts: Extract[] = [];
  if (/\btitles?\b/i.test(words)) extracts.push({ kind: 'title' });
  if (/\bheadings?\b|\bheaders\b|\bsections?\b|\boutline\b|\btable of contents\b/i.test(words)) extracts.push({ kind: 'headings' });
  if (/\bto-?dos?\b|\bfixmes?\b/i.test(words)) extracts.push({ kind: 'todos' });
  if (/\be-?mails?\b/i.test(words)) extracts.push({ kind: 'emails' });
  if (/\burls?\b|\b(?:web |hyper)?links?\b|\bweb ?addresses\b/i.test(words)) extracts.push({ kind: 'urls' });
  if (/\bnumbers\b|\b(?:every|each|any|all) number\b|\bdigits\b|\bfigures\b/i.test(words)) extracts.push({ kind: 'numbers' });
  return extracts;
}

/** "The two longest", "which has most words", "more than 10 lines", "sorted by size". */
export function pickIn(clause: Clause, phrases: readonly string[]): Pick | undefined {
  const words = clause.words
    .replace(/\bat (?:most|least)\b/gi, '')
    .replace(/\bmost (?:informative|important|relevant|interesting)\b/gi, '');
  const bounded = boundIn(clause, phrases);
  if (bounded) return bounded;
  if (/\b(?:sort(?:ed)?|order(?:ed)?|ranked?)\s+by\b/i.test(words)) {
    const [measure] = measuresIn(clause, phrases);
    const direction = /\bascending\b|\b(?:smallest|shortest|oldest|fewest|least) first\b/i.test(words) ? 'least' : 'most';
    return measure && { measure, direction, count: Number.MAX_SAFE_INTEGER };
  }
  if (/\b(?:changed|modified|updated)\s+last\b|\blast\s+(?:changed|modified|updated)\s+files?\b/i.test(words))
    return { measure: { kind: 'age' }, direction: 'most', count: 1 };
  const superlative = SUPERLATIVE.exec(words)?.[1];
  if (superlative === undefined || /\bmore than\b|\bfewer than\b|\bno more\b/i.test(words)) return undefined;
  const direction = LEAST.test(superlative) ? 'least' : 'most';
  const measure = pickMeasure(clause, superlative, phrases);
  return measure && { measure, direction, count: pickCount(words) };
}

const SUPERLATIVE =
  /\b(most|fewest|least|lowest|highest|greatest|longest|shortest|largest|biggest|smallest|wordiest|newest|latest|oldest|more|fewer|longer|shorter|larger|bigger|smaller|newer|older|top (?:\d+|\w+))\b/i;
const LEAST = /^(?:fewest|least|lowest|shortest|smallest|oldest|fewer|less|shorter|smaller|older)$/i;

function boundIn(clause: Clause, phrases: readonly string[]): Pick | undefined {
  const found = /\b(more|fewer|less|larger|bigger|smaller|longer|shorter)\s+than\s+(\d{1,9})\s*(\w+)?/i.exec(clause.words);
  if (!found?.[1]) return undefined;
  const noun = { words: found[3] ?? '', slots: clause.slots };
  const measure =
    /^times|occurrences$/i.test(noun.words) && phrases[0] !== undefined
      ? ({ kind: 'occurrences', phrase: phrases[0] } as const)
      : (measuresIn(noun, [])[0] ?? pickMeasure(clause, found[1], phrases));
  const direction = LEAST.test(found[1]) ? 'least' : 'most';
  return measure && { measure, direction, count: Number.MAX_SAFE_INTEGER, bound: Number(found[2]) };
}

function pickMeasure(clause: Clause, superlative: string, phrases: readonly string[]): Measure | undefined {
  const [phrase] = phrases;
  const isCount = /^(?:most|fewest|least|more|fewer|lowest|highest|greatest|top)/i.test(superlative);
  const measures = measuresIn(clause, phrases);
  const named = measures.find(({ kind }) => kind !== 'occurrences' && kind !== 'age');
  if (/^(?:larg|bigg|small)/i.test(superlative))
    return named && /\b(?:by|in|number of)\s+(?:the\s+)?(?:number of\s+)?(?:lines|words|characters)\b/i.test(clause.words)
      ? named
      : { kind: 'size' };
  if (/^(?:new|old|latest)/i.test(superlative) || /\bmost recent/i.test(clause.words)) return { kind: 'age' };
  if (/^(?:long|short)/i.test(superlative)) return /\bwords\b/i.test(clause.words) ? { kind: 'words' } : { kind: 'lines' };
  if (phrase !== undefined && isCount) return { kind: 'occurrences', phrase };
  return named;
}

function pickCount(words: string): number {
  const numbers = Object.keys(NUMBER_WORDS).join('|');
  const found = new RegExp(
    String.raw`\btop\s+(\d+|${numbers})\b|\b(\d+|${numbers})\s+(?:longest|shortest|largest|biggest|smallest|newest|oldest|wordiest|most)\b|\b(?:longest|shortest|largest|biggest|smallest|newest|oldest)\s+(\d+|${numbers})\b`,
    'i',
  ).exec(words);
  return numberFrom(found?.[1] ?? found?.[2] ?? found?.[3]) ?? 1;
}

/** "First 5 lines", "last line", "lines 3 to 7", else the whole file. */
export function partIn(words: string): Part {
  const range = /\blines?\s+(\d+)\s*(?:-|–|to|through|until|and)\s*(\d+)\b/i.exec(words);
  if (range) return { kind: 'range', from: Number(range[1]), to: Number(range[2]) };
  const ends =
    /\b(first|top|opening|last|final|bottom|closing)\s+(?:(\d+|[a-z]+)\s+)?lines?\b/i.exec(words) ??
    /\b(head|tail|start|beginning|end)\s+of\b/i.exec(words);
  if (ends) {
    const kind = /^(?:last|final|bottom|closing|tail|end)$/i.test(ends[1] ?? '') ? 'last' : 'first';
    return { kind, count: numberFrom(ends[2]) ?? (/\blines\b|\bof\b/i.test(ends[0]) ? 10 : 1) };
  }
  const single = /\bline\s+(?:number\s+)?(\d+)\b/i.exec(words);
  if (single) return { kind: 'range', from: Number(single[1]), to: Number(single[1]) };
  return { kind: 'whole' };
}

/** A number in figures or words. */
export function numberFrom(word: string | undefined): number | undefined {
  if (word === undefined) return undefined;
  const number = /^\d{1,6}$/.test(word) ? Number(word) : NUMBER_WORDS[word.toLowerCase()];
  return number === 0 ? undefined : number;
}
