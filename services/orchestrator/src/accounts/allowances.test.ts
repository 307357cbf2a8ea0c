import type { WorkflowEvent } from '@mandate/domain';
import { NONE } from '@mandate/domain';
import { expect, test } from 'vitest';
import { leasesAtTheEnd } from './allowances.ts';

const asked = (number: number, moneyMicroUsd: number): WorkflowEvent => ({
  type: 'allowance.asked',
  data: { number, moneyMicroUsd, expiresAt: 1, model: null },
});
const answered = (number: number, granted: boolean): WorkflowEvent => ({ type: 'allowance.answered', data: { number, granted } });
const failed = (moneyMicroUsd: number): WorkflowEvent => ({
  type: 'task.failed',
  data: { code: 'CostBudgetExceeded', message: '', answerAt: null, steps: 1, spent: { ...NONE, moneyMicroUsd, tokens: moneyMicroUsd } },
});
const settled = (...events: readonly WorkflowEvent[]): readonly (readonly [number, number])[] =>
  leasesAtTheEnd(events).map(({ number, spent }) => [number, spent.moneyMicroUsd]);

test('one lease becomes what the task spent', () => expect(settled(asked(1, 100), failed(70))).toEqual([[1, 70]]));

test('a top-up while it ran: the first lease is filled, the rest is the second one’s', () => {
  expect(settled(asked(1, 100), answered(1, true), asked(2, 50), answered(2, true), failed(120))).toEqual([
    [1, 100],
    [2, 20],
  ]);
  expect(settled(asked(1, 100), asked(2, 50), failed(30))).toEqual([
    [1, 30],
    [2, 0],
  ]);
});

test('a top-up after it had ended: only what it spent since then', () => {
  expect(settled(asked(1, 100), failed(80), asked(2, 60), failed(110))).toEqual([[2, 30]]);
});

test('a top-up that the account refused is no lease', () => {
  expect(settled(asked(1, 100), answered(1, true), asked(2, 50), answered(2, false), failed(90))).toEqual([[1, 90]]);
});

test('a task that began without a lease: only what it spent beyond its first mandate, or since it went on', () => {
  const granted = { type: 'mandate.granted', data: { parent: null, limits: { moneyMicroUsd: 100 } } } as unknown as WorkflowEvent;
  expect(settled(granted, asked(2, 50), answered(2, true), failed(120))).toEqual([[2, 20]]);
  expect(settled(granted, asked(2, 50), answered(2, true), failed(90))).toEqual([[2, 0]]);
  expect(settled(granted, failed(40), asked(2, 110), answered(2, true), failed(70))).toEqual([[2, 30]]);
  expect(settled(granted, asked(1, 100), failed(70))).toEqual([[1, 70]]);
});

test('the last lease takes what no lease has room for', () => {
  expect(settled(asked(1, 10), asked(2, 10), failed(30))).toEqual([
    [1, 10],
    [2, 20],
  ]);
});
