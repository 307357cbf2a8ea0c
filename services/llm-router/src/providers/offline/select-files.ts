/* From a selection in words to the files it means, through tools. */
import { askAll, type Asking } from './asking.ts';
import type { Measure, NameFilter, Pick, Place, Selection } from './file-request.ts';
import { completeText, type FileText } from './read-text.ts';
import { BINARY_EXTENSIONS } from './task-words.ts';
import { countOccurrences, countWords, emailsIn, headingsOf, linesOf, numbersIn, todoLines, urlsIn } from './text-facts.ts';
import {
  CannotGoOn,
  findByName,
  listFolder,
  pathUnder,
  requireTool,
  shownPath,
  walkFolder,
  type Entry,
  type Workspace,
} from './workspace.ts';

/** Files read for one task, at most. */
const MAX_FILES_READ = 40;

/** What one run of a task has done so far; created anew in every run. */
export interface Run {
  readonly workspace: Workspace;
  readonly paths: Set<string>;
  readonly notes: Set<string>;
}

/** The files (and folders) that a request is about, and where they were looked for. */
export interface Selected {
  readonly entries: readonly Entry[];
  /** In words, e.g. `docs, including subfolders`. */
  readonly where: string;
  /** Set where the words left open whether subfolders count. */
  readonly directCount?: number;
}

/** How deep an unsaid depth goes. */
type UnsaidDepth = 'direct' | 'recursive' | 'both';

/** Finds what the places, file types and names of a selection mean. */
export function* selectEntries(run: Run, selection: Selection, unsaid: UnsaidDepth): Asking<Selected> {
  const places = selection.places.length > 0 ? selection.places : run.workspace.roots.map(rootPlace);
  const filters = selection.extensions.length + selection.names.length;
  const depth = selection.depth === 'unsaid' ? unsaid : selection.depth;
  const isDeep = depth !== 'direct' || filters > 0;
  const entries: Entry[] = [];
  const folders: string[] = [];
  for (const place of places) {
    for (const found of yield* resolveOrNote(run, place, places.length)) {
      if (!found.isFolder) entries.push(found);
      else {
        folders.push(found.path);
        entries.push(...(yield* entriesOf(run, found.path, selection.depth === 'direct' ? false : isDeep)));
      }
    }
  }
  const kept = uniqueEntries(entries).filter((entry) => matches(run, entry, selection));
  const names = folders.map((folder) => shownPath(run.workspace, folder));
  const deepWord = selection.depth !== 'direct' && isDeep ? 'including subfolders' : 'not counting subfolders';
  const where = names.length > 0 ? `${names.join(', ')}, ${deepWord}` : '';
  const direct = kept.filter(({ path }) => folders.some((folder) => path.lastIndexOf('/') === folder.length && path.startsWith(folder)));
  return { entries: kept, where, ...(depth === 'both' && folders.length > 0 && { directCount: direct.length }) };
}

/** Reads files in batches; what cannot be read becomes a note, not an end. */
export function* readFiles(run: Run, paths: readonly string[]): Asking<FileText[]> {
  requireTool(run.workspace.tools, 'read_text_file', 'read files');
  const allowed = withinLimit(
    run,
    paths.filter((path) => !isBinary(path)),
  );
  noteBinaries(run, paths);
  const replies = yield* askAll(allowed.map((path) => ({ tool: 'read_text_file', args: { path } })));
  const texts: FileText[] = [];
  for (const [index, path] of allowed.entries()) {
    const reply = replies[index];
    if (!reply || reply.isError) {
      run.notes.add(`I could not read ${shownPath(run.workspace, path)}: ${firstLine(reply?.text ?? 'no result came back')}`);
      continue;
    }
    const text = yield* completeText(path, reply.text);
    if (text.partial) run.notes.add(partialNote(run, text));
    texts.push(text);
  }
  return texts;
}

/** Keeps the files that mention the selection's phrases. */
export function* keepMentioning(run: Run, paths: readonly string[], mentions: Selection['mentions']): Asking<string[]> {
  if (mentions.phrases.length === 0) return [...paths];
  const texts = yield* readFiles(run, paths);
  const has = (text: string) => {
    const found = mentions.phrases.filter((phrase) => countOccurrences(text, phrase) > 0);
    return mentions.needsAll ? found.length === mentions.phrases.length : found.length > 0;
  };
  return texts.filter(({ text }) => has(text) !== mentions.isNegated).map(({ path }) => path);
}

/** A file and how much it has of what is measured. */
export interface Measured {
  readonly path: string;
  readonly value: number;
  readonly isPartial: boolean;
}

