/* Carrying out one request: select files, pick, act, say what was found. */
import { amount, listLines, QUOTE_LIMIT } from './answer-words.ts';
import type { Asking } from './asking.ts';
import { compareTexts } from './compare-texts.ts';
import type { Action, Extract, FileRequest, Measure, Part, Pick, Selection } from './file-request.ts';
import { findField } from './json-field.ts';
import type { FileText } from './read-text.ts';
import {
  keepMentioning,
  measureFiles,
  pickFrom,
  readFiles,
  selectEntries,
  type Measured,
  type Run,
  type Selected,
} from './select-files.ts';
import { summariseText } from './summarise-text.ts';
import { emailsIn, headingsOf, linesOf, linesStartingWith, linesWith, numbersIn, todoLines, urlsIn } from './text-facts.ts';
import { shownPath, type Entry } from './workspace.ts';

/** What a request found: lines for the answer, and the files a next clause may mean by "it". */
export interface Outcome {
  readonly lines: readonly string[];
  readonly files: readonly string[];
}

/** Files whose texts are summarised one by one, at most. */
const MAX_SUMMARIES = 12;

/** Carries out a request. `given` are the files that an earlier clause found. */
export function* carryOut(run: Run, request: FileRequest, given: readonly string[] | undefined): Asking<Outcome> {
  const { action, selection } = request;
  const selected = given ? givenFiles(run, given, selection) : yield* selectEntries(run, selection, unsaidDepth(request));
  if (isAboutEntries(request)) return describeEntries(run, action, selected);
  const candidates = selected.entries.filter(({ isFolder }) => !isFolder).map(({ path }) => path);
  const kept = yield* keepMentioning(run, candidates, selection.mentions);
  if (kept.length === 0) return { lines: [nothingFound(request, selected)], files: [] };
  if (selection.pick === undefined) return yield* act(run, action, kept, { selected, selection });
  const measured = yield* measureFiles(run, kept, selection.pick.measure);
  const picked = pickFrom(measured, selection.pick);
  const files = picked.map(({ path }) => path);
  const lines = pickLines(run, picked, selection.pick, measured.length);
  if (action.kind === 'name' || action.kind === 'list' || files.length === 0) return { lines, files };
  const outcome = yield* act(run, action, files, { selected, selection });
  return { lines: [...lines, ...outcome.lines], files };
}

function unsaidDepth(request: FileRequest): 'direct' | 'recursive' | 'both' {
  if (!isAboutEntries(request)) return 'recursive';
  return request.action.kind === 'list' ? 'direct' : 'both';
}

/** Listing and counting names needs no file to be read. */
function isAboutEntries({ action, selection }: FileRequest): boolean {
  const readsNothing = selection.mentions.phrases.length === 0 && selection.pick === undefined;
  return readsNothing && (action.kind === 'list' || action.kind === 'count-files');
}

function givenFiles(run: Run, given: readonly string[], selection: Selection): Selected {
  const entries: Entry[] = given.map((path) => ({ path, isFolder: false }));
  const wanted = selection.extensions;
  const kept =
    wanted.length === 0 ? entries : entries.filter(({ path }) => wanted.some((extension) => path.toLowerCase().endsWith(`.${extension}`)));
  return { entries: kept, where: given.length === 1 ? shownPath(run.workspace, given[0] ?? '') : `these ${given.length} files` };
}

function describeEntries(run: Run, action: Action, selected: Selected): Outcome {
  const what = action.kind === 'list' || action.kind === 'count-files' ? action.what : 'files';
  const wanted = selected.entries.filter(({ isFolder }) => what === 'entries' || isFolder === (what === 'folders'));
  const files = wanted.filter(({ isFolder }) => !isFolder).map(({ path }) => path);
  const noun =
    what === 'entries'
      ? plural(wanted.length, 'entry', 'entries')
      : what === 'files'
        ? plural(wanted.length, 'file', 'files')
        : plural(wanted.length, 'folder', 'folders');
  const where = selected.where === '' ? '' : ` in ${selected.where}`;
  if (action.kind === 'count-files') return { lines: [countLine(noun, where, what, wanted.length, selected)], files };
  if (wanted.length === 0) return { lines: [`I found no ${what === 'entries' ? 'files or folders' : what}${where}.`], files: [] };
  const names = wanted.map(({ path, isFolder }) => shownPath(run.workspace, path) + (isFolder ? '/' : ''));
  return { lines: [`${noun}${where}:`, ...listLines(names)], files };
}

