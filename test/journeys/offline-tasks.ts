/*
 * Thirty tasks for the offline provider, their file trees and their oracles.
 *
 * An oracle computes what an answer must say straight from the tree in memory. It
 * shares no code with the provider and counts by plain loops where the provider uses
 * expressions, so that one mistake is not made twice.
 */
import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** Relative path → content. */
export type FileTree = Readonly<Record<string, string>>;

/** One task: its tree, its words, and how the expected answer is derived. */
export interface OfflineTask {
  readonly id: string;
  readonly tree: string | { readonly seed: number };
  readonly kind: string;
  readonly task: string;
  readonly oracle: Oracle;
  readonly derivation: string;
}

interface Oracle {
  readonly files?: 'paths' | 'mention';
  readonly count?: 'paths' | 'occurrences';
  readonly noun?: string;
  readonly pick?: TreeMeasure;
  readonly direction?: 'most' | 'least';
  readonly then?: TreeMeasure;
  readonly sum?: TreeMeasure;
  readonly each?: TreeMeasure | readonly TreeMeasure[];
  readonly under?: string;
  readonly deep?: boolean;
  readonly extension?: string;
  readonly nameHas?: string;
  readonly word?: string;
  readonly path?: string;
  readonly quote?: readonly [number, number];
  readonly lines?: readonly string[];
  readonly absent?: readonly string[];
  readonly compare?: readonly [string, string];
  readonly field?: readonly string[];
  readonly headings?: boolean;
  readonly summary?: number;
}

type TreeMeasure = 'lines' | 'words' | 'occurrences';

/** What an answer must hold, must not hold, and quotes that must stand in a file. */
export interface ExpectedFacts {
  readonly present: readonly string[];
  readonly absent: readonly string[];
  readonly quotesFrom?: { readonly text: string; readonly count: number };
}

const catalogue = JSON.parse(readFileSync(new URL('offline-tasks.json', import.meta.url), 'utf8')) as {
  readonly trees: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
  readonly tasks: readonly OfflineTask[];
};

/** The thirty tasks. */
export const offlineTasks: readonly OfflineTask[] = catalogue.tasks;

/** The tree that a task is about. */
export function treeOf({ tree }: OfflineTask): FileTree {
  if (typeof tree !== 'string') return randomTree(tree.seed);
  const files = catalogue.trees[tree] ?? {};
  return Object.fromEntries(Object.entries(files).map(([path, lines]) => [path, lines.join('\n')]));
}

/** Writes a tree into a folder. */
export async function writeTree(folder: string, tree: FileTree): Promise<void> {
  for (const [path, content] of Object.entries(tree)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), content);
  }
}

const VOCABULARY =
  'river lantern copper meadow signal winter harbour ladder orange planet quiet random silver timber violet window yellow anchor bridge candle'.split(
    ' ',
  );

