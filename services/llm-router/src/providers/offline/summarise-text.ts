/* Summary by extraction: nothing is said that the text does not say itself. */
import { EMPTY_WORDS } from './task-words.ts';
import { headingsOf, linesOf, proseLines } from './text-facts.ts';

/** What a text says in brief, in its own words. */
export interface Extracts {
  readonly title: string | undefined;
  readonly headings: readonly string[];
  /** The sentences with the most frequent words, in the text's order. */
  readonly sentences: readonly string[];
}

/** Sentences that are weighed, at most; a longer text is judged by its beginning. */
const MAX_SENTENCES = 2000;

/** Takes title, headings and the most telling sentences out of a text. */
export function summariseText(text: string, sentenceCount: number): Extracts {
  const headings = headingsOf(text).map(({ text: heading }) => heading.replace(/^#+\s+/, '').replace(/\s#+$/, ''));
  const firstLine = linesOf(text)
    .find((line) => line.trim() !== '')
    ?.trim()
    .slice(0, 160);
  const [title, ...others] = headings.length > 0 ? headings : [firstLine];
  return { title, headings: others.filter((heading) => heading !== undefined), sentences: tellingSentences(text, sentenceCount) };
}

function tellingSentences(text: string, count: number): string[] {
  const sentences = sentencesOf(text);
  const frequency = new Map<string, number>();
  for (const word of sentences.flatMap(weightyWords)) frequency.set(word, (frequency.get(word) ?? 0) + 1);
  const weight = (sentence: string) => {
    const words = weightyWords(sentence);
    const sum = words.reduce((total, word) => total + (frequency.get(word) ?? 0), 0);
    return sum / Math.max(6, words.length);
  };
  const best = sentences
    .map((sentence, index) => ({ sentence, index, weight: weight(sentence) }))
    .toSorted((left, right) => right.weight - left.weight || left.index - right.index)
    .slice(0, count);
  return best.toSorted((left, right) => left.index - right.index).map(({ sentence }) => sentence);
}

/** Sentences of the prose: no headings, tables or code; a list item is a sentence. */
function sentencesOf(text: string): string[] {
  const paragraphs: string[] = [''];
  for (const { text: line } of proseLines(text)) {
    if (/^\s*$|^#{1,6}\s|^\s*\||^\s*(?:---|===)/.test(line)) paragraphs.push('');
    else if (/^\s*(?:[-*+]|\d{1,3}[.)])\s/.test(line)) paragraphs.push(line.replace(/^\s*(?:[-*+]|\d{1,3}[.)])\s+/, ''));
    else paragraphs.push(`${paragraphs.pop() ?? ''} ${line.trim()}`.trim());
  }
  const sentences = paragraphs.flatMap((paragraph) => paragraph.split(/(?<=[.!?])\s+(?=[\p{Lu}"'(])/u));
  const telling = sentences
    .map((sentence) => sentence.trim())
    .filter((sentence) => weightyWords(sentence).length >= 3 && sentence.length <= 400);
  return [...new Set(telling)].slice(0, MAX_SENTENCES);
}

function weightyWords(sentence: string): string[] {
  return (sentence.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []).filter((word) => word.length > 2 && !EMPTY_WORDS.has(word));
}
