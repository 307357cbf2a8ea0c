import type { ParkedItem } from '@mandate/contracts';
import { z } from 'zod';
import { GatewayProblem } from '../http/problem.ts';

/** The last item of its kind that a page took; `end`: there are no more. */
const mark = z.union([z.tuple([z.number().int().nonnegative(), z.string().max(64)]), z.literal('end')]).nullable();
const marks = z.tuple([mark, mark]);
type Mark = z.infer<typeof mark>;
const KINDS = ['message', 'stream'] as const;

/** Reads at most so many of a kind, newest first, after the one that is named. */
export type ReadKind = (
  kind: ParkedItem['kind'],
  before: { readonly at: number; readonly id: string } | undefined,
  limit: number,
) => Promise<readonly ParkedItem[]>;

/** One page of two lists, newest first. The cursor says how far each of them was taken. @throws GatewayProblem 400 for another cursor */
export async function parkedPage(
  limit: number,
  cursor: string | undefined,
  read: ReadKind,
): Promise<{ readonly items: ParkedItem[]; readonly cursor: string | null }> {
  const from = cursor === undefined ? ([null, null] as const) : decode(cursor);
  const found = await Promise.all(
    KINDS.map(async (kind, k) => {
      const since = from[k] ?? null;
      return since === 'end' ? [] : read(kind, since === null ? undefined : { at: since[0], id: since[1] }, limit + 1);
    }),
  );
  const items = found
    .flat()
    .sort((a, b) => b.at - a.at)
    .slice(0, limit);
  const next = KINDS.map((kind, k): Mark => {
    const taken = items.filter((item) => item.kind === kind);
    const last = taken.at(-1);
    if (taken.length === (found[k]?.length ?? 0)) return 'end';
    return last === undefined ? (from[k] ?? null) : [last.at, last.id];
  });
  const isEnd = next.every((each) => each === 'end');
  return { items, cursor: isEnd ? null : Buffer.from(JSON.stringify(next)).toString('base64url') };
}

function decode(cursor: string): z.infer<typeof marks> {
  try {
    return marks.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString()));
  } catch (cause) {
    throw new GatewayProblem({
      status: 400,
      code: 'CursorInvalid',
      detail: 'The cursor is not one of this list.',
      next: 'Pass page.cursor of the previous page unchanged, or none to start over.',
      cause,
    });
  }
}