/** Measures files, in their order. */
export function* measureFiles(run: Run, paths: readonly string[], measure: Measure): Asking<Measured[]> {
  if (measure.kind === 'size' || measure.kind === 'age') return yield* measureByInfo(run, paths, measure.kind);
  const texts = yield* readFiles(run, paths);
  return texts.map(({ path, text, partial }) => ({ path, value: measureText(text, measure), isPartial: partial !== undefined }));
}

function measureText(text: string, measure: Measure): number {
  switch (measure.kind) {
    case 'lines':
      return linesOf(text).length;
    case 'words':
      return countWords(text);
    case 'characters':
      return [...text].length;
    case 'headings':
      return headingsOf(text).length;
    case 'todos':
      return todoLines(text).length;
    case 'emails':
      return emailsIn(text).length;
    case 'urls':
      return urlsIn(text).length;
    case 'numbers':
      return numbersIn(text).length;
    case 'occurrences':
      return countOccurrences(text, measure.phrase);
    case 'size':
    case 'age':
      throw new Error(`${measure.kind} is not measured in a text`);
  }
}

function* measureByInfo(run: Run, paths: readonly string[], kind: 'size' | 'age'): Asking<Measured[]> {
  requireTool(run.workspace.tools, 'get_file_info', 'learn sizes and dates of files');
  const allowed = withinLimit(run, paths);
  const replies = yield* askAll(allowed.map((path) => ({ tool: 'get_file_info', args: { path } })));
  return allowed.flatMap((path, index) => {
    const info = replies[index];
    const value =
      kind === 'size'
        ? Number(/^size: (\d+)$/m.exec(info?.text ?? '')?.[1])
        : Date.parse(/^modified: (.+)$/m.exec(info?.text ?? '')?.[1] ?? '');
    if (info && !info.isError && Number.isFinite(value)) return [{ path, value, isPartial: false }];
    run.notes.add(`I could not learn about ${shownPath(run.workspace, path)}: ${firstLine(info?.text ?? 'no result came back')}`);
    return [];
  });
}

/** The measured files that are most (or least), ties included beyond `count`. */
export function pickFrom(measured: readonly Measured[], { direction, count, bound }: Pick): Measured[] {
  const sign = direction === 'most' ? 1 : -1;
  const passing = measured.filter(({ value }) => bound === undefined || (value - bound) * sign > 0);
  const sorted = passing.toSorted((left, right) => (right.value - left.value) * sign);
  const last = sorted[Math.min(count, sorted.length) - 1];
  return last ? sorted.filter(({ value }, index) => index < count || value === last.value) : [];
}

function withinLimit(run: Run, paths: readonly string[]): string[] {
  const allowed = paths.filter((path) => {
    if (run.paths.has(path)) return true;
    if (run.paths.size >= MAX_FILES_READ) return false;
    run.paths.add(path);
    return true;
  });
  if (allowed.length < paths.length) {
    run.notes.add(
      `I read at most ${MAX_FILES_READ} files for a task: ${allowed.length} of these ${paths.length} were looked at, so this answer is partial.`,
    );
  }
  return allowed;
}

function partialNote(run: Run, { path, partial }: FileText): string {
  return `${shownPath(run.workspace, path)} was cut: I saw ${partial?.shownBytes} of ${partial?.totalBytes} bytes, so figures about it are partial.`;
}

function noteBinaries(run: Run, paths: readonly string[]): void {
  const binaries = paths.filter(isBinary);
  if (binaries.length > 0)
    run.notes.add(
      `Not read, because not text: ${binaries
        .slice(0, 5)
        .map((path) => shownPath(run.workspace, path))
        .join(', ')}${binaries.length > 5 ? ` and ${binaries.length - 5} more` : ''}.`,
    );
}

/** One missing place among several is a note; a missing only place ends the request. */
function* resolveOrNote(run: Run, place: Place, placeCount: number): Asking<Entry[]> {
  try {
    return yield* resolvePlace(run, place);
  } catch (error) {
    if (!(error instanceof CannotGoOn) || placeCount === 1) throw error;
    run.notes.add(error.message);
    return [];
  }
}

function* resolvePlace(run: Run, place: Place): Asking<Entry[]> {
  const { workspace } = run;
  if (workspace.roots.includes(place.written)) return [{ path: place.written, isFolder: true }];
  for (const root of workspace.roots) {
    const found = yield* lookAt(run, pathUnder(root, place.written), place.expects);
    if (found) return [found];
  }
  const elsewhere = yield* findElsewhere(run, place);
  if (elsewhere.length > 0) return elsewhere;
  if (place.expects === 'file') return [{ path: pathUnder(workspace.roots[0] ?? '.', place.written), isFolder: false }];
  const kind = place.expects === 'folder' ? 'folder' : 'file or folder';
  throw new CannotGoOn(`I found no ${kind} named "${place.written}" in the workspace.`);
}

