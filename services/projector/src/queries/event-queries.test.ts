import type { TimelineEvent } from '@mandate/contracts';
import { expect, test } from 'vitest';
import { fitting } from './event-queries.ts';

const eventOf = (version: number, content?: unknown): TimelineEvent => ({
  id: 'e',
  type: 't',
  version,
  at: 1,
  actor: 'a',
  causation: 'c',
  correlation: 'r',
  data: {},
  ...(content === undefined ? {} : { content }),
});

test('a page ends before it is larger than a message may be', () => {
  const events = [1, 2, 3].map((version) => eventOf(version, 'x'.repeat(400)));
  expect(fitting(events, 1_100).map((event) => event.version)).toEqual([1, 2]);
  expect(fitting(events, 10_000)).toEqual(events);
});

test('a content that is larger than a page is left out by name, so that reading goes on', () => {
  const [first, ...others] = fitting([eventOf(1, 'x'.repeat(2_000)), eventOf(2)], 1_000);
  expect(first).toEqual(eventOf(1, { omitted: true, bytes: 2_002 }));
  expect(others).toEqual([]);
});
