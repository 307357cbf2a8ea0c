/*
 * A task cut into parts that other agents can do at the same time.
 *
 * A part is given away only when its words, read again by themselves, mean what they mean in the whole task.
 */
import { suitedAgent } from './choose-agent.ts';
import type { CountedKind, FileRequest, Measure, Place } from './file-request.ts';
import { agentsIn } from './task-clauses.ts';
import { pointsBack, understandTask, type Understood } from './understand-task.ts';

/** Agents that one agent asks for, at most. */
export const MAX_PARTS = 5;

/** Without being asked to, work is given away from so many parts on. */
const WORTH_IT = 3;

/** Characters of a part's task, at most. */
const MAX_PART_LENGTH = 1_500;

/** One part of a task. */
export interface TaskPart {
  /** Stands by itself: whoever gets it knows nothing else. */
  readonly task: string;
  /** Who is to do it; undefined: nobody else, it is no part that could be given away. */
  readonly agent: string | undefined;
  readonly budgetMicroUsd?: number;
  /** The same, understood. */
  readonly asks: readonly Understood[];
}

/** How a task is divided. */
export type Division =
  /** `isSpread`: every part asks the same, each of another place. */
  | { readonly kind: 'parts'; readonly parts: readonly TaskPart[]; readonly isSpread: boolean }
  /** The same for each of what a listing finds. */
  | {
      readonly kind: 'each';
      readonly listing: FileRequest;
      readonly isAboutFolders: boolean;
      readonly work: readonly string[];
      readonly isAsked: boolean;
    };

type Request = Extract<Understood, { kind: 'request' }>;
/** A request and those that build on what it finds, or something that is no request. */
type Group = readonly [Understood, ...Understood[]];

/** Divides a task, or says that it is one piece of work. */
export function divideTask(task: string): Division | undefined {
  const { isAsked, isAlone } = agentsIn(task);
  if (isAlone) return undefined;
  const groups = groupsOf(understandTask(task));
  const [only, second] = groups;
  if (only !== undefined && second === undefined) {
    const division = eachOf(only, isAsked) ?? spreadOf(only, isAsked);
    if (division !== undefined) return division;
  }
  const parts = groups.map(partOf);
  const given = parts.filter(({ agent }) => agent !== undefined).length;
  const enough = isAsked ? given >= 1 : given >= WORTH_IT;
  return enough ? { kind: 'parts', parts, isSpread: false } : undefined;
}

/** Whether an answer speaks of every file and folder that a part names. */
export function covers(answer: string, { asks }: Pick<TaskPart, 'asks'>): boolean {
  const places = asks.flatMap((ask) => (ask.kind === 'request' ? ask.request.selection.places : []));
  return places.every(({ written }) => answer.includes(written.slice(written.lastIndexOf('/') + 1)));
}

function groupsOf(understood: readonly Understood[]): Group[] {
  const groups: [Understood, ...Understood[]][] = [];
  for (const part of understood) {
    const last = groups.at(-1);
    const buildsOn = part.kind === 'request' && last?.[0].kind === 'request' && buildsOnEarlier(part.request);
    if (buildsOn && last !== undefined) last.push(part);
    else groups.push([part]);
  }
  return groups;
}

const buildsOnEarlier = ({ selection }: FileRequest): boolean => selection.places.length === 0 || pointsBack(selection);

function partOf(group: Group): TaskPart {
  const [first] = group;
  const task = group.map(({ words }) => sentence(words)).join(' ');
  const means = task.length <= MAX_PART_LENGTH && meansTheSame(task, group);
  return { task, agent: first.kind === 'request' && means ? suitedAgent(task) : undefined, asks: group, ...budgetOf(group) };
}

function budgetOf(group: Group): { readonly budgetMicroUsd?: number } {
  const budgets = group.flatMap((part) => (part.kind === 'request' && part.budgetMicroUsd !== undefined ? [part.budgetMicroUsd] : []));
  return budgets.length === 0 ? {} : { budgetMicroUsd: Math.max(...budgets) };
}

function meansTheSame(task: string, group: Group): boolean {
  const again = understandTask(task);
  const requests = (parts: readonly Understood[]): string =>
    JSON.stringify(parts.map((part) => (part.kind === 'request' ? part.request : part.kind)));
  return requests(again) === requests(group);
}

/** The same asked of several named places: one part for each of them. */
function spreadOf(group: Group, isAsked: boolean): Division | undefined {
  const [first, ...rest] = group;
  if (first.kind !== 'request' || !rest.every((part) => part.kind === 'request' && isAnsweredByFigures(part.request))) return undefined;
  const { places } = first.request.selection;
  if (places.length < (isAsked ? 2 : WORTH_IT)) return undefined;
  const ask = askOfEach(first);
  if (ask === undefined) return undefined;
  const budget = budgetOf(group);
  const parts = shared(places.map(({ written }) => written)).map((names): TaskPart => {
    const task = sentence(`${ask(listed(names))}${names.length > 1 ? ' yourself' : ''}`);
    return { ...givenPart(task), ...budget };
  });
  return parts.every(isUnderstood) ? { kind: 'parts', parts, isSpread: true } : undefined;
}

/** "… and which is the longest?" after figures were asked for. */
function isAnsweredByFigures({ selection, action }: FileRequest): boolean {
  return (
    pointsBack(selection) &&
    selection.mentions.phrases.length === 0 &&
    (action.kind === 'name' || action.kind === 'compare' || action.kind === 'list')
  );
}