/** Looks whether a path is there, with the cheapest tool that tells. */
function* lookAt(run: Run, path: string, expects: Place['expects']): Asking<Entry | undefined> {
  const { tools } = run.workspace;
  if (tools.has('get_file_info')) {
    const [info] = yield* askAll([{ tool: 'get_file_info', args: { path } }]);
    if (!info || info.isError) {
      if (info && /access denied/i.test(info.text)) throw new CannotGoOn(`I may not look at ${path}: ${firstLine(info.text)}`);
      return undefined;
    }
    return { path, isFolder: /^isDirectory: true$/m.test(info.text) };
  }
  if (expects === 'file') return { path, isFolder: false };
  const listing = yield* listFolder(run.workspace, path);
  return listing && { path, isFolder: true };
}

/** A name without a path may lie deeper: the shallowest matches count. */
function* findElsewhere(run: Run, place: Place): Asking<Entry[]> {
  if (place.written.startsWith('/') || place.written.includes('..')) return [];
  const found = (yield* findByName(run.workspace, place.written)).filter(({ isFolder }) => place.expects !== 'folder' || isFolder);
  const [first] = found;
  if (!first) return [];
  const depth = first.path.split('/').length;
  const nearest = found.filter(({ path }) => path.split('/').length === depth);
  const shown = nearest.map(({ path }) => shownPath(run.workspace, path));
  if (!shown.includes(place.written)) run.notes.add(`By "${place.written}" I understood ${shown.join(' and ')}.`);
  return nearest;
}

function* entriesOf(run: Run, folder: string, isDeep: boolean): Asking<readonly Entry[]> {
  const listing = yield* isDeep ? walkFolder(run.workspace, folder) : listFolder(run.workspace, folder);
  if (!listing) throw new CannotGoOn(`I could not list ${shownPath(run.workspace, folder)}.`);
  for (const note of listing.notes) run.notes.add(note);
  return listing.entries;
}

const rootPlace = (root: string): Place => ({ written: root, expects: 'folder' });
const uniqueEntries = (entries: readonly Entry[]) => [...new Map(entries.map((entry) => [entry.path, entry])).values()];
const firstLine = (text: string) => (text.split('\n')[0] ?? '').slice(0, 200);

function isBinary(path: string): boolean {
  return BINARY_EXTENSIONS.has(extensionOf(path));
}

function extensionOf(path: string): string {
  return /\.([^./]+)$/.exec(path)?.[1]?.toLowerCase() ?? '';
}

function matches(run: Run, entry: Entry, selection: Selection): boolean {
  const typed = selection.extensions.length === 0 || (!entry.isFolder && selection.extensions.includes(extensionOf(entry.path)));
  return typed && selection.names.every((name) => matchesName(shownPath(run.workspace, entry.path), name));
}

function matchesName(path: string, { kind, text }: NameFilter): boolean {
  const name = path.slice(path.lastIndexOf('/') + 1).toLowerCase();
  const wanted = text.toLowerCase();
  switch (kind) {
    case 'is':
      return (
        name === wanted ||
        path.toLowerCase() === wanted ||
        path.toLowerCase().endsWith(`/${wanted}`) ||
        name.replace(/\.[^.]+$/, '') === wanted
      );
    case 'contains':
      return name.includes(wanted);
    case 'starts':
      return name.startsWith(wanted);
    case 'ends':
      return name.endsWith(wanted) || name.replace(/\.[^.]+$/, '').endsWith(wanted);
    case 'glob':
      return matchesGlob(wanted.includes('/') ? path.toLowerCase() : name, wanted.replace(/^\*\*\//, ''));
  }
}

/** `*` and `**` without backtracking over more than the pieces between them. */
function matchesGlob(name: string, glob: string): boolean {
  const pieces = glob.split(/\*+/);
  const first = pieces[0] ?? '';
  const last = pieces.at(-1) ?? '';
  if (pieces.length === 1) return name === glob;
  if (!name.startsWith(first) || !name.endsWith(last) || name.length < first.length + last.length) return false;
  let from = first.length;
  for (const piece of pieces.slice(1, -1)) {
    const at = name.indexOf(piece, from);
    if (at < 0) return false;
    from = at + piece.length;
  }
  return from <= name.length - last.length;
}
