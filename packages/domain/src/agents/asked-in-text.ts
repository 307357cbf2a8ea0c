import { castRole, type NamedAgent } from './named-agents.ts';
import { type RoleCatalogue, ROLE_CATALOGUE } from './roles.ts';

/** Something that a model asks for in the words of its answer. `start` and `end` (exclusive) are UTF-16 offsets. */
export type TextAsk = (Asked | { readonly kind: 'malformed' /** In our own words. */; readonly problem: string }) & Span;

interface Span {
  readonly start: number;
  readonly end: number;
}

type Asked =
  /** `[delegate:description:hours]` */
  | { readonly kind: 'delegate'; readonly description: string; readonly hours?: number }
  /** `@Role: question`; `role` is the `name@version` that the name stands for. */
  | { readonly kind: 'consult'; readonly role: string; readonly question: string }
  /** `[use-mcp:server/tool:{json}]`; without arguments they are empty. */
  | { readonly kind: 'use_tool'; readonly server: string; readonly tool: string; readonly args: Readonly<Record<string, unknown>> };

/** Asks that are read in one text. */
export const MAX_ASKS = 32;
/** The longest ask in brackets. In UTF-16 units. */
export const MAX_ASK_LENGTH = 64 * 1024;
/** The longest question to a role. In UTF-16 units. */
export const MAX_QUESTION_LENGTH = 8_000;
/** A larger number is no estimate but a part of the description. */
const MAX_HOURS = 1_000;
/** Deepest nesting of a tool's arguments. */
const MAX_ARGS_DEPTH = 32;

/**
 * Everything that a model asks for in its answer, in order, none inside another.
 *
 * Only for the text of a model's own answer: what a tool or another agent returned asks for nothing, whatever it says.
 * What stands in a code fence or in a quoted line (`> …`) is shown, not asked. A description may hold brackets as long as
 * they are balanced; those in quotation marks or backticks do not count. A question goes to the next blank line, or to the
 * next line that begins like an ask.
 *
 * Never throws. Time is linear in the text. After `MAX_ASKS` the next one is reported as malformed, and no more.
 *
 * @example
 * askedInText('[delegate:Sort the list [a, b]:0.5]');
 * // [{ kind: 'delegate', description: 'Sort the list [a, b]', hours: 0.5, start: 0, end: 35 }]
 */
export function askedInText(
  text: string,
  catalogue: RoleCatalogue = ROLE_CATALOGUE,
  named: readonly NamedAgent[] = [],
): readonly TextAsk[] {
  const answer: ModelText = { text, plain: maskShown(text) };
  const asks: TextAsk[] = [];
  const heads = new RegExp(`${BRACKET_HEAD}|^[ \\t]{0,3}${ROLE_HEAD}`, 'gim');
  for (let head = heads.exec(answer.plain); head !== null; head = heads.exec(answer.plain)) {
    const start = head.index + head[0].search(/\S/);
    const role = head[2] === undefined ? undefined : castRole(head[2], catalogue, named)?.id;
    if (head[2] !== undefined && role === undefined) continue;
    const ask = role === undefined ? readBracket(answer, start, heads.lastIndex) : readQuestion(answer, start, heads.lastIndex, role);
    if (asks.length === MAX_ASKS) return [...asks, malformed(start, ask.end, `more than ${MAX_ASKS} asks in one answer`)];
    asks.push(ask);
    heads.lastIndex = ask.end;
  }
  return asks;
}

const BRACKET_HEAD = '\\[(delegate|use-mcp):';
const ROLE_HEAD = '@([a-z][\\w -]{0,63}(?:@\\d{1,6})?):';

interface ModelText {
  readonly text: string;
  /** The same text, as long, with everything that is only shown blotted out. */
  readonly plain: string;
}

const malformed = (start: number, end: number, problem: string): TextAsk => ({ kind: 'malformed', problem, start, end });

