/* Which files a clause is about: places, file types, names, pointers back. */
import type { NameFilter, Place, Selection } from './file-request.ts';
import { slotOf, type Clause } from './task-clauses.ts';
import { FILE_TYPES, NOT_A_PLACE } from './task-words.ts';

const TYPES = Object.keys(FILE_TYPES).join('|');
const TYPE = String.raw`(?:<x\d+>|\.?(?:${TYPES}))`;
const FILE_NOUN = String.raw`(?:source |code |text )?(?:files?|documents?|documentation|docs|pages?|scripts?|sources?|notes?|configs?|modules?|ones)`;
const TYPED_FILES = new RegExp(
  String.raw`(?<![\w/])(${TYPE}(?:(?:\s*,\s*|\s+and\s+|\s+or\s+|\s*,\s*(?:and|or)\s+)${TYPE})*)\s+${FILE_NOUN}\b`,
  'giu',
);
const TYPE_UNDER = new RegExp(String.raw`\b(?:all|every|the|any)\s+(?:the\s+)?(${TYPE})\s+(?:in|under|inside|below|within)\b`, 'giu');
const TYPE_ENDING = new RegExp(
  String.raw`\b(?:end(?:s|ing)?\s+(?:in|with)|extensions?(?:\s+(?:of|is))?|suffix|type)\s+(${TYPE}|<[qp]\d+>)`,
  'giu',
);
const BEFORE_PLACE = 'in|under|inside|within|below|beneath|from|of|across|over|through|throughout|for';

const FOLDER_FORMS = new RegExp(
  String.raw`(?:\b(?:${BEFORE_PLACE}|the|our|my|and|list|show|search|scan|read|ls)\s+|(?=<))((?!(?:the|this|that|a|an|each|every)\s)[\w.-]+|<[qp]\d+>)\s+(?:folders?|director(?:y|ies)|dirs?)\b|\b(?:folder|directory|dir)\s+(?:named\s+|called\s+)?(<[qp]\d+>|(?!that\b|which\b|with\b|has\b|have\b|contain|(?:is|are|in|under|inside|within|below|of)\b)[\w.-]+)`,
  'giu',
);

/** The selection that a clause describes; mentions and pick are added by the caller. */
export function selectionIn(clause: Clause, taken: readonly string[], action: 'find' | 'other'): Omit<Selection, 'mentions' | 'pick'> {
  const names = namesIn(clause, taken, action);
  const usedNames = names.map(({ text }) => text);
  const extensions = extensionsIn(clause);
  return {
    places: placesIn(clause, [...taken, ...usedNames]),
    refersBack: refersBackIn(clause.words),
    depth: depthIn(clause.words),
    extensions,
    names,
  };
}

function extensionsIn(clause: Clause): string[] {
  const found = [TYPED_FILES, TYPE_UNDER, TYPE_ENDING].flatMap((form) => [...clause.words.matchAll(form)].map((match) => match[1] ?? ''));
  const typed = found.flatMap((list) => list.split(/\s*,\s*|\s+/)).filter((word) => !/^(?:and|or)?$/i.test(word));
  const globs = pathMarks(clause).flatMap((text) => /^(?:\*\*\/)?\*\.([a-z0-9]+)$/i.exec(text)?.[1] ?? []);
  return [...new Set([...typed.flatMap((word) => extensionsOf(clause, word)), ...globs.map((extension) => extension.toLowerCase())])];
}

function extensionsOf(clause: Clause, word: string): readonly string[] {
  const name = (slotOf(clause, word)?.text ?? word).replace(/^\*?\./, '').toLowerCase();
  return Object.hasOwn(FILE_TYPES, name) ? (FILE_TYPES[name] ?? [name]) : [name];
}

function pathMarks(clause: Clause): string[] {
  return (clause.words.match(/<p\d+>/g) ?? []).flatMap((mark) => slotOf(clause, mark)?.text ?? []);
}

function namesIn(clause: Clause, taken: readonly string[], action: 'find' | 'other'): NameFilter[] {
  const word = String.raw`(<[qp]\d+>|[\w.-]+)`;
  const text = (mark: string) => slotOf(clause, mark)?.text ?? mark;
  const partOfName =
    new RegExp(
      String.raw`\bnam(?:es?|ed)\b[^<]*?\b(contain|contains|containing|include|includes|including|has|have|start|starts|starting|begin|begins|beginning|end|ends|ending|match|matches|matching|like)(?:\s+(?:with|in))?\s+(?:the\s+)?(?:word\s+|string\s+|text\s+)?${word}`,
      'iu',
    ).exec(clause.words) ??
    new RegExp(String.raw`\b(with|having|containing)\s+${word}\s+in\s+(?:the|their|its)\s+(?:file\s*)?names?\b`, 'iu').exec(clause.words);
  if (partOfName?.[2]) return [{ kind: nameKind(partOfName[1] ?? ''), text: text(partOfName[2]) }];
  const named = new RegExp(String.raw`\b(?:named|called|titled|by the name(?: of)?|with the (?:file\s?)?name)\s+${word}`, 'iu').exec(
    clause.words,
  );
  const isFolderName = /\b(?:folder|directory)\s+(?:named|called)\b/i.test(clause.words) && !/\bfind|locate|where\b/i.test(clause.words);
  if (named?.[1] && !isFolderName) return [nameFilter(text(named[1]))];
  const globs = pathMarks(clause).filter((path) => path.includes('*') && !/^(?:\*\*\/)?\*\.[a-z0-9]+$/i.test(path));
  if (globs.length > 0) return globs.map((glob) => ({ kind: 'glob', text: glob }));
  if (action !== 'find') return [];
  const wanted = [...clause.words.matchAll(/(\b\w+\s+)?(<p\d+>)/g)]
    .filter(([, before]) => !new RegExp(`^(?:${BEFORE_PLACE})\\s`, 'i').test(before ?? ''))
    .map((match) => text(match[2] ?? ''));
  return wanted.filter((path) => !taken.includes(path) && !path.includes('*') && !path.endsWith('/')).map((path) => nameFilter(path));
}