function countLine(noun: string, where: string, what: string, count: number, { directCount, entries }: Selected): string {
  const isMixed = entries.some(({ isFolder }) => isFolder) && what !== 'entries';
  if (directCount === undefined || directCount === count || isMixed) return `There ${count === 1 ? 'is' : 'are'} ${noun}${where}.`;
  return `There ${count === 1 ? 'is' : 'are'} ${noun}${where}; ${directCount} of them directly in that folder.`;
}

interface Context {
  readonly selected: Selected;
  readonly selection: Selection;
}

function* act(run: Run, action: Action, files: readonly string[], context: Context): Asking<Outcome> {
  switch (action.kind) {
    case 'list':
    case 'name':
      return { lines: matchLines(run, files, context), files };
    case 'count-files':
      return {
        lines: [`${plural(files.length, 'file', 'files')}${mentionWords(context)}${inWhere(context)}:`, ...listLines(shownAll(run, files))],
        files,
      };
    case 'measure':
      return { lines: yield* measureLines(run, files, action.measures), files };
    case 'read':
      return { lines: somethingRead((yield* readFiles(run, files)).flatMap((text) => quoteLines(run, text, action.part))), files };
    case 'extract':
      return { lines: extractLines(run, yield* readFiles(run, files), action.extracts), files };
    case 'json-field':
      return { lines: somethingRead((yield* readFiles(run, files)).map((text) => fieldLine(run, text, action.field))), files };
    case 'compare':
      return { lines: yield* compareLines(run, files), files };
    case 'summarise':
      return { lines: summaryLines(run, yield* readFiles(run, files.slice(0, MAX_SUMMARIES)), action.sentences, files.length), files };
  }
}

const somethingRead = (lines: readonly string[]) => (lines.length > 0 ? lines : ['None of it could be read.']);

function matchLines(run: Run, files: readonly string[], context: Context): string[] {
  return [`${plural(files.length, 'file', 'files')}${mentionWords(context)}${inWhere(context)}:`, ...listLines(shownAll(run, files))];
}

function mentionWords({ selection: { mentions } }: Context): string {
  if (mentions.phrases.length === 0) return '';
  const phrases = mentions.phrases.map((phrase) => `"${phrase}"`).join(mentions.needsAll ? ' and ' : ' or ');
  return mentions.isNegated ? ` without any mention of ${phrases}` : ` with a mention of ${phrases}`;
}

const inWhere = ({ selected }: Context) => (selected.where === '' ? '' : ` in ${selected.where}`);

function nothingFound({ selection, action }: FileRequest, selected: Selected): string {
  const where = selected.where === '' ? '' : ` in ${selected.where}`;
  const types = selection.extensions.length > 0 ? ` of type ${selection.extensions.join(', ')}` : '';
  const searched = mentionWords({ selection, selected });
  return action.kind === 'count-files' ? `There are 0 files${types}${searched}${where}.` : `I found no file${types}${searched}${where}.`;
}

function pickLines(run: Run, picked: readonly Measured[], { measure, direction, bound }: Pick, of: number): string[] {
  if (of === 0) return ['None of these files could be measured.'];
  const boundWords = bound === undefined ? '' : ` ${direction === 'most' ? 'more' : 'less'} than ${amount(bound, measure)}`;
  if (picked.length === 0) return [`None of the ${plural(of, 'file', 'files')} that I looked at has${boundWords}.`];
  if (direction === 'most' && picked.every(({ value }) => value === 0))
    return [`None of the ${plural(of, 'file', 'files')} that I looked at has any (${amount(0, measure)}).`];
  const extreme = measure.kind === 'age' ? `the ${direction === 'most' ? 'newest' : 'oldest'}` : `with the ${direction}`;
  const head = `Of ${plural(of, 'file', 'files')} looked at, ${bound === undefined ? extreme : `with${boundWords}`}${picked.length > 1 ? ' (in order)' : ''}:`;
  return [head, ...listLines(picked.map((file) => `${shownPath(run.workspace, file.path)}: ${valueWords(file, measure)}`))];
}

function valueWords({ value, isPartial }: Measured, measure: Measure): string {
  if (measure.kind === 'age') return `last changed ${new Date(value).toISOString()}`;
  return isPartial ? `at least ${amount(value, measure)} (partly read)` : amount(value, measure);
}