/** What is asked of each place, as a sentence about some of them. */
function askOfEach({ request, words }: Request): ((places: string) => string) | undefined {
  const { action, selection } = request;
  if (action.kind === 'compare')
    return selection.places.some(isFolder) ? undefined : (places) => `Count the lines, the words and the headings of ${places}`;
  if (selection.pick !== undefined) {
    const { measure, bound } = selection.pick;
    const isPlain = action.kind === 'name' && bound === undefined && selection.extensions.length + selection.names.length === 0;
    return isPlain && !selection.places.some(isFolder) ? countingOf(measure) : undefined;
  }
  if (!['measure', 'count-files', 'extract', 'summarise', 'read'].includes(action.kind)) return undefined;
  const run = runOf(selection.places);
  return run.test(words) ? (places) => words.replace(run, () => places) : undefined;
}

const isFolder = ({ expects }: Place): boolean => expects === 'folder';

function countingOf(measure: Measure): ((places: string) => string) | undefined {
  if (measure.kind === 'occurrences') return (places) => `How often does "${measure.phrase}" appear in ${places}`;
  const noun = NOUNS[measure.kind];
  return noun === undefined ? undefined : (places) => `Count the ${noun} of ${places}`;
}

const NOUNS: Readonly<Partial<Record<CountedKind, string>>> = {
  lines: 'lines',
  words: 'words',
  characters: 'characters',
  headings: 'headings',
  todos: 'TODO lines',
  emails: 'e-mail addresses',
  urls: 'URLs',
  numbers: 'numbers',
};

/** The places as they stand in the words: "a.md, b.md and c.md". */
function runOf(places: readonly Place[]): RegExp {
  const escaped = places.map(({ written }) => `${written.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')}/*`);
  return new RegExp(escaped.join(String.raw`(?:\s*,\s*(?:and\s+|or\s+)?|\s+(?:and|or|plus)\s+)(?:in\s+|under\s+|of\s+)?(?:the\s+)?`));
}

/** "For each folder under packages, count the files": what is listed, and what is asked of each of it. */
function eachOf(group: Group, isAsked: boolean): Division | undefined {
  const [, thing = '', first] = /^(?:for|in)\s+(?:each|every)\s+(?:of\s+the\s+)?(.+?)(?:,\s+(.+))?$/i.exec(group[0].words) ?? [];
  const noun = /\b(?:file|document|page|note|script|module|folder|directory|subfolder)s?\b/i.exec(thing)?.[0];
  if (noun === undefined || group.some(({ kind }) => kind !== 'request')) return undefined;
  const many = noun.endsWith('s') ? noun : noun.endsWith('y') ? `${noun.slice(0, -1)}ies` : `${noun}s`;
  const [listing, more] = understandTask(`List the ${thing.replace(noun, many)}`);
  if (listing?.kind !== 'request' || more !== undefined || listing.request.action.kind !== 'list') return undefined;
  const work = [...(first === undefined ? [] : [first]), ...group.slice(1).map(({ words }) => words)];
  if (work.length === 0) return undefined;
  return { kind: 'each', listing: listing.request, isAboutFolders: /^(?:sub)?folder|^director/i.test(noun), work, isAsked };
}

/** The parts of "each" once it is known what there is; undefined where that is not worth another agent. */
export function partsOfEach(
  { isAboutFolders, work, isAsked }: Extract<Division, { kind: 'each' }>,
  names: readonly string[],
): readonly TaskPart[] | undefined {
  if (names.length < (isAsked ? 2 : WORTH_IT)) return undefined;
  const askOf = (places: string, alone: string): string =>
    [`In ${places}, ${work[0] ?? ''}${alone}`, ...work.slice(1)].map(sentence).join(' ');
  const tasks = shared(names).map((some) =>
    isAboutFolders
      ? some.map((name) => askOf(quoted(name), some.length > 1 ? ' yourself' : '')).join(' ')
      : askOf(listed(some), some.length > 1 ? ' yourself' : ''),
  );
  const parts = tasks.map(givenPart);
  return parts.every(isUnderstood) ? parts : undefined;
}

const givenPart = (task: string): TaskPart => ({ task, agent: suitedAgent(task), asks: understandTask(task) });
const isUnderstood = ({ task, asks }: TaskPart): boolean => task.length <= MAX_PART_LENGTH && asks.every(({ kind }) => kind === 'request');

/** At most {@link MAX_PARTS} shares, in order, none larger by more than one. */
function shared(names: readonly string[]): string[][] {
  const count = Math.min(MAX_PARTS, names.length);
  return Array.from({ length: count }, (_, index) =>
    names.slice(Math.ceil((index * names.length) / count), Math.ceil(((index + 1) * names.length) / count)),
  );
}

const quoted = (name: string): string => (/\s/.test(name) ? `"${name}"` : name);

function listed(names: readonly string[]): string {
  const all = names.map(quoted);
  return all.length === 1 ? (all[0] ?? '') : `${all.slice(0, -1).join(', ')} and ${all.at(-1)}`;
}

/** Words as a sentence of their own. */
function sentence(words: string): string {
  const text = words.trim();
  const end = /[.?!]$/.test(text) ? '' : /^(?:which|what|where|who|how|is|are|do|does)\b/i.test(text) ? '?' : '.';
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}${end}`;
}