function readBracket(answer: ModelText, start: number, from: number): TextAsk {
  return /^\[d/i.test(answer.plain.slice(start, start + 2)) ? readDelegate(answer, start, from) : readToolUse(answer, start, from);
}

function readDelegate({ text, plain }: ModelText, start: number, from: number): TextAsk {
  const close = closingBracket(plain, from);
  if (close === undefined) return malformed(start, lineEnd(plain, from), 'the closing bracket is missing');
  const { description, hours } = splitHours(text.slice(from, close));
  if (description === '') return malformed(start, close + 1, 'the description is empty');
  return { kind: 'delegate', description, ...(hours !== undefined && { hours }), start, end: close + 1 };
}

/** An estimate at the end. `10:30` there is a time of day, and a number that is no estimate stays where it is. */
function splitHours(body: string): { readonly description: string; readonly hours?: number } {
  const colon = body.lastIndexOf(':');
  const tail = body.slice(colon + 1).trim();
  const isTimeOfDay = /(?:^|\D)(?:[01]?\d|2[0-3]):[0-5]\d$/.test(body.slice(-8).trimEnd());
  const hours = colon >= 0 && /^(?:\d{1,4}(?:\.\d{1,6})?|\.\d{1,6})\s?h?$/i.test(tail) ? Number.parseFloat(tail) : 0;
  if (isTimeOfDay || hours <= 0 || hours > MAX_HOURS) return { description: body.trim() };
  return { description: body.slice(0, colon).trim(), hours };
}

const [QUOTE, BACKTICK, OPEN, CLOSE, NEW_LINE] = ['"', '`', '[', ']', '\n'];

/** Where the bracket closes that was open at `from`. It does not when a line below begins with another ask. */
function closingBracket(plain: string, from: number): number | undefined {
  const limit = Math.min(plain.length, from + MAX_ASK_LENGTH);
  let depth = 1;
  for (let i = from; i < limit; i++) {
    const c = plain[i];
    if (c === QUOTE || c === BACKTICK) i = closingQuote(plain, i) ?? i;
    else if (c === OPEN) depth += 1;
    else if (c === CLOSE && --depth === 0) return i;
    else if (c === NEW_LINE && beginsAsk(plain, i + 1)) return undefined;
  }
  return undefined;
}

/** The other end of a quotation on the same line; undefined where the mark is none, as in 5" or in a lone one. */
function closingQuote(plain: string, at: number): number | undefined {
  const end = plain.indexOf(plain[at] ?? QUOTE, at + 1);
  if (end < 0 || isLetter(plain[at - 1]) || isLetter(plain[end + 1])) return undefined;
  return plain.slice(at, end).includes(NEW_LINE) ? undefined : end;
}

const isLetter = (c: string | undefined): boolean => c !== undefined && /[\p{L}\p{N}]/u.test(c);

function beginsAsk(plain: string, at: number): boolean {
  const head = new RegExp(BRACKET_HEAD, 'iy');
  head.lastIndex = at;
  return head.test(plain);
}

function readToolUse({ text, plain }: ModelText, start: number, from: number): TextAsk {
  const name = /([\w-]{1,64})\/([\w.-]{1,128})\s*([:\]])\s*/y;
  name.lastIndex = from;
  const [, server, tool, then] = name.exec(plain) ?? [];
  if (server === undefined || tool === undefined) return malformed(start, lineEnd(plain, from), 'it does not name server/tool');
  if (then === ']') return { kind: 'use_tool', server, tool, args: {}, start, end: plain.indexOf(']', from) + 1 };
  const args = name.lastIndex;
  if (plain[args] !== '{') return malformed(start, lineEnd(plain, from), 'the arguments are not a JSON object');
  const { end: argsEnd, depth } = jsonEnd(plain, args);
  if (argsEnd === undefined) return malformed(start, lineEnd(plain, from), 'the JSON of the arguments does not end');
  const closing = /\s*\]/y;
  closing.lastIndex = argsEnd;
  const end = closing.test(plain) ? closing.lastIndex : undefined;
  if (depth > MAX_ARGS_DEPTH) return malformed(start, end ?? argsEnd, `the arguments are nested deeper than ${MAX_ARGS_DEPTH}`);
  const parsed = parseObject(text.slice(args, argsEnd));
  if (parsed === undefined) return malformed(start, end ?? argsEnd, 'the arguments are not valid JSON');
  if (end === undefined) return malformed(start, argsEnd, 'the closing bracket is missing');
  return { kind: 'use_tool', server, tool, args: parsed, start, end };
}

