/** Words that make no other task of it. */
const FILLERS: ReadonlySet<string> = new Set([
  ...['a', 'an', 'the', 'please', 'kindly', 'now', 'just', 'simply', 'thanks'],
  ...['can', 'could', 'would', 'will', 'you'],
]);

/**
 * What is left of a text when spelling, case, punctuation, spacing and politeness do not matter: its words, joined by one
 * space. Equal results mean the same task said twice; the search for delegation cycles compares a keyed digest of them,
 * which is made at the edge. A text of nothing but fillers keeps them; one without letters and digits has no words: ''.
 *
 * The result is idempotent, linear in the text, and content like the text itself.
 *
 * @example
 * fingerprintWords('Please COUNT the words!'); // 'count words'
 */
export function fingerprintWords(text: string): string {
  const words = folded(text).match(/[\p{L}\p{N}\p{M}]+/gu) ?? [];
  const telling = words.filter((word) => !FILLERS.has(word));
  return (telling.length > 0 ? telling : words).join(' ');
}

/** Compatibility forms and case made one. `don't` is one word. There and back, because ẞ is ß only in lower case and ß is SS only in upper. */
const folded = (text: string): string =>
  text
    .normalize('NFKC')
    .replaceAll(/(?<=\p{L})['’](?=\p{L})/gu, '')
    .toLowerCase()
    .toUpperCase()
    .toLowerCase()
    .replaceAll('ς', 'σ')
    .normalize('NFKC');
