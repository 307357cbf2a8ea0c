import { REFUSALS, ROOT_CEILING } from '@mandate/domain';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type ParkReason, PARK_REASONS } from './errors.ts';
import { TYPES } from './flow.ts';
import { LIMITS } from './limits.ts';
import { taskOptions } from './messages/tasks.ts';

/** docs/bus.md is written by hand; what it says about the contract is not left to memory. */
const page = readFileSync(new URL('../../../docs/bus.md', import.meta.url), 'utf8');
const example = readFileSync(new URL('../../../test/journeys/bus-client.mjs', import.meta.url), 'utf8');
const row = (code: string): string => page.split('\n').find((line) => line.startsWith(`| \`${code}\` `)) ?? `no row for ${code}`;

test('the example is the program that the tests run, and a short one', () => {
  expect(page).toContain(example.trim());
  expect(example.trim().split('\n').length).toBeLessThanOrEqual(30);
  expect([...example.matchAll(/from '(.+)'/g)].map(([, name]) => name)).toEqual(['node:fs', 'nats']);
});

/** What only a service of ours, or nobody, can be told. */
const NOT_FOR_TENANTS: readonly ParkReason[] = ['bad_signature'];
test.each(Object.entries(PARK_REASONS).filter(([reason]) => !NOT_FOR_TENANTS.includes(reason as ParkReason)))(
  '%s stands there with its next step',
  (reason, next) => {
    expect(row(reason)).toContain(next);
  },
);

test.each([
  'IdempotencyConflict',
  'MandateTooLarge',
  'PatternUnknown',
  'ModelUnknown',
  'ToolNotAllowed',
  'WorkflowUnknown',
  'WorkflowEnded',
  'ContentErased',
] as const)('%s stands there with its next step', (code) => expect(row(code)).toContain(REFUSALS[code]));

test('every option, its ceiling, every type and every size', () => {
  for (const option of Object.keys(taskOptions.shape)) expect(row(option)).toContain(option);
  const ceilings = {
    maxCostMicroUsd: ROOT_CEILING.moneyMicroUsd,
    maxTokens: ROOT_CEILING.tokens,
    maxModelCalls: ROOT_CEILING.modelCalls,
    maxToolCalls: ROOT_CEILING.toolCalls,
    deadlineMs: ROOT_CEILING.deadlineMs,
  };
  for (const [option, ceiling] of Object.entries(ceilings)) expect(row(option)).toContain(ceiling.toLocaleString('en'));
  for (const type of [
    TYPES.taskSubmit,
    TYPES.taskCancel,
    TYPES.taskFork,
    TYPES.taskErase,
    TYPES.subjectErase,
    TYPES.subjectReceipt,
    TYPES.taskReceipt,
    TYPES.taskResult,
  ])
    expect(page).toContain(type);
  expect(page).toContain(
    `${LIMITS.requestBytes / 1024} KiB and nests at most ${LIMITS.jsonDepth} levels; the task has at most ${LIMITS.taskBytes / 1024} KiB`,
  );
});
