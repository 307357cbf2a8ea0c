/*
 * From a task's words to requests about files.
 *
 * Cues are looked for anywhere in a clause, so word order is free. The first cue in
 * the order compare, pick, count, summarise, field, extract, read, find, list decides
 * the action. A clause that begins with a verb beyond reading is refused, whatever
 * else it says. A clause without an action joins the next one ("In docs, which …").
 */
import type { Action, FileRequest, Measure, Selection } from './file-request.ts';
import { slotOf, splitTask, type Clause } from './task-clauses.ts';
import { BEYOND_READING, BEYOND_RULES } from './task-words.ts';
import { extractsIn, measuresIn, numberFrom, partIn, phrasesIn, pickIn } from './understand-measure.ts';
import { selectionIn } from './understand-selection.ts';

/** One clause of a task: a request, or words that ask for something else. */
export type Understood =
  | { readonly kind: 'request'; readonly request: FileRequest; readonly words: string; readonly budgetMicroUsd?: number }
  | { readonly kind: 'beyond'; readonly words: string }
  | { readonly kind: 'unclear'; readonly words: string };

/** A task longer than this is not for rules. In characters. */
export const MAX_TASK_LENGTH = 2000;

/** Clauses that one task may have. */
const MAX_CLAUSES = 8;

/** Understands a task clause by clause, in order. */
export function understandTask(task: string): Understood[] {
  if (task.length > MAX_TASK_LENGTH) return [{ kind: 'unclear', words: `a task of ${task.length} characters` }];
  const parts: Understood[] = [];
  let opening = '';
  for (const clause of splitTask(task)) {
    if (opening === '' && parts.length > 0 && ALREADY_SAID.test(clause.words)) continue;
    const joined = { ...clause, words: opening === '' ? clause.words : `${opening}, ${clause.words}` };
    const part = matchingLines(clause, parts) ?? understandClause(clause, joined);
    opening = part.kind === 'unclear' && mayOpen(clause) ? joined.words : '';
    if (opening === '') parts.push(part);
    if (parts.length > MAX_CLAUSES) return [{ kind: 'unclear', words: `a task of more than ${MAX_CLAUSES} parts` }];
  }
  if (opening !== '') parts.push({ kind: 'unclear', words: plainWords({ words: opening, slots: splitTask(task)[0]?.slots ?? [] }) });
  return withoutPreparation(parts);
}

/** Listings and extracts are counted anyway, so these clauses owe nothing further. */
const ALREADY_SAID =
  /^(?:how many (?:there are|are there|they are|you found|were found)|what (?:it|they) contains?)(?: in total| altogether)?$/i;

/** "… and quote the matching lines": the lines with what the clause before looked for. */
function matchingLines(clause: Clause, parts: readonly Understood[]): Understood | undefined {
  if (!/\b(?:matching|those|these|the relevant) lines\b/i.test(clause.words)) return undefined;
  const earlier = parts.findLast((part) => part.kind === 'request');
  const phrases = earlier?.request.selection.mentions.phrases ?? [];
  if (earlier === undefined || phrases.length === 0) return undefined;
  const extracts = phrases.map((phrase) => ({ kind: 'lines-with', phrase }) as const);
  const selection: Selection = {
    places: [],
    refersBack: true,
    depth: 'unsaid',
    extensions: [],
    names: [],
    mentions: { phrases: [], needsAll: true, isNegated: false },
  };
  return { kind: 'request', request: { selection, action: { kind: 'extract', extracts } }, words: plainWords(clause) };
}