function nameFilter(text: string): NameFilter {
  return { kind: text.includes('*') ? 'glob' : 'is', text };
}

function nameKind(verb: string): NameFilter['kind'] {
  if (/^(?:start|begin)/i.test(verb)) return 'starts';
  return /^end/i.test(verb) ? 'ends' : 'contains';
}

function placesIn(clause: Clause, taken: readonly string[]): Place[] {
  const { words } = clause;
  const places = new Map<string, Place>();
  const add = (written: string, expects: Place['expects']) => {
    const name = written.replace(/\/+$/, '') || written;
    if (!taken.includes(written) && !places.has(name)) places.set(name, { written: name, expects });
  };
  for (const match of words.matchAll(FOLDER_FORMS)) {
    const name = match[1] ?? match[2] ?? '';
    const slot = slotOf(clause, name);
    if (slot) add(slot.text, 'folder');
    else if (!NOT_A_PLACE.has(name.toLowerCase())) add(name, 'folder');
  }
  for (const mark of words.match(/<p\d+>/g) ?? []) {
    const path = slotOf(clause, mark)?.text ?? '';
    const glob = /^(.*?)\/?[^/]*\*.*$/.exec(path);
    if (glob) {
      if (glob[1]) add(glob[1], 'folder');
    } else if (!/[\p{L}\p{N}]/u.test(path)) continue;
    else if (path.endsWith('/')) add(path, 'folder');
    else add(path, /\.[a-z][a-z0-9]*$/i.test(path) ? 'file' : 'either');
  }
  const listed = /^(?:ls|list|tree|show|open)\s+(?:the\s+)?([\w-]+)$/i.exec(words)?.[1];
  if (listed !== undefined && isBarePlace(listed, taken)) add(listed, 'either');
  const [, several = ''] =
    new RegExp(String.raw`\b(?:${BEFORE_PLACE})\s+([\w-]+(?:\s*,\s*[\w-]+)+\s*,?\s+and\s+[\w-]+)$`, 'iu').exec(words) ?? [];
  const named = several.split(/\s*,\s*(?:and\s+)?|\s+and\s+/i);
  if (named.length > 2 && named.every((name) => isBarePlace(name, taken))) for (const name of named) add(name, 'either');
  const bare = new RegExp(
    String.raw`\b(?:${BEFORE_PLACE})\s+(?:the\s+|our\s+|my\s+)?([\w-]+)(?!\w)(?:\s+and\s+(?:the\s+)?([\w-]+)(?=\s*(?:$|[,?])))?(?!\s+(?:files?|documents?|pages?|scripts?))`,
    'giu',
  );
  for (const match of words.matchAll(bare)) {
    for (const name of [match[1], match[2]]) {
      if (name !== undefined && isBarePlace(name, taken)) add(name, 'either');
    }
  }
  return [...places.values()];
}

function isBarePlace(name: string, taken: readonly string[]): boolean {
  const isTaken = taken.some((text) => text.toLowerCase().split(/\s+/).includes(name.toLowerCase()));
  return !isTaken && !NOT_A_PLACE.has(name.toLowerCase()) && !/^\d+$/.test(name) && !Object.hasOwn(FILE_TYPES, name.toLowerCase());
}

function refersBackIn(words: string): boolean {
  return /\b(?:it|its|them|they|their|theirs|this file|that file|this one|that one|these|those|the same|the former|the latter|the (?:winner|result|results)|each one|each of|of each)\b|\b(?:the|each|every) file\b(?!\s+(?:that|which|with|in|under|named|called|<))/i.test(
    words,
  );
}

function depthIn(words: string): Selection['depth'] {
  if (
    /\b(?:directly|top[- ]level|immediate(?:ly)?|not (?:in|including) (?:sub|nested)|no subfolders|without (?:its |the )?subfolders|non-?recursive(?:ly)?|only in the root|excluding subfolders)\b/i.test(
      words,
    )
  )
    return 'direct';
  const says =
    /\b(?:recursive(?:ly)?|sub-?(?:folders|directories|folder|directory)|nested|under|below|beneath|throughout|across|anywhere|everywhere|whole|entire|tree|all|every|each)\b|\*\*/i;
  return says.test(words) ? 'recursive' : 'unsaid';
}
