import { LIMITS, type TimelineEvent } from '@mandate/contracts';
import type { ContentReader } from '@mandate/event-store';
import type { Pool } from 'pg';
import type { TimelineRow } from '../models/timeline.ts';
import type { QueryHandlers } from './answer-queries.ts';
import { projectedTask } from './projected-task.ts';

/** An answer is one message on the bus, at most `LIMITS.messageBytes`; the rest is room for its frame. */
const PAGE_BYTES = LIMITS.messageBytes - 64 * 1024;
/** Contents of one page are held in memory at once. */
const CONTENT_ROWS = 25;

export const eventQueries = (pool: Pool, contents: ContentReader): Pick<QueryHandlers, 'events.list'> => ({
  'events.list': async ({ tenant, workflow, after, limit, include, minVersion }) => {
    // The task first: no event up to its version can be missing afterwards.
    const task = await projectedTask(pool, tenant, workflow, minVersion);
    const { rows } = await pool.query<TimelineRow>({
      name: 'events',
      text: 'select * from read.timeline where workflow = $1 and tenant = $2 and version > $3 and version <= $4 order by version limit $5',
      values: [workflow, tenant, after, task.version, include === 'content' ? Math.min(limit, CONTENT_ROWS) : limit],
    });
    const wanted = include === 'content' ? rows.filter((row) => row.has_content) : [];
    const texts =
      wanted.length === 0
        ? new Map<string, unknown>()
        : await contents.read(wanted.map((row) => ({ stream: workflow, version: row.version })));
    const items = rows.map((row) =>
      timelineEventOf(row, include === 'content' ? (texts.get(`${workflow}/${row.version}`) ?? null) : undefined),
    );
    return { items: fitting(items), version: task.version, ended: task.closed };
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
