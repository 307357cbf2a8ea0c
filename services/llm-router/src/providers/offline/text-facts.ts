/*
 * Facts about a text that can be counted or quoted. Every expression here is
 * linear in the text: its matches can start only where a run of characters starts.
 */

/** A line that a rule quotes, with its place. `line` counts from 1. */
export interface QuotedLine {
  readonly line: number;
  readonly text: string;
}

/** The lines of a text; a newline at the end does not open another line. */
export function linesOf(text: string): string[] {
  const lines = text.split(/\r?\n/);
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

/** Words as `wc -w` counts them: runs of anything but white space. */
export function countWords(text: string): number {
  return text.match(/\S+/g)?.length ?? 0;
}

/** Counts a word or phrase: whole words, in either case, any white space between words. */
export function countOccurrences(text: string, phrase: string): number {
  return text.match(phrasePattern(phrase))?.length ?? 0;
}

/** The lines that hold a word or phrase. */
export function linesWith(text: string, phrase: string): QuotedLine[] {
  const pattern = new RegExp(phrasePattern(phrase).source, 'iu');
  return quotedLines(text).filter(({ text: line }) => pattern.test(line));
}

/** The lines that start with a phrase, in either case. */
export function linesStartingWith(text: string, phrase: string): QuotedLine[] {
  const start = phrase.toLowerCase();
  return quotedLines(text).filter(({ text: line }) => line.trimStart().toLowerCase().startsWith(start));
}

/** The lines that are marked TODO or FIXME. */
export function todoLines(text: string): QuotedLine[] {
  return quotedLines(text).filter(({ text: line }) => /\b(?:TODO|FIXME)\b/.test(line));
}

/** Markdown headings (`#` to `######`) outside fenced code. */
export function headingsOf(text: string): QuotedLine[] {
  return proseLines(text)
    .filter(({ text: line }) => /^#{1,6}\s/.test(line))
    .map(({ line, text: heading }) => ({ line, text: heading.trim() }));
}

/** The lines of a markdown text that are not fenced code. */
export function proseLines(text: string): QuotedLine[] {
  let fence: string | undefined;
  return quotedLines(text).filter(({ text: line }) => {
    const mark = /^\s{0,3}(```|~~~)/.exec(line)?.[1];
    if (mark === undefined) return fence === undefined;
    if (fence === undefined) fence = mark;
    else if (fence === mark) fence = undefined;
    return false;
  });
}

/** E-mail addresses in order, repeats included. */
export function emailsIn(text: string): string[] {
  return text.match(/(?<![\w.%+-])[\w.%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+/g) ?? [];
}

/** Web addresses in order, repeats included, without the punctuation after them. */
export function urlsIn(text: string): string[] {
  const found = text.match(/\bhttps?:\/\/[^\s<>"'`)\]}]+/g) ?? [];
  return found.map((url) => url.replace(/[.,;:!?]{1,8}$/, ''));
}

/** Numbers in order: `42`, `-3.5`, `1,000`; not digits inside a word. */
export function numbersIn(text: string): string[] {
  return text.match(/(?<![\w.,])-?\d+(?:,\d{3})*(?:\.\d+)?(?!\w)/g) ?? [];
}

function quotedLines(text: string): QuotedLine[] {
  return linesOf(text).map((line, index) => ({ line: index + 1, text: line }));
}

function phrasePattern(phrase: string): RegExp {
  const body = phrase
    .trim()
    .split(/\s+/)
    .map((word) => word.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'))
    .join('\\s+');
  const before = /^[\p{L}\p{N}_]/u.test(phrase.trim()) ? '(?<![\\p{L}\\p{N}_])' : '';
  const after = /[\p{L}\p{N}_]$/u.test(phrase.trim()) ? '(?![\\p{L}\\p{N}_])' : '';
  return new RegExp(before + body + after, 'giu');
}
