import { expect, test } from 'vitest';
import { encodeEvent, resumeAfter } from './server-sent-events.ts';

const event = {
  id: 'wf.3',
  type: 'task.completed',
  version: 3,
  at: 1,
  actor: 'a',
  causation: 'c',
  correlation: 'r',
  data: { text: 'two\nlines\r\nand\u2028more' },
};

test('an event is one block whose id is the version', () => {
  const text = encodeEvent(event);
  expect(text.split('\n')).toEqual(['id: 3', 'event: task.completed', expect.stringMatching(/^data: \{/), '', '']);
  expect(JSON.parse(text.split('\n')[2]?.slice('data: '.length) ?? '')).toEqual(event);
});

test.each([
  [undefined, 4, 4],
  ['', 4, 4],
  ['17', 4, 17],
  ['x', 4, undefined],
  ['-1', 4, undefined],
  ['1.5', 4, undefined],
])('Last-Event-ID %j with after %i resumes after %j', (lastEventId, after, expected) => {
  expect(resumeAfter(lastEventId, after)).toBe(expected);
});
