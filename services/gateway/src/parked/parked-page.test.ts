import type { ParkedItem } from '@mandate/contracts';
import { expect, test } from 'vitest';
import { parkedPage, type ReadKind } from './parked-page.ts';

const item = (kind: ParkedItem['kind'], id: string, at: number): ParkedItem => ({ kind, id, at }) as ParkedItem;
const messages = [9, 8, 5, 5, 2].map((at, index) => item('message', `m${9 - index}`, at));
const streams = [9, 7, 5, 1].map((at, index) => item('stream', `wf_${9 - index}`, at));

/** As the stores do it: newest first, after the one that is named. */
const read: ReadKind = (kind, before, limit) => {
  const all = kind === 'message' ? messages : streams;
  const start = before === undefined ? 0 : all.findIndex((each) => each.id === before.id) + 1;
  return Promise.resolve(all.slice(start, start + limit));
};

test.each([1, 2, 3, 4, 9, 20])('pages of %i hold everything once, newest first', async (limit) => {
  const seen: ParkedItem[] = [];
  let cursor: string | undefined;
  for (let pages = 0; pages < 20; pages++) {
    const page = await parkedPage(limit, cursor, read);
    expect(page.items.length).toBeLessThanOrEqual(limit);
    seen.push(...page.items);
    if (page.cursor === null) break;
    cursor = page.cursor;
  }
  expect(seen.map(({ at }) => at)).toEqual([9, 9, 8, 7, 5, 5, 5, 2, 1]);
  expect(new Set(seen.map(({ id }) => id)).size).toBe(9);
});

test('another cursor is refused', async () => {
  await expect(parkedPage(3, 'bm90IG91cnM', read)).rejects.toMatchObject({ status: 400, code: 'CursorInvalid' });
  await expect(parkedPage(3, Buffer.from('[[1,2],null]').toString('base64url'), read)).rejects.toMatchObject({ code: 'CursorInvalid' });
});