function* measureLines(run: Run, files: readonly string[], measures: readonly Measure[]): Asking<string[]> {
  const lines: string[] = [];
  for (const measure of measures) {
    const measured = yield* measureFiles(run, files, measure);
    if (measured.length === 0) lines.push(`None of ${plural(files.length, 'file', 'files')} could be measured.`);
    const [only, second] = measured;
    if (only && second === undefined) {
      lines.push(`${shownPath(run.workspace, only.path)}: ${valueWords(only, measure)}`);
      continue;
    }
    if (measure.kind !== 'age' && measured.length > 0) lines.push(totalLine(measured, measure));
    const shown = measure.kind === 'occurrences' ? measured.filter(({ value }) => value > 0) : measured;
    lines.push(...listLines(shown.map((file) => `${shownPath(run.workspace, file.path)}: ${valueWords(file, measure)}`)));
  }
  return lines;
}

function totalLine(measured: readonly Measured[], measure: Measure): string {
  const total = measured.reduce((sum, { value }) => sum + value, 0);
  const partly = measured.some(({ isPartial }) => isPartial) ? 'at least ' : '';
  return `In total ${partly}${amount(total, measure)} in ${plural(measured.length, 'file', 'files')}:`;
}

function quoteLines(run: Run, { path, text }: FileText, part: Part): string[] {
  const all = linesOf(text);
  const name = shownPath(run.workspace, path);
  const [from, to] = rangeOf(part, all.length);
  const wanted = all.slice(from, to);
  const head =
    part.kind === 'whole'
      ? `${name} (${plural(all.length, 'line', 'lines')}):`
      : `${name}, ${wanted.length === 1 ? `line ${from + 1}` : `lines ${from + 1} to ${from + wanted.length}`} of ${all.length}:`;
  if (wanted.length === 0) return [`${name} has ${plural(all.length, 'line', 'lines')}; there is nothing to show there.`];
  const quoted = wanted.slice(0, QUOTE_LIMIT).map((line) => `> ${line}`);
  return wanted.length > QUOTE_LIMIT
    ? [head, ...quoted, `[${wanted.length - QUOTE_LIMIT} more lines of ${name} are not shown]`]
    : [head, ...quoted];
}

function rangeOf(part: Part, lineCount: number): [number, number] {
  switch (part.kind) {
    case 'whole':
      return [0, lineCount];
    case 'first':
      return [0, part.count];
    case 'last':
      return [Math.max(0, lineCount - part.count), lineCount];
    case 'range':
      return [Math.max(0, part.from - 1), part.to];
  }
}

const EXTRACTED = {
  title: 'title',
  headings: 'headings',
  todos: 'TODO lines',
  emails: 'e-mail addresses',
  urls: 'URLs',
  numbers: 'numbers',
} as const;

function extractLines(run: Run, texts: readonly FileText[], extracts: readonly Extract[]): string[] {
  return extracts.flatMap((extract) => {
    const found = texts.map((text) => ({ name: shownPath(run.workspace, text.path), items: extracted(text.text, extract) }));
    const total = found.reduce((sum, { items }) => sum + items.length, 0);
    const noun =
      'phrase' in extract
        ? `lines ${extract.kind === 'lines-with' ? 'with' : 'starting with'} "${extract.phrase}"`
        : EXTRACTED[extract.kind];
    if (total === 0)
      return [`I found no ${noun} in ${texts.length === 1 ? (found[0]?.name ?? '') : plural(texts.length, 'file', 'files')}.`];
    const withItems = found.filter(({ items }) => items.length > 0);
    return withItems.flatMap(({ name, items }) => [`${name}, ${noun} (${items.length}):`, ...listLines(items)]);
  });
}

function extracted(text: string, extract: Extract): string[] {
  const withLine = ({ line, text: quoted }: { line: number; text: string }) => `line ${line}: ${quoted.trim()}`;
  switch (extract.kind) {
    case 'title':
      return [summariseText(text, 0).title].filter((title) => title !== undefined);
    case 'headings':
      return headingsOf(text).map(({ text: heading }) => heading);
    case 'todos':
      return todoLines(text).map(withLine);
    case 'emails':
      return [...new Set(emailsIn(text))];
    case 'urls':
      return [...new Set(urlsIn(text))];
    case 'numbers':
      return numbersIn(text);
    case 'lines-with':
      return linesWith(text, extract.phrase).map(withLine);
    case 'lines-starting-with':
      return linesStartingWith(text, extract.phrase).map(withLine);
  }
}