function understandClause(clause: Clause, joined: Clause): Understood {
  const words = plainWords(joined);
  const head = /^[\p{L}'-]+/u.exec(clause.words)?.[0]?.toLowerCase() ?? '';
  if (BEYOND_READING.has(head) || /^(?:why|should)\b/i.test(clause.words)) return { kind: 'beyond', words };
  if (BEYOND_RULES.some((cue) => cue.test(clause.words))) return { kind: 'beyond', words };
  const request = requestIn(joined);
  const { budgetMicroUsd } = clause;
  return request
    ? { kind: 'request', request, words, ...(budgetMicroUsd !== undefined && { budgetMicroUsd }) }
    : { kind: 'unclear', words };
}

/** Only words that name a place or files may open the next clause. */
function mayOpen(clause: Clause): boolean {
  return /<p\d+>|<q\d+>|\b(?:files?|folder|directory|workspace|under|in|inside)\b/i.test(clause.words) || /^[a-z]+$/i.test(clause.words);
}

/** "Read a.md and count its words": the reading only serves the counting. */
function withoutPreparation(parts: readonly Understood[]): Understood[] {
  return parts.flatMap((part, index) => {
    const next = parts[index + 1];
    if (part.kind !== 'request' || next?.kind !== 'request') return [part];
    const { action, selection } = part.request;
    const servesNext = action.kind === 'read' && action.part.kind === 'whole' && pointsBack(next.request.selection);
    if (!servesNext) return [part];
    return selection.pick === undefined ? [{ ...part, request: { selection, action: { kind: 'measure', measures: [] } } }] : [part];
  });
}

/** True where a selection names nothing itself. */
export function pointsBack(selection: Selection): boolean {
  const namesNothing = selection.places.length === 0 && selection.names.length === 0 && selection.extensions.length === 0;
  return selection.refersBack ? selection.places.every(({ expects }) => expects === 'either') : namesNothing;
}

function plainWords(clause: Clause): string {
  return clause.words.replace(/<([qpxu])\d+>/g, (mark, letter: string) => {
    const text = slotOf(clause, mark)?.text ?? mark;
    return letter === 'q' ? `"${text}"` : text;
  });
}

function requestIn(clause: Clause): FileRequest | undefined {
  const field = jsonFieldIn(clause);
  if (field) return { selection: selectionFor(clause, [field], { kind: 'json-field', field }), action: { kind: 'json-field', field } };
  const isAboutNames =
    /\bnam(?:e|es|ed)\b[^<]*\b(?:contain|includ|start|begin|end|match|like|has)\w*|\bin\s+(?:the|their|its)\s+(?:file\s*)?names?\b|\b(?:named|called)\b/i.test(
      clause.words,
    );
  const mentions = isAboutNames ? { phrases: [], needsAll: true, isNegated: false } : phrasesIn(clause);
  const action = actionIn(clause, mentions.phrases);
  if (action === undefined) return undefined;
  const pick = action.kind === 'compare' ? undefined : pickIn(clause, mentions.phrases);
  const selection = selectionFor(clause, mentions.phrases, action);
  const counted = pick?.measure.kind === 'occurrences' || usesPhrase(action);
  const keeps = counted ? { phrases: [], needsAll: true, isNegated: false } : mentions;
  return { action, selection: { ...selection, mentions: keeps, ...(pick && { pick }) } };
}

function selectionFor(clause: Clause, taken: readonly string[], action: Action): Selection {
  const isFind = (action.kind === 'list' && /^(?:find|locate|search|where)\b/i.test(clause.words)) || /^where\b/i.test(clause.words);
  const selection = selectionIn(clause, taken, isFind ? 'find' : 'other');
  return { ...selection, mentions: { phrases: [], needsAll: true, isNegated: false } };
}

function usesPhrase(action: Action): boolean {
  if (action.kind === 'measure') return action.measures.some(({ kind }) => kind === 'occurrences');
  return action.kind === 'extract' && action.extracts.some((extract) => 'phrase' in extract);
}

function actionIn(clause: Clause, phrases: readonly string[]): Action | undefined {
  const { words } = clause;
  const isShow =
    !/\bcontents?\s+of\s+(?:the\s+)?\S+\s+(?:folder|directory)\b/i.test(words) &&
    /^(?:show|display|print|read|open|cat|view|quote|output|give|what does|what do)\b|\bcontents?\s+of\b|\bwhat(?:'s| is)\s+in\b|\bfull text\b/i.test(
      words,
    );
  if (isComparison(words)) return { kind: 'compare' };
  if (phrases.length > 0 && /^(?:do|does|is|are)\b(?! there\b)|\b(?:say|says|tell|tells|written)\s+(?:\w+\s+)?about\b/i.test(words)) {
    return { kind: 'extract', extracts: phrases.map((phrase) => ({ kind: 'lines-with', phrase })) };
  }
  const summary =
    /\bsummar|\boverview\b|\bgist\b|\btl;?dr\b|\bkey (?:points|ideas)\b|\bwhat\b.*\babout\b|^describe\b|\bin a nutshell\b|\bmain points\b|^about\b/i;
  if (summary.test(words)) return { kind: 'summarise', sentences: sentencesWanted(words) };
  const isPick = pickIn(clause, phrases) !== undefined;
  if (isPick) return pickedAction(clause, phrases, isShow);
  const counting =
    /\bhow (?:many|long|often|frequently|big|large)\b|\bcount(?:s|ed)?\b|\b(?:total )?number of\b|\btotal\b|\bsizes?\b|\bhow much\b|\bword counts?\b/i.test(
      words,
    );
  if (counting) return countingAction(clause, phrases);
  if (/\bfirst|last|top|final|head of|tail of|beginning of|end of|lines?\s+\d/i.test(words) && partIn(words).kind !== 'whole') {
    return { kind: 'read', part: partIn(words) };
  }
  const extracts = extractsIn(clause, phrases);
  if (extracts.length > 0) return { kind: 'extract', extracts };
  if (
    phrases.length > 0 &&
    /\bfiles?\b|\bdocuments?\b|\bpages?\b|\bwhich\b|\bwhat\b|^where\b|^(?:find|search|grep|look|locate|list|scan)\b/i.test(words)
  )
    return whereIs(words, phrases);
  if (/\bwhen\b.*\b(?:modified|changed|updated)\b|\blast (?:modified|changed|updated)\b/i.test(words))
    return { kind: 'measure', measures: [{ kind: 'age' }] };
  const isListing =
    /\bfiles?\b|\bfolders?\b|\bdirector|\bdocuments\b|\bscripts\b|\bentries\b|\btree\b|\bstructure\b|^ls\b|\bwhat(?:'s| is)? (?:in|inside|under)\b|<x\d+>/i.test(
      words,
    );
  const namesFile = /<p\d+>/.test(words) && !/(?:folder|director)/i.test(words);
  if (
    isShow &&
    (namesFile || /\b(?:it|them|file|files|ones?|each|both|contents?)\b/i.test(words)) &&
    !/^(?:show|display|print|give)\b.*\bfiles\b(?!.*\bcontent)/i.test(words)
  ) {
    return { kind: 'read', part: { kind: 'whole' } };
  }
  if (
    /^(?:list|find|locate|search|enumerate|identify|get|collect|gather|ls)\b|^(?:which|what|where)\b|^(?:show|display|print|give|see|report)\b|\bare there\b/i.test(
      words,
    ) &&
    (isListing || namesFile)
  ) {
    return { kind: 'list', what: listedThings(words) };
  }
  if (/^(?:look at|look into|take|check|inspect|load|fetch|read through)\b/i.test(words) && namesFile)
    return { kind: 'read', part: { kind: 'whole' } };
  if (
    isListing &&
    /^(?:(?:all|the|every|any|only|is|are|there|a|an|<x\d+>|[\w.]+)\s+){0,4}?(?:files?|folders|directories|documents)\b/i.test(words)
  )
    return { kind: 'list', what: listedThings(words) };
  if (/^(?:list|ls|tree|explore)\b/i.test(words)) return { kind: 'list', what: 'entries' };
  return undefined;
}

function isComparison(words: string): boolean {
  if (
    /^(?:compare|diff|contrast)\b|\bdiffer(?:s|ence|ences|ent)?\b|\bin common\b|\bcommon lines\b|\bshared? (?:by|lines)\b|\bidentical\b|\bthe same\b.*\bas\b/i.test(
      words,
    )
  )
    return true;
  return /\bshare\b.*\blines?\b/i.test(words);
}

function sentencesWanted(words: string): number {
  const wanted = /\b(\d+|[a-z]+)\s+(?:key\s+|short\s+|main\s+)?(?:sentences?|points|bullets?|bullet points|quotes)\b/i.exec(words)?.[1];
  return Math.min(10, numberFrom(wanted) ?? 3);
}

function pickedAction(clause: Clause, phrases: readonly string[], isShow: boolean): Action {
  const { words } = clause;
  if (/\b(?:first|last)\s+(?:\w+\s+)?lines?\b/i.test(words)) return { kind: 'read', part: partIn(words) };
  if (/^(?:extract|pull)\b|\bheadings\s+(?:of|in|from)\b/i.test(words)) {
    const extracts = extractsIn(clause, phrases);
    if (extracts.length > 0) return { kind: 'extract', extracts };
  }
  const countOf = /\bhow many (lines|words|characters|headings|bytes)\b/i.exec(words)?.[1];
  if (countOf)
    return { kind: 'measure', measures: [{ kind: countOf.toLowerCase() === 'bytes' ? 'size' : (countOf.toLowerCase() as 'lines') }] };
  return isShow && /^(?:read|open|cat|print|display)\b|\bcontents?\b/i.test(words)
    ? { kind: 'read', part: { kind: 'whole' } }
    : { kind: 'name' };
}

function countingAction(clause: Clause, phrases: readonly string[]): Action | undefined {
  const { words } = clause;
  if (phrases.length > 0 && /\bhow many\s+(?:of\s+(?:them|these|those)\s+)?(?:mention|contain|include|refer)/i.test(words))
    return { kind: 'count-files', what: 'files' };
  const countsFiles =
    /\b(?:how many|count|number of|total)\s+(?:of\s+)?(?:(?:all|the|different|of|every)\s+)*(?:[\w.]+\s+|<x\d+>\s+|(?:,|and|or)\s*){0,4}?(files?|documents?|pages|scripts|folders?|director(?:y|ies)|subfolders|subdirectories|entries|modules)\b(?!\s+(?:has|have))/i.exec(
      words,
    )?.[1];
  const measures = measuresIn(clause, phrases);
  const countsInside =
    /\b(?:how many|count|number of|total)\s+(?:of\s+)?(?:(?:all|the|different|unique|total)\s+)*(?:lines?|words?|characters?|bytes?|headings?|sections?|to-?dos?|fixmes?|urls?|links?|e-?mails?|numbers|times|occurrences?|mentions|instances|sizes?|(?:word|line)s? and)\b/i.test(
      words,
    );
  if (countsFiles !== undefined && !countsInside) return { kind: 'count-files', what: countedThings(words, countsFiles) };
  const matchingLines = phrases.length > 0 && /\blines?\b/i.test(words) && !measures.some(({ kind }) => kind === 'occurrences');
  if (matchingLines) return { kind: 'extract', extracts: extractsIn(clause, phrases) };
  if (measures.length > 0) return { kind: 'measure', measures };
  if (phrases.length > 0) return { kind: 'measure', measures: phrases.map((phrase): Measure => ({ kind: 'occurrences', phrase })) };
  return /\bfiles?\b/i.test(words) ? { kind: 'count-files', what: 'files' } : undefined;
}

/** "Where is X mentioned" wants the lines; "which files mention X" wants the files. */
function whereIs(words: string, phrases: readonly string[]): Action {
  const wantsFiles = /\bfiles?\b|\bnotes?\b|\bdocuments?\b|\bpages?\b|\bscripts?\b|^which\b/i.test(words);
  if (wantsFiles) return { kind: 'list', what: 'files' };
  return { kind: 'extract', extracts: phrases.map((phrase) => ({ kind: 'lines-with', phrase })) };
}

function countedThings(words: string, noun: string): 'files' | 'folders' | 'entries' {
  const isBoth = /\bfiles?\s+(?:and|or)\s+(?:folders|directories)\b|\b(?:folders|directories)\s+(?:and|or)\s+files\b/i.test(words);
  return isBoth ? 'entries' : listedThings(noun);
}

function listedThings(words: string): 'files' | 'folders' | 'entries' {
  const files = /\b(?:files?|documents?|pages?|scripts?|modules?)\b/i.test(words);
  const folders = /\b(?:folders|directories|subfolders|subdirectories)\b|^(?:folder|directory)$/i.test(words);
  if (files && folders && /\bfiles?\s+and\s+(?:folders|directories)|(?:folders|directories)\s+and\s+files\b/i.test(words)) return 'entries';
  if (files) return 'files';
  if (/^(?:list|what|show|see|display|ls)\b/i.test(words) && !folders) return 'entries';
  return folders ? 'folders' : 'files';
}

function jsonFieldIn(clause: Clause): string | undefined {
  if (!/\.json\b|\bjson\b/i.test(plainWords(clause)) && !/\b(?:field|key|property)\b/i.test(clause.words)) return undefined;
  const name = String.raw`(<[qp]\d+>|[\w$][\w$.[\]-]*)`;
  const forms = [
    String.raw`\b(?:field|key|property|setting|entry|path)\s+(?:named\s+|called\s+|at\s+)?${name}`,
    String.raw`\bvalue\s+(?:of|for|at|under)\s+(?:the\s+)?(?:field\s+|key\s+|property\s+)?${name}`,
    String.raw`${name}\s+(?:field|key|property|value|setting)\b`,
    String.raw`\bwhat\s+is\s+(?:the\s+)?${name}\s+(?:in|of|from|according to)\s+<p\d+>`,
    String.raw`\b(?:extract|get|read|show|give me|find|print)\s+(?:the\s+)?${name}\s+(?:in|of|from)\s+<p\d+>`,
  ];
  for (const form of forms) {
    const mark = new RegExp(form, 'iu').exec(clause.words)?.[1];
    const field = mark && (slotOf(clause, mark)?.text ?? mark);
    if (field && !/\.json$/i.test(field) && !NOT_A_FIELD.test(field)) return field;
  }
  return undefined;
}

const NOT_A_FIELD =
  /^(?:the|a|an|every|each|all|of|in|from|is|content|contents|size|text|lines?|words?|headings?|emails?|urls?|links?|numbers?|todos?|summary|file|first|last|it|that|which|has|have|this|value|difference|differences|length|any|whose|with|top)$/i;
