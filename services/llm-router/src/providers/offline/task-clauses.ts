/*
 * A task's text, cut into clauses that each ask one thing.
 *
 * Quoted words, paths and web addresses become slots first (`<q0>`, `<p1>`, `<x2>`,
 * `<u3>`), so that a full stop in `a.md` ends no sentence and an "and" inside quotes
 * splits nothing.
 */
import { agentWords, budgetIn, type AgentWords, isAboutJoining } from './agent-words.ts';
import { BEYOND_READING, FAMILIAR_FILES, FILE_TYPES, READING_STARTERS } from './task-words.ts';

/** Text that stands for itself: something quoted, a path, an extension, a web address. */
export interface Slot {
  readonly kind: 'quoted' | 'path' | 'extension' | 'url';
  readonly text: string;
}

/** One clause: its words with slot marks, and the slots of the whole task. */
export interface Clause {
  readonly words: string;
  readonly slots: readonly Slot[];
  /** What its words allow whoever does it to spend. */
  readonly budgetMicroUsd?: number;
}

const SLOT_LETTER = { quoted: 'q', path: 'p', extension: 'x', url: 'u' } as const;
const STARTERS = [...READING_STARTERS, ...BEYOND_READING, '(?:e-?)?mail(?= (?:them|it|this|that|me|us|the)\\b)'].join('|');
const CONNECTOR = new RegExp(
  String.raw`(?:,?\s*\b(?:and\s+then|then|after\s+that|afterwards|finally)\b,?\s+)|(?:(?:,\s*(?:and\s+|also\s+)*|\s+and\s+(?:also\s+)?|\s+plus\s+|\s+as\s+well\s+as\s+)(?=(?:please\s+|also\s+)?(?:${STARTERS}|the\s+number\s+of)\b(?!\s+(?:and|or|,|file|files|log|logs)\b)))`,
  'giu',
);
const COURTESY =
  /^(?:(?:please|kindly|hey|hi|hello|ok|okay|now|first|firstly|secondly|next|finally|also|and|so|just|go and|then|well|task:?|can you|could you|would you|will you|i want you to|i want to know|i would like to know|i'd like to know|i would like you to|i'd like you to|i need you to|i need to know|i need|help me to|help me|let me know|tell me|try to|your task is to|use the tools to|using the tools|do you know|for me|to)\b[\s,:]*)+/iu;

/** The text behind a slot mark such as `<q0>`. */
export function slotOf(clause: Clause, mark: string): Slot | undefined {
  return clause.slots[Number(/\d+/.exec(mark)?.[0] ?? -1)];
}

/** What a task says about who is to do it. Quoted words say nothing. */
export function agentsIn(task: string): Omit<AgentWords, 'rest'> {
  return agentWords(markSlots(plainText(task), []));
}

/** Files that a task names, as it writes them; patterns and folders are none. */
export function namedFiles(task: string): string[] {
  const slots: Slot[] = [];
  markSlots(plainText(task), slots);
  const files = slots.filter(({ kind, text }) => kind === 'path' && /[^/*]\.[a-z0-9]{1,8}$/i.test(text) && !text.includes('*'));
  return [...new Set(files.map(({ text }) => text.slice(text.lastIndexOf('/') + 1)))];
}

/** Cuts a task into clauses, in order. Words about other agents and about money are taken out. */
export function splitTask(task: string): Clause[] {
  const slots: Slot[] = [];
  const { rest: marked, isAsked } = agentWords(markSlots(plainText(task), slots));
  const sentences = marked.replace(/:\s/g, ' ').split(/[.?!;]+(?=\s|$)|\|/u);
  const clauses: Clause[] = [];
  let carried: number | undefined;
  for (const part of sentences.flatMap((sentence) => sentence.split(CONNECTOR))) {
    const said = budgetIn(part);
    const words = tidy(said.rest);
    const budgetMicroUsd = (said.isForNext ? undefined : said.budgetMicroUsd) ?? carried;
    carried = said.isForNext ? said.budgetMicroUsd : words === '' ? budgetMicroUsd : undefined;
    if (words === '' || (isAsked && isAboutJoining(words))) continue;
    clauses.push({ words, slots, ...(budgetMicroUsd !== undefined && { budgetMicroUsd }) });
  }
  return clauses;
}

function tidy(part: string): string {
  return part
    .replace(/\s+/g, ' ')
    .replace(/^[\s,]+|[\s,]+$/g, '')
    .replace(COURTESY, '')
    .trim();
}

/** Straight quotes, no slot marks, list items and empty lines as sentence ends. */
function plainText(task: string): string {
  return task
    .replace(/[“”„«»]/g, '"')
    .replace(/[‘’]/g, "'")
    .replace(/[<>|]/g, ' ')
    .replace(/\n\s*(?:[-*•]|\d{1,2}[.)])\s+|\n\s*\n/g, ' | ')
    .replace(/^\s*(?:[-*•]|\d{1,2}[.)])\s+/, '')
    .replace(/[\p{Cc}\s]+/gu, ' ');
}

function markSlots(text: string, slots: Slot[]): string {
  const mark = (kind: Slot['kind'], slotText: string) => `<${SLOT_LETTER[kind]}${slots.push({ kind, text: slotText }) - 1}>`;
  const withoutQuotes = text.replace(
    /"([^"]{1,200})"|`([^`]{1,200})`|(?<!\w)'([^']{1,200})'(?!\w)/g,
    (_, double?: string, back?: string, single?: string) => {
      const quoted = (double ?? back ?? single ?? '').trim();
      return mark(looksLikePath(quoted) ? 'path' : 'quoted', quoted);
    },
  );
  return withoutQuotes
    .split(' ')
    .map((word) => markWord(word, mark))
    .join(' ');
}

function markWord(word: string, mark: (kind: Slot['kind'], text: string) => string): string {
  const [, before = '', core = '', after = ''] = /^([({]*)(.*?)((?:'s)?[.,;:!?)}]*)$/.exec(word) ?? [];
  if (core === '' || core.startsWith('<')) return word;
  const kind = kindOfWord(core);
  return kind ? before + mark(kind, core) + after.replace(/^'s/, '') : word;
}

function kindOfWord(word: string): Slot['kind'] | undefined {
  if (/^https?:\/\//i.test(word)) return 'url';
  if (/^\.[a-z0-9]{1,8}$/i.test(word)) return Object.hasOwn(FILE_TYPES, word.slice(1).toLowerCase()) ? 'extension' : 'path';
  if (FAMILIAR_FILES.has(word.toLowerCase())) return 'path';
  if (/^[\w$-]+(?:\.[\w$-]+|\[\d+\])+$/.test(word) && word.includes('[')) return 'path';
  return looksLikePath(word) ? 'path' : undefined;
}

function looksLikePath(text: string): boolean {
  if (text.length > 300 || /^(?:e\.g|i\.e|etc|and\/or|either\/or|\d+\/\d+|\/|.*@.*\..*)$/i.test(text)) return false;
  if (/^[^\s*]*\*[^\s]*$/.test(text) && text.length > 1) return true;
  if (/^[^\s]*\/[^\s]*$/.test(text)) return /[\p{L}\p{N}]/u.test(text);
  return /^[\p{L}\p{N}_@-][\p{L}\p{N}_@. -]*\.[a-z][a-z0-9]{0,7}$/iu.test(text) || /^\.[a-z][\w.-]+$/i.test(text);
}