/** A tree from a seed: folders docs, notes, data; some files are always there. */
function randomTree(seed: number): FileTree {
  const random = randomFrom(seed);
  const pick = <Item>(items: readonly Item[]) => items[Math.floor(random() * items.length)] as Item;
  const upTo = (least: number, most: number) => least + Math.floor(random() * (most - least + 1));
  const sentence = () => {
    const words = Array.from({ length: upTo(4, 11) }, () => pick(VOCABULARY));
    return `${words[0]?.charAt(0).toUpperCase()}${words.join(' ').slice(1)}.`;
  };
  const paragraph = () => Array.from({ length: upTo(1, 4) }, sentence).join(' ');
  const markdown = () => {
    const sections = Array.from({ length: upTo(1, 4) }, (_, index) => [
      `## ${pick(VOCABULARY)} ${index + 1}`,
      '',
      ...Array.from({ length: upTo(1, 4) }, paragraph),
      '',
    ]);
    return [`# The ${pick(VOCABULARY)} book ${upTo(1, 99)}`, '', ...sections.flat()].join('\n');
  };
  const plain = () =>
    `${Array.from({ length: upTo(2, 14) }, () => Array.from({ length: upTo(2, 7) }, () => pick(VOCABULARY)).join(' ')).join('\n')}\n`;
  const tree: Record<string, string> = { 'docs/guide.md': markdown(), 'notes/a.txt': plain(), 'notes/b.txt': '' };
  const shared = (tree['notes/a.txt'] ?? '').split('\n').filter(() => random() < 0.5);
  tree['notes/b.txt'] = `${[...shared, ...plain().split('\n')].filter((line) => line !== '').join('\n')}\n`;
  tree['data/config.json'] = JSON.stringify(
    { name: pick(VOCABULARY), server: { host: 'localhost', port: upTo(1000, 9000) }, port: upTo(1, 99) },
    null,
    2,
  );
  for (let index = 0; index < upTo(4, 9); index += 1)
    tree[`docs/${pick(['', 'part/', 'part/deep/', 'more/'])}chapter-${index}.md`] = markdown();
  for (let index = 0; index < upTo(4, 12); index += 1) tree[`notes/${pick(['', 'old/', 'new/'])}note-${index}.txt`] = plain();
  for (let index = 0; index < upTo(1, 4); index += 1)
    tree[`data/${pick(['', 'raw/'])}set-${index}.json`] = JSON.stringify({
      items: Array.from({ length: upTo(1, 5) }, () => pick(VOCABULARY)),
    });
  return tree;
}

/** mulberry32: the same numbers for the same seed everywhere. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** What the answer to a task must say about a tree. */
export function expectedFacts({ oracle }: OfflineTask, tree: FileTree): ExpectedFacts {
  const present: string[] = [...(oracle.lines ?? [])];
  const absent: string[] = [...(oracle.absent ?? [])];
  const paths = pathsMeant(oracle, tree);
  const content = oracle.path === undefined ? '' : (tree[oracle.path] ?? '');
  if (oracle.files !== undefined) {
    present.push(...paths);
    absent.push(...Object.keys(tree).filter((path) => !paths.includes(path)));
  }
  if (oracle.count !== undefined) {
    const count = oracle.count === 'paths' ? paths.length : total(paths, tree, 'occurrences', oracle.word);
    present.push(`${count} ${count === 1 ? oracle.noun?.replace(/s$/, '') : oracle.noun}`);
  }
  if (oracle.sum !== undefined) present.push(said(total(paths, tree, oracle.sum), oracle.sum));
  if (oracle.pick !== undefined) present.push(...pickFacts(oracle, paths, tree));
  for (const measure of [oracle.each ?? []].flat()) {
    for (const path of oracle.path === undefined ? paths : [oracle.path])
      present.push(`${path}: ${said(measured(tree[path] ?? '', measure), measure)}`);
  }
  if (oracle.quote) present.push(...rows(content).slice(oracle.quote[0], oracle.quote[1] === 0 ? undefined : oracle.quote[1]));
  if (oracle.field)
    present.push(
      JSON.stringify(oracle.field.reduce<unknown>((value, key) => (value as Record<string, unknown>)[key], JSON.parse(content))),
    );
  if (oracle.headings) present.push(...rows(content).filter((row) => row.startsWith('#')));
  if (oracle.compare) present.push(...compareFacts(oracle.compare, tree));
  if (oracle.summary === undefined) return { present, absent };
  present.push(rows(content)[0]?.slice(2) ?? '');
  return { present, absent, quotesFrom: { text: content, count: oracle.summary } };
}

function pathsMeant(oracle: Oracle, tree: FileTree): string[] {
  if (oracle.path !== undefined) return [oracle.path];
  return Object.keys(tree).filter((path) => {
    const under = oracle.under === undefined || path.startsWith(`${oracle.under}/`);
    const near = oracle.deep === true || path.split('/').length === (oracle.under === undefined ? 1 : 2);
    const typed = oracle.extension === undefined || path.endsWith(`.${oracle.extension}`);
    const named = oracle.nameHas === undefined || (path.split('/').at(-1) ?? '').includes(oracle.nameHas);
    const says = oracle.files !== 'mention' || measured(tree[path] ?? '', 'occurrences', oracle.word) > 0;
    return under && near && typed && named && says;
  });
}

