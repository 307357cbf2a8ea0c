import { stripVTControlCharacters } from 'node:util';
import { expect, test } from 'vitest';
import { timelineLine, usd } from './timeline.ts';

function line(type: string, data: Record<string, unknown>): string {
  return stripVTControlCharacters(timelineLine({ type, version: 1, at: 1_250, data }, 1_000));
}

test('a line says when, what, and the facts that matter', () => {
  const answer = {
    kind: 'llm',
    provider: 'offline',
    model: 'rules-1',
    usage: { inputTokens: 100, outputTokens: 20 },
    costMicroUsd: 1_500,
    calls: [{ tool: 'files.search_files' }],
  };
  expect(line('attempt.settled', { outcome: 'succeeded', final: true, durationMs: 12, answer })).toBe(
    '   0.250 s  attempt.settled       offline/rules-1 wants files.search_files; 120 tokens, $0.0015, in 12 ms',
  );
});

test('a failure names its code and whether it is tried again', () => {
  expect(line('attempt.settled', { outcome: 'failed', final: false, failure: { code: 'rate_limit' } })).toContain(
    'failed: rate_limit, to be tried again',
  );
});

test('an event type of tomorrow is shown by its name', () => {
  expect(line('agent.applauded', { loudness: 3 })).toContain('agent.applauded');
});

test('money keeps its micro-dollars and at least its cents', () => {
  expect([0, 1, 1_500, 250_000, 12_000_000].map(usd)).toEqual(['$0.00', '$0.000001', '$0.0015', '$0.25', '$12.00']);
});