/** Where the JSON value that begins at `from` ends (exclusive), and how deep it goes. Brackets in strings do not count. */
function jsonEnd(plain: string, from: number): { readonly end: number | undefined; readonly depth: number } {
  const limit = Math.min(plain.length, from + MAX_ASK_LENGTH);
  let [depth, deepest, inString] = [0, 0, false];
  for (let i = from; i < limit; i++) {
    const c = plain[i];
    if (inString) {
      if (c === '\\') i += 1;
      else if (c === QUOTE) inString = false;
    } else if (c === QUOTE) inString = true;
    else if (c === '{' || c === OPEN) deepest = Math.max(deepest, ++depth);
    else if ((c === '}' || c === CLOSE) && --depth === 0) return { end: i + 1, depth: deepest };
  }
  return { end: undefined, depth: deepest };
}

function parseObject(json: string): Readonly<Record<string, unknown>> | undefined {
  try {
    return JSON.parse(json) as Readonly<Record<string, unknown>>;
  } catch {
    return undefined;
  }
}

function readQuestion({ text, plain }: ModelText, start: number, from: number, role: string): TextAsk {
  const after = new RegExp(`\\n(?=[ \\t\\r]*(?:\\n|$)|[ \\t]{0,3}(?:${ROLE_HEAD}|${BRACKET_HEAD}))`, 'gi');
  after.lastIndex = from;
  const end = after.exec(plain)?.index ?? plain.length;
  const question = text.slice(from, end).trim();
  if (question === '') return malformed(start, end, 'the question is empty');
  if (question.length > MAX_QUESTION_LENGTH) return malformed(start, end, `the question is longer than ${MAX_QUESTION_LENGTH} characters`);
  return { kind: 'consult', role, question, start, end };
}

const lineEnd = (plain: string, from: number): number => {
  const end = plain.indexOf(NEW_LINE, from);
  return end < 0 ? plain.length : end;
};

/** Stands for a character that is only shown. No ask holds it, and it is no space. */
const SHOWN = '\u0000';
const FENCE_OPENS = /^[ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?(`{3,}(?=[^`]*$)|~{3,})/;
const FENCE_CLOSES = /^[ \t]*(`{3,}|~{3,})[ \t\r]*$/;
const QUOTED = /^[ \t]*>/;

/**
 * Blots out code fences (CommonMark 0.31, 4.5; one that is not closed goes to the end) and quoted lines. A fence becomes one
 * line: its line breaks are blotted out too.
 */
function maskShown(text: string): string {
  let fence: string | undefined;
  let plain = '';
  const lines = text.split('\n');
  for (const [index, line] of lines.entries()) {
    const wasOpen = fence !== undefined;
    fence = fence === undefined ? FENCE_OPENS.exec(line)?.[1] : closes(line, fence) ? undefined : fence;
    const isShown = wasOpen || fence !== undefined || QUOTED.test(line);
    plain += isShown ? SHOWN.repeat(line.length) : line;
    if (index < lines.length - 1) plain += fence === undefined ? '\n' : SHOWN;
  }
  return plain;
}

const closes = (line: string, fence: string): boolean => FENCE_CLOSES.exec(line)?.[1]?.startsWith(fence) ?? false;
