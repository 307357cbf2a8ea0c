/*
 * What one clause of a task asks, once understood. A request selects files (places,
 * filters, a pick) and then acts on them.
 */

/** Something that can be counted in one file. */
export type Measure = { readonly kind: CountedKind } | { readonly kind: 'occurrences'; readonly phrase: string };

/** What is counted, without further detail. `size` is in bytes; `age` is the time of the last change. */
export type CountedKind = 'lines' | 'words' | 'characters' | 'size' | 'age' | 'headings' | 'todos' | 'emails' | 'urls' | 'numbers';

/** What can be taken out of a file. */
export type Extract =
  | { readonly kind: 'title' | 'headings' | 'todos' | 'emails' | 'urls' | 'numbers' }
  | { readonly kind: 'lines-with' | 'lines-starting-with'; readonly phrase: string };

/** Which part of a file is shown. Counts are in lines. */
export type Part =
  | { readonly kind: 'whole' }
  | { readonly kind: 'first' | 'last'; readonly count: number }
  | { readonly kind: 'range'; readonly from: number; readonly to: number };

/** What is done with the selected files. */
export type Action =
  | { readonly kind: 'list'; readonly what: 'files' | 'folders' | 'entries' }
  | { readonly kind: 'count-files'; readonly what: 'files' | 'folders' | 'entries' }
  | { readonly kind: 'name' }
  | { readonly kind: 'measure'; readonly measures: readonly Measure[] }
  | { readonly kind: 'read'; readonly part: Part }
  | { readonly kind: 'extract'; readonly extracts: readonly Extract[] }
  | { readonly kind: 'json-field'; readonly field: string }
  | { readonly kind: 'compare' }
  | { readonly kind: 'summarise'; readonly sentences: number };

/** A condition on a file's name. */
export interface NameFilter {
  readonly kind: 'is' | 'contains' | 'starts' | 'ends' | 'glob';
  readonly text: string;
}

/** A place as written, and whether the words say that it is a folder or a file. */
export interface Place {
  readonly written: string;
  readonly expects: 'folder' | 'file' | 'either';
}

/** Which files a request is about. */
export interface Selection {
  readonly places: readonly Place[];
  /** True where the words point back: "it", "these files". */
  readonly refersBack: boolean;
  readonly depth: 'direct' | 'recursive' | 'unsaid';
  readonly extensions: readonly string[];
  readonly names: readonly NameFilter[];
  readonly mentions: { readonly phrases: readonly string[]; readonly needsAll: boolean; readonly isNegated: boolean };
  readonly pick?: Pick;
}

/** "The two longest": the files with most or least of something. */
export interface Pick {
  readonly measure: Measure;
  readonly direction: 'most' | 'least';
  readonly count: number;
  /** "More than 10" (or fewer, by direction): what does not pass it is left out. */
  readonly bound?: number;
}

/** One clause, understood. */
export interface FileRequest {
  readonly selection: Selection;
  readonly action: Action;
}
