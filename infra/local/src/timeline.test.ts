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
    '   0.250 s          attempt.settled      offline/rules-1 wants files.search_files; 120 tokens, $0.0015, in 12 ms',
  );
});

test.each([
  [
    'mandate.granted',
    {
      agent: 'a0-1',
      parent: 'a0',
      depth: 1,
      role: 'analyst@1',
      limits: { moneyMicroUsd: 200_000, modelCalls: 5, toolCalls: 9 },
      tools: [{}],
    },
    'a0-1    mandate.granted      analyst@1 at depth 1 under a0: at most $0.20, 5 model calls, 9 tool calls, 1 tools',
  ],
  [
    'decision.made',
    {
      agent: 'a0',
      pattern: 'router',
      chosenBy: 'analysis',
      reasons: ['tier.simple'],
      weighed: [
        { pattern: 'router', score: 0.75, verdict: 'chosen' },
        { pattern: 'direct', score: 0.2, verdict: 'lower' },
        { pattern: 'swarm', score: 0.1, verdict: 'lower' },
        { pattern: 'parallel', score: 0, verdict: 'lower' },
      ],
    },
    'pattern router (0.75), before direct (0.20) and swarm (0.10), chosen by analysis, tier.simple',
  ],
  [
    'decision.made',
    { agent: 'a0-1', pattern: 'direct', chosenBy: 'parent', reasons: ['parent'], weighed: [] },
    'pattern direct, chosen by parent',
  ],
  [
    'attempt.reserved',
    { agent: 'a0', owes: { kind: 'llm', part: { name: 'join' } }, reservation: { moneyMicroUsd: 5 } },
    'asks a model to join the results, reserved $0.000005',
  ],
  ['attempt.reserved', { agent: 'a0', owes: { kind: 'llm', part: { name: 'consult', to: { role: 'qa@1' } } } }, 'asks qa@1 a question'],
  [
    'agent.ended',
    { agent: 'a0-1', end: { kind: 'answered', bytes: 12 }, spent: { moneyMicroUsd: 100, tokens: 3, modelCalls: 2, toolCalls: 1 } },
    'answered with 12 bytes; spent $0.0001, 3 tokens, 2 model calls, 1 tool calls',
  ],
  ['agent.ended', { agent: 'a0-1', end: { kind: 'failed', code: 'X', message: 'Why.' }, spent: {} }, 'failed: X: Why.; spent $0.00'],
  ['agent.stopped', { agent: 'a0-1', as: 'cancelled', code: 'Y', message: 'No.' }, 'starts nothing more (cancelled): Y: No.'],
  ['agent.handed_over', { agent: 'a0', from: 'qa@1', to: { role: 'devops@1' } }, 'qa@1 hands over to devops@1'],
  [
    'mandate.warned',
    { agent: 'a0', dimensions: ['modelCalls', 'time'], left: { modelCalls: 3 } },
    'nearly used up: modelCalls, time; left are $0.00, 0 tokens, 3 model calls',
  ],
  ['mandate.topped_up', { added: { moneyMicroUsd: 2_000_000, tokens: 7 } }, 'raised by $2.00, 7 tokens'],
  ['allowance.asked', { moneyMicroUsd: 1_000_000 }, 'asks the account for $1.00'],
  [
    'allowance.answered',
    { granted: false, code: 'QuotaExceeded', message: 'Used up.' },
    'the account does not lend it: QuotaExceeded: Used up.',
  ],
  ['allowance.answered', { granted: true }, 'the account lends it'],
])('%s says what it is about', (type, data, text) => {
  expect(line(type, data)).toContain(text);
});

test('equal calls of one turn are counted', () => {
  const calls = [{ tool: 'delegate' }, { tool: 'consult' }, { tool: 'delegate' }];
  expect(line('attempt.settled', { outcome: 'succeeded', answer: { kind: 'llm', calls } })).toContain('wants delegate ×2, consult;');
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
