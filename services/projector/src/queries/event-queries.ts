import { LIMITS, type TimelineEvent } from '@mandate/contracts';
import type { ContentReader } from '@mandate/event-store';
import type { TimelineRow } from '../models/timeline.ts';
import type { QueryHandlers } from './answer-queries.ts';
import { isThere } from './content.ts';
import { projectedTask } from './projected-task.ts';

/** An answer is one message on the bus, at most `LIMITS.messageBytes`; the rest is room for its frame. */
const PAGE_BYTES = LIMITS.messageBytes - 64 * 1024;
/** Contents of one page are held in memory at once. */
const CONTENT_ROWS = 25;

/** Whom an event tells of: it says so, or names an attempt or a step of theirs. */
const AGENT = `coalesce(data->>'agent', split_part(coalesce(data->>'attempt', data->>'step'), '_s', 1))`;

export const eventQueries = (contents: ContentReader): Pick<QueryHandlers, 'events.list'> => ({
  'events.list': async ({ tenant, workflow, after, limit, include, agent, types, minVersion }, own) => {
    // The task first: no event up to its version can be missing afterwards.
    const task = await projectedTask(own, tenant, workflow, minVersion);
    const mostRows = include === 'content' ? Math.min(limit, CONTENT_ROWS) : limit;
    const { rows } = await own.query<TimelineRow>({
      name: 'events',
      text: `select * from timeline where workflow = $1 and tenant = $2 and version > $3 and version <= $4
         and ($6::text is null or ${AGENT} = $6) and ($7::text[] is null or type = any($7)) order by version limit $5`,
      values: [workflow, tenant, after, task.version, mostRows, agent ?? null, types ?? null],
    });
    const wanted = include === 'content' && isThere(task) ? rows.filter((row) => row.has_content) : [];
    const texts =
      wanted.length === 0
        ? new Map<string, unknown>()
        : await contents.read(wanted.map((row) => ({ stream: workflow, version: row.version })));
    const events = rows.map((row) =>
      timelineEventOf(row, include === 'content' ? (texts.get(`${workflow}/${row.version}`) ?? null) : undefined),
    );
    const items = fitting(events);
    const isAll = rows.length < mostRows && items.length === events.length;
    const upTo = isAll ? Math.max(after, task.version) : (items.at(-1)?.version ?? after);
    return { items, version: task.version, upTo, ended: task.closed, resumable: task.resumable, erasedAt: task.erased_at };
  },
});

const timelineEventOf = (row: TimelineRow, content: unknown): TimelineEvent => ({
  id: row.id,
  type: row.type,
  version: row.version,
  at: row.at,
  actor: row.actor,
  causation: row.causation,
  correlation: row.correlation,
  data: row.data,
  ...(content === undefined ? {} : { content }),
});

/** The first of them that fit into one page. A content that is larger than a page by itself is left out, and says so. */
export function fitting(items: readonly TimelineEvent[], mostBytes = PAGE_BYTES): TimelineEvent[] {
  const page: TimelineEvent[] = [];
  let bytes = 0;
  for (const item of items) {
    const itemBytes = jsonBytes(item);
    if (page.length > 0 && bytes + itemBytes > mostBytes) break;
    page.push(itemBytes > mostBytes ? { ...item, content: { omitted: true, bytes: jsonBytes(item.content) } } : item);
    bytes += itemBytes;
  }
  return page;
}

const jsonBytes = (value: unknown): number => Buffer.byteLength(JSON.stringify(value));