function fieldLine(run: Run, { path, text, partial }: FileText, field: string): string {
  const name = shownPath(run.workspace, path);
  if (partial) return `${name} could not be read whole, so its fields cannot be looked up.`;
  const found = findField(text, field);
  switch (found.kind) {
    case 'value':
      return `${name}, ${found.path}: ${JSON.stringify(found.value)}`;
    case 'elsewhere':
      return `${name} has no field ${field} there; fields of that name are at ${found.paths.join(', ')}.`;
    case 'absent':
      return `${name} has no field ${field}.`;
    case 'not-json':
      return `${name} is not valid JSON (${found.reason}).`;
  }
}

function* compareLines(run: Run, files: readonly string[]): Asking<string[]> {
  if (files.length > 2) return yield* sideBySide(run, files);
  if (files.length < 2) return ['I compare two files or more; I found only one.'];
  const [first, second] = yield* readFiles(run, files);
  if (!first || !second) return ['I could not read both files, so I cannot compare them.'];
  const [firstName, secondName] = [shownPath(run.workspace, first.path), shownPath(run.workspace, second.path)];
  const found = compareTexts(first.text, second.text);
  const longer = lengthVerdict(found.lineCounts, firstName, secondName);
  return [
    `${firstName}: ${plural(found.lineCounts[0], 'line', 'lines')}, ${plural(found.wordCounts[0], 'word', 'words')}`,
    `${secondName}: ${plural(found.lineCounts[1], 'line', 'lines')}, ${plural(found.wordCounts[1], 'word', 'words')}`,
    found.isIdentical ? 'The two files are identical.' : longer,
    `Common lines (${found.common.length}):`,
    ...listLines(found.common, 20),
    `Lines only in ${firstName} (${found.onlyInFirst.length}):`,
    ...listLines(found.onlyInFirst, 20),
    `Lines only in ${secondName} (${found.onlyInSecond.length}):`,
    ...listLines(found.onlyInSecond, 20),
  ];
}

/** More than two texts: their figures, and which is longest. */
function* sideBySide(run: Run, files: readonly string[]): Asking<string[]> {
  const measures = (['lines', 'words', 'headings'] as const).map((kind): Measure => ({ kind }));
  const lines = yield* measureLines(run, files, measures);
  const words = yield* measureFiles(run, files, { kind: 'words' });
  const most = pickFrom(words, { measure: { kind: 'words' }, direction: 'most', count: 1 });
  const least = pickFrom(words, { measure: { kind: 'words' }, direction: 'least', count: 1 });
  const named = (picked: readonly Measured[]): string =>
    shownAll(
      run,
      picked.map(({ path }) => path),
    ).join(' and ');
  return [...lines, ...(words.length > 1 ? [`By words the longest is ${named(most)} and the shortest ${named(least)}.`] : [])];
}

function lengthVerdict([first, second]: readonly [number, number], firstName: string, secondName: string): string {
  if (first === second) return 'Both have the same number of lines.';
  return first > second
    ? `${firstName} is longer by ${plural(first - second, 'line', 'lines')}.`
    : `${secondName} is longer by ${plural(second - first, 'line', 'lines')}.`;
}

function summaryLines(run: Run, texts: readonly FileText[], sentences: number, fileCount: number): string[] {
  const perFile = texts.length > 1 ? Math.max(1, Math.min(2, sentences)) : sentences;
  const lines = texts.flatMap((text) => {
    const name = shownPath(run.workspace, text.path);
    const summary = summariseText(text.text, perFile);
    const title = summary.title === undefined ? `${name} is empty.` : `${name}: "${summary.title}"`;
    const headings =
      summary.headings.length > 0
        ? [`Sections: ${summary.headings.slice(0, 12).join('; ')}${summary.headings.length > 12 ? '; …' : ''}`]
        : [];
    return [title, ...headings, ...summary.sentences.map((sentence) => `- "${sentence}" (${name})`)];
  });
  const intro = 'A summary by quotation (title, sections, the sentences with the most frequent words):';
  return fileCount > texts.length
    ? [intro, ...lines, `The other ${fileCount - texts.length} of ${fileCount} files were not summarised.`]
    : [intro, ...lines];
}

const shownAll = (run: Run, files: readonly string[]) => files.map((path) => shownPath(run.workspace, path));
const plural = (count: number, one: string, many: string) => `${count} ${count === 1 ? one : many}`;
