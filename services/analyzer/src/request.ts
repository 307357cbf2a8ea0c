/*
 * What is asked, apart from what it is asked about.
 *
 * "Summarise this page:" and then the page: the page's words say nothing about how to do it, and somebody else may
 * have written them. They must not make the task harder, nor call for more agents.
 */
import { COURTESY, POINTED_VERBS, POINTING_WORDS, TEXT_VERBS } from './lexicon.ts';

/** Fenced blocks, and lines that quote. */
const QUOTED = /```[\s\S]*?(?:```|(?![\s\S]))|^>.*$/gmu;
/** A sentence that ends with a colon at the end of its line, or before an empty line. */
const INTRODUCTION =
  /(?<=^|[.!?\n])(?<sentence>[^.!?\n]{1,300}?)(?:(?<colon>:)[^\S\n]{0,20}\n|[.!]?[^\S\n]{0,20}\n[^\S\n]{0,20}\n)\s{0,100}(?<item>[-*•]\s|\d{1,2}[.)]\s)?/gu;

/**
 * The text with its material blanked; every other character keeps its place. Material is what is fenced, what is
 * quoted with `>`, and everything after a sentence that announces it: "Translate this:", "Summarise the text below."
 * A list that follows belongs to the request.
 */
export function requestOf(text: string): string {
  const unquoted = text.replace(QUOTED, (quoted) => ' '.repeat(quoted.length));
  for (const match of unquoted.matchAll(INTRODUCTION)) {
    const { sentence = '', colon, item } = match.groups ?? {};
    if (item === undefined && announces(sentence, colon !== undefined)) return unquoted.slice(0, match.index + match[0].length);
  }
  return unquoted;
}

function announces(sentence: string, hasColon: boolean): boolean {
  const words = sentence.toLowerCase().match(/[\p{L}']+/gu) ?? [];
  const verb = words.find((word) => !COURTESY.has(word)) ?? '';
  if (!TEXT_VERBS.has(verb) && !POINTED_VERBS.has(verb)) return false;
  if (hasColon && TEXT_VERBS.has(verb)) return true;
  return words.some((word) => POINTING_WORDS.has(word) && (hasColon || word === 'below' || word === 'following'));
}
