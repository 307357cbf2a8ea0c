/**
 * A map that is never changed, for many entries: a copy with one entry more costs a few microseconds with thousands of
 * them, because only the shelf that the entry stands on is copied.
 */
export interface Shelves<Value> {
  readonly size: number;
  readonly shelves: readonly ReadonlyMap<string, Value>[];
}

const SHELVES = 256;
const EMPTY_SHELF: ReadonlyMap<string, never> = new Map<string, never>();

export const noEntries = <Value>(): Shelves<Value> => ({ size: 0, shelves: Array.from({ length: SHELVES }, () => EMPTY_SHELF) });

export const getEntry = <Value>(of: Shelves<Value>, key: string): Value | undefined => of.shelves[shelfOf(key)]?.get(key);

export function putEntry<Value>(of: Shelves<Value>, key: string, value: Value): Shelves<Value> {
  return withShelf(of, key, (shelf) => shelf.set(key, value));
}

export function dropEntry<Value>(of: Shelves<Value>, key: string): Shelves<Value> {
  return withShelf(of, key, (shelf) => shelf.delete(key));
}

export function entriesOf<Value>(of: Shelves<Value>): readonly (readonly [string, Value])[] {
  return of.shelves.flatMap((shelf) => [...shelf]);
}

function withShelf<Value>(of: Shelves<Value>, key: string, change: (shelf: Map<string, Value>) => void): Shelves<Value> {
  const index = shelfOf(key);
  const before = of.shelves[index] ?? EMPTY_SHELF;
  const after = new Map<string, Value>(before);
  change(after);
  return { size: of.size + after.size - before.size, shelves: of.shelves.with(index, after) };
}

/** FNV-1a (32 bit) of the key. */
function shelfOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  return (hash >>> 0) % SHELVES;
}
