import { QueryProblem } from './query-problem.ts';

/** Where a page ended, newest first: stable while rows are added, because it names the row and not a count. */
export interface Cursor {
  readonly at: number;
  readonly workflow: string;
  /** Of the event, in lists with several rows per workflow. */
  readonly version: number;
}

/** Opaque to clients. */
export const encodeCursor = (cursor: Cursor): string =>
  Buffer.from(JSON.stringify([cursor.at, cursor.workflow, cursor.version])).toString('base64url');

/** @throws QueryProblem when it was not made by `encodeCursor` */
export function decodeCursor(text: string): Cursor {
  try {
    const [at, workflow, version] = JSON.parse(Buffer.from(text, 'base64url').toString()) as unknown[];
    if (Number.isSafeInteger(at) && typeof workflow === 'string' && !workflow.includes('\u0000') && Number.isSafeInteger(version)) {
      return { at: at as number, workflow, version: version as number };
    }
  } catch {
    // Not ours: said below.
  }
  throw new QueryProblem(
    'CursorInvalid',
    'The cursor is not one of this list.',
    'Pass page.cursor of the previous page unchanged, or none to start over.',
  );
}

/** A page of at most `limit` rows, from one row more than was asked for. */
export function toPage<Row, Item>(
  rows: readonly Row[],
  limit: number,
  cursorOf: (row: Row) => Cursor,
  itemOf: (row: Row) => Item,
): { items: Item[]; cursor: string | null } {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return { items: shown.map(itemOf), cursor: rows.length > limit && last !== undefined ? encodeCursor(cursorOf(last)) : null };
}
