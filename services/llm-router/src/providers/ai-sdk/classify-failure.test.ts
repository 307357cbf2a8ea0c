import { expect, test } from 'vitest';
import { codeOf, retryAfterMs } from './classify-failure.ts';

test.each([
  [400, 'Invalid value', 'bad_request'],
  [400, 'prompt is too long: 210000 tokens > 200000 maximum', 'context_length'],
  [400, 'The input token count (1200000) exceeds the maximum number of tokens allowed', 'context_length'],
  [400, "This model's maximum context length is 128000 tokens", 'context_length'],
  [400, 'flagged by the content_filter', 'content_filter'],
  [402, '', 'authentication'],
  [422, '', 'bad_request'],
  [429, '', 'rate_limit'],
  [503, 'Overloaded', 'overloaded'],
  [503, 'unavailable', 'server_error'],
  [529, '', 'overloaded'],
  [599, '', 'server_error'],
] as const)('%d "%s" is %s', (status, words, code) => {
  expect(codeOf(status, words)).toBe(code);
});

test('a wait is read from milliseconds, seconds or a date, and is bounded', () => {
  const now = Date.parse('2026-11-21T00:00:00Z');
  expect(retryAfterMs({ 'retry-after-ms': '250', 'retry-after': '9' }, now)).toBe(250);
  expect(retryAfterMs({ 'retry-after': '1.5' }, now)).toBe(1_500);
  expect(retryAfterMs({ 'retry-after': 'Sat, 21 Nov 2026 00:00:30 GMT' }, now)).toBe(30_000);
  expect(retryAfterMs({ 'retry-after': 'Fri, 20 Nov 2026 00:00:00 GMT' }, now)).toBe(0);
  expect(retryAfterMs({ 'retry-after': '999999' }, now)).toBe(600_000);
  expect(retryAfterMs({ 'retry-after': 'soon' }, now)).toBeUndefined();
  expect(retryAfterMs({}, now)).toBeUndefined();
});
