/* The provider's sentences: amounts, lists, what it can do, and its own name. */
import type { Measure } from './file-request.ts';

/** The last line of every answer. */
export const SIGNATURE = '(answered by rules: offline provider, no language model was used)';

/** Entries that a list shows before it says how many more there are. */
const LIST_LIMIT = 60;

/** Lines of a file that are quoted before the rest is only counted. */
export const QUOTE_LIMIT = 120;

const CAN_DO = `What I can do with files that I may read through tools, for example:
- List the markdown files under docs.
- Which files mention "mandate", and how many lines has each?
- Which .ts file in src has the most words?
- How often does the word "budget" appear in README.md?
- Show the first 5 lines of docs/guide.md.
- Extract the headings (or e-mail addresses, URLs, numbers, TODO lines) from notes.md.
- What is the value of scripts.test in package.json?
- Compare a.txt and b.txt.
- Summarise docs/guide.md in 3 sentences (by quoting it).
- Let other agents compare a.md, b.md and c.md, and list the headings of d.md with a budget of $0.05.`;

/** An honest no, with examples of what would work. */
export function cannotAnswer(reason: string): string {
  return `I cannot do this. ${reason}\n\n${CAN_DO}`;
}

/** `1 line`, `3 lines`, `0 e-mail addresses`. */
export function amount(count: number, measure: Measure): string {
  const [one, many] = nounsOf(measure);
  return `${count} ${count === 1 ? one : many}`;
}

function nounsOf(measure: Measure): readonly [string, string] {
  switch (measure.kind) {
    case 'lines':
      return ['line', 'lines'];
    case 'words':
      return ['word', 'words'];
    case 'characters':
      return ['character', 'characters'];
    case 'size':
      return ['byte', 'bytes'];
    case 'age':
      return ['', ''];
    case 'headings':
      return ['heading', 'headings'];
    case 'todos':
      return ['TODO line', 'TODO lines'];
    case 'emails':
      return ['e-mail address', 'e-mail addresses'];
    case 'urls':
      return ['URL', 'URLs'];
    case 'numbers':
      return ['number', 'numbers'];
    case 'occurrences':
      return [`occurrence of "${measure.phrase}"`, `occurrences of "${measure.phrase}"`];
  }
}

/** Lines of a list, cut at {@link LIST_LIMIT} with a word about the rest. */
export function listLines(items: readonly string[], limit = LIST_LIMIT): string[] {
  const shown = items.slice(0, limit).map((item) => `- ${item}`);
  return items.length > limit ? [...shown, `- … and ${items.length - limit} more`] : shown;
}

/** Puts an answer together and keeps it within the output limit (about 3 characters a token). */
export function finishAnswer(body: string, maxOutputTokens: number): string {
  const limit = Math.max(200, maxOutputTokens * 3 - SIGNATURE.length - 80);
  if (body.length <= limit) return `${body}\n\n${SIGNATURE}`;
  const cut = body.slice(0, limit).replace(/[\uD800-\uDBFF]$/, '');
  return `${cut}\n[the answer was cut here: it is longer than the output limit of ${maxOutputTokens} tokens]\n\n${SIGNATURE}`;
}