function pickFacts(oracle: Oracle, paths: readonly string[], tree: FileTree): string[] {
  const measure = oracle.pick ?? 'lines';
  const values = paths.map((path) => measured(tree[path] ?? '', measure, oracle.word));
  const best = oracle.direction === 'least' ? Math.min(...values) : Math.max(...values);
  const winners = paths.filter((_, index) => values[index] === best);
  const facts = winners.map((path) => `${path}: ${said(best, measure)}`);
  const { then } = oracle;
  if (then === undefined) return facts;
  return [...facts, ...winners.map((path) => `${path}: ${said(measured(tree[path] ?? '', then), then)}`)];
}

function compareFacts([first, second]: readonly [string, string], tree: FileTree): string[] {
  const [left, right] = [rows(tree[first] ?? ''), rows(tree[second] ?? '')];
  const facts = [said(left.length, 'lines'), said(right.length, 'lines')];
  if (left.length !== right.length) facts.push(`${left.length > right.length ? first : second} is longer`);
  const common = new Set(left.filter((row) => row !== '' && right.includes(row)));
  const onlyLeft = new Set(left.filter((row) => row !== '' && !right.includes(row)));
  const onlyRight = new Set(right.filter((row) => row !== '' && !left.includes(row)));
  facts.push(`Common lines (${common.size})`, `only in ${first} (${onlyLeft.size})`, `only in ${second} (${onlyRight.size})`);
  return [...facts, ...[...common].slice(0, 20), ...[...onlyLeft].slice(0, 20), ...[...onlyRight].slice(0, 20)];
}

const total = (paths: readonly string[], tree: FileTree, measure: TreeMeasure, word?: string) =>
  paths.reduce((sum, path) => sum + measured(tree[path] ?? '', measure, word), 0);

const said = (value: number, measure: TreeMeasure) => `${value} ${value === 1 ? measure.slice(0, -1) : measure}`;

function measured(content: string, measure: TreeMeasure, word = ''): number {
  if (measure === 'lines') return rows(content).length;
  if (measure === 'words') return content.split(/[ \t\r\n]+/).filter((piece) => piece !== '').length;
  return content
    .toLowerCase()
    .split(/[^a-z0-9_]+/)
    .filter((piece) => piece === word.toLowerCase()).length;
}

function rows(content: string): string[] {
  const all = content.split('\n');
  return content.endsWith('\n') ? all.slice(0, -1) : all;
}

export const SIGNATURE = '(answered by rules: offline provider, no language model was used)';

/** What is wrong with an answer: facts that are missing, facts that must not be there, quotes that stand nowhere, the signature. */
export function answerProblems(answer: string, facts: ExpectedFacts): readonly string[] {
  const quotes = [...answer.matchAll(/^- "(.*)" \(/gm)].map((match) => match[1] ?? '');
  return [
    ...facts.present.filter((fact) => !says(answer, fact)).map((fact) => `missing: ${fact}`),
    ...facts.absent.filter((fact) => says(answer, fact)).map((fact) => `not true: ${fact}`),
    ...quotes.filter((quote) => facts.quotesFrom?.text.includes(quote) !== true).map((quote) => `not a quote: ${quote}`),
    ...(quotes.length === (facts.quotesFrom?.count ?? 0) ? [] : [`${quotes.length} quotes`]),
    ...(answer.endsWith(SIGNATURE) ? [] : ['unsigned']),
  ];
}

/** A fact stands in an answer when no letter, digit or dash touches it. */
function says(answer: string, fact: string): boolean {
  const escaped = fact.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
  return new RegExp(`(?<![\\w/-])${escaped}(?![\\w/-])`).test(answer);
}
