import { accountPartition, allowanceOf, type CloudEvent, type InboxAddress, TYPES, workflowIdFor } from '@mandate/contracts';
import { describe, expect, it } from 'vitest';
import { type AccountRead, readAccountMessage } from './account-message.ts';

const workflow = workflowIdFor('acme', 'r1');
const usage = { modelCalls: 1, tokens: 1 };
const ask = {
  lease: 'router-1_1',
  holder: 'router',
  moneyMicroUsd: 10,
  leastMicroUsd: 10,
  slots: 1,
  key: null,
  model: null,
  waitUntil: 2_000,
  expiresAt: 2_000,
  sentAt: 1_000,
};

const read = (source: InboxAddress['source'], type: string, data: unknown): AccountRead | undefined =>
  readAccountMessage(
    { partition: accountPartition('acme'), source, tenant: 'acme' },
    { specversion: '1.0', id: 'm1', source: '/test', type, data } as CloudEvent,
    'service/test',
  );

describe('a lease', () => {
  it('of a task is asked for and settled by an orchestrator, one of a router by a router', () => {
    expect(read('llm-router', TYPES.leaseAsk, ask)).toMatchObject({ ok: true });
    expect(read('orchestrator', TYPES.leaseAsk, { ...ask, lease: `${workflow}_1`, holder: 'workflow' })).toMatchObject({ ok: true });
    expect(read('llm-router', TYPES.leaseSettle, { lease: 'router-1_1', spentMicroUsd: 0, usage })).toMatchObject({ ok: true });
    expect(read('orchestrator', TYPES.leaseSettle, { lease: `${workflow}_1`, spentMicroUsd: 0, usage })).toMatchObject({ ok: true });
  });
  it.each([
    ['a router that asks in the name of a task', 'llm-router', TYPES.leaseAsk, { ...ask, lease: `${workflow}_1` }],
    ['a router that says to be a task', 'llm-router', TYPES.leaseAsk, { ...ask, holder: 'workflow' }],
    ['a router that settles what a task has leased', 'llm-router', TYPES.leaseSettle, { lease: `${workflow}_1`, spentMicroUsd: 0, usage }],
    ['an orchestrator that settles a chunk', 'orchestrator', TYPES.leaseSettle, { lease: 'router-1_1', spentMicroUsd: 0, usage }],
    ['a tool-runner', 'tool-runner', TYPES.leaseSettle, { lease: 'router-1_1', spentMicroUsd: 0, usage }],
    ['money below nothing', 'llm-router', TYPES.leaseAsk, { ...ask, moneyMicroUsd: -1 }],
    ['money that is not whole', 'llm-router', TYPES.leaseAsk, { ...ask, leastMicroUsd: 0.5 }],
    ['money beyond what can be counted', 'llm-router', TYPES.leaseAsk, { ...ask, moneyMicroUsd: 2 ** 53 }],
    ['no money', 'llm-router', TYPES.leaseSettle, { lease: 'router-1_1', spentMicroUsd: Number.NaN, usage }],
    ['a lease with no number', 'llm-router', TYPES.leaseAsk, { ...ask, lease: 'router' }],
    ['no slot', 'llm-router', TYPES.leaseAsk, { ...ask, slots: 0 }],
  ] as const)('is refused from %s', (_, source, type, data) => {
    expect(read(source, type, data)?.ok ?? false).toBe(false);
  });
});

it.each(['_', '_0', '_-1', '_0x1', '_1e3', '_1.5', '_01', ''])('%j behind a workflow is no number of a lease', (number) => {
  expect(allowanceOf(`${workflow}${number}`)).toBeUndefined();
  expect(allowanceOf(`${workflow}_12`)).toEqual({ workflow, number: 12 });
});
