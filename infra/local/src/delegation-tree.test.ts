import { describe, expect, test } from 'vitest';
import { type AgentNode, delegationTree, drawTree } from './delegation-tree.ts';
import type { TimelineEvent } from './gateway-client.ts';

let version = 0;
const event = (type: string, data: TimelineEvent['data']): TimelineEvent => ({ type, version: ++version, at: version, data });
const granted = (agent: string, moneyMicroUsd: number, role = 'analyst@1'): TimelineEvent => {
  const ids = agent.split('-');
  const parent = ids.length === 1 ? null : ids.slice(0, -1).join('-');
  return event('mandate.granted', { agent, parent, depth: ids.length - 1, role, limits: { moneyMicroUsd } });
};
const decided = (agent: string, pattern = 'direct'): TimelineEvent => event('decision.made', { agent, pattern });
const step = (agent: string, number: number): TimelineEvent => event('attempt.reserved', { agent, step: `${agent}_s${number}`, number: 1 });
const answered = (agent: string, moneyMicroUsd: number): TimelineEvent =>
  event('agent.ended', { agent, end: { kind: 'answered', bytes: 10 }, spent: { moneyMicroUsd } });
const refused = (agent: string, more: object = { slot: { part: 0 } }): TimelineEvent =>
  event('step.refused', { agent, step: `${agent}_s9`, code: 'DelegationBudgetExceeded', message: 'Too dear.', call: null, ...more });
const completed = (moneyMicroUsd: number): TimelineEvent => event('task.completed', { spent: { moneyMicroUsd }, steps: 3 });

const drawn = (events: readonly TimelineEvent[]): readonly string[] => {
  const root = delegationTree(events);
  return root === undefined ? [] : drawTree(root).map(({ text }) => text);
};

const delegated = [
  event('task.submitted', { taskBytes: 5 }),
  granted('a0', 1_000_000, 'generalist@1'),
  step('a0', 1),
  decided('a0'),
  step('a0', 2),
  step('a0', 2),
  granted('a0-1', 200_000),
  decided('a0-1'),
  refused('a0'),
  granted('a0-2', 200_000, 'researcher@1'),
  decided('a0-2', 'parallel'),
  granted('a0-1-1', 40_000),
  decided('a0-1-1'),
  step('a0-1-1', 1),
  answered('a0-1-1', 9_000),
  answered('a0-1', 12_300),
  event('agent.ended', { agent: 'a0-2', end: { kind: 'failed', code: 'TokenBudgetExceeded', message: '' }, spent: { moneyMicroUsd: 0 } }),
  completed(30_000),
];

test('the drawing has every agent under the one that sent it, with its money, and each refusal where it happened', () => {
  expect(drawn(delegated)).toEqual([
    'agent                   depth  pattern   ended                           spent  granted  steps',
    'a0 generalist@1         0      direct    completed                       $0.03    $1.00      2',
    '├─ a0-1 analyst@1       1      direct    answered                      $0.0123    $0.20      0',
    '│  └─ a0-1-1 analyst@1  2      direct    answered                       $0.009    $0.04      1',
    '├─ ✗ delegation refused: DelegationBudgetExceeded (Too dear.)',
    '└─ a0-2 researcher@1    1      parallel  failed (TokenBudgetExceeded)    $0.00    $0.20      0',
  ]);
});

test('a refusal and a failure are bad news, an end with an answer is good news', () => {
  const root = delegationTree(delegated);
  expect(root && drawTree(root).map(({ tone }) => tone)).toEqual(['quiet', 'good', 'good', 'good', 'bad', 'bad']);
});

test('before a mandate there is no tree, and a rejected task has none', () => {
  expect(delegationTree([])).toBeUndefined();
  expect(delegationTree([event('task.submitted', {}), event('task.rejected', { code: 'MandateTooLarge', message: 'x' })])).toBeUndefined();
});

describe('an agent', () => {
  const only = (events: readonly TimelineEvent[]): AgentNode | undefined =>
    delegationTree([granted('a0', 1_000_000), decided('a0'), ...events]);

  test('is at work until it ends', () => {
    expect(only([step('a0', 1)])).toMatchObject({ ended: 'at work', spentMicroUsd: undefined, steps: 1 });
    expect(drawn([granted('a0', 5), decided('a0')])[1]).toContain('at work');
  });

  test('shows that it failed and why', () => {
    expect(only([event('task.failed', { code: 'DeadlineExceeded', message: 'x', spent: { moneyMicroUsd: 7 } })])).toMatchObject({
      ended: 'failed (DeadlineExceeded)',
      spentMicroUsd: 7,
    });
  });

  test('shows its fallbacks and who it handed over to', () => {
    const handed = event('agent.handed_over', { agent: 'a0', from: 'analyst@1', to: { role: 'creator@2' } });
    expect(only([decided('a0', 'swarm'), handed])).toMatchObject({ patterns: ['direct', 'swarm'], roles: ['analyst@1', 'creator@2'] });
  });

  test('has what it was granted and what it was given later', () => {
    expect(only([event('mandate.topped_up', { added: { moneyMicroUsd: 500_000 } })])).toMatchObject({ grantedMicroUsd: 1_500_000 });
  });

  test('has refusals of three kinds', () => {
    const call = { version: 3, index: 0 };
    expect(only([refused('a0'), refused('a0', { call }), refused('a0', {})])?.under).toMatchObject([
      { what: 'delegation' },
      { what: 'call' },
      { what: 'step' },
    ]);
  });

  test('has as many steps as it took, however often each was tried', () => {
    expect(only([step('a0', 1), step('a0', 1), step('a0', 2)])?.steps).toBe(2);
  });
});

test('a message of any length leaves the drawing in its columns', () => {
  const long = refused('a0', { message: 'x'.repeat(5_000) });
  expect(Math.max(...drawn([granted('a0', 1), decided('a0'), long, completed(1)]).map(({ length }) => length))).toBeLessThan(200);
});
