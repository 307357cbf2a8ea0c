import { expect, test } from 'vitest';
import { decodeCursor, encodeCursor, toPage } from './cursor.ts';

const cursor = { at: 1_700_000_000_123, workflow: 'wf_03_abc', version: 7 };

test('a cursor comes back as it was made', () => {
  expect(decodeCursor(encodeCursor(cursor))).toEqual(cursor);
});

test.each(['', 'x', 'bm90IGpzb24', Buffer.from('[1,2,3]').toString('base64url'), Buffer.from('{}').toString('base64url')])(
  'refuses the foreign cursor %j',
  (text) => {
    expect(() => decodeCursor(text)).toThrow(expect.objectContaining({ code: 'CursorInvalid' }));
  },
);

test('a page has a cursor only when there is more', () => {
  const rows = [1, 2, 3];
  const page = (limit: number) =>
    toPage(
      rows,
      limit,
      (row) => ({ ...cursor, version: row }),
      (row) => row,
    );
  expect(page(3)).toEqual({ items: [1, 2, 3], cursor: null });
  expect(page(2)).toEqual({ items: [1, 2], cursor: encodeCursor({ ...cursor, version: 2 }) });
});
