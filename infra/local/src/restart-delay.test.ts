import { expect, test } from 'vitest';
import { restartDelayMs } from './restart-delay.ts';

test('the wait doubles from 200 ms and stays at 10 s', () => {
  expect([1, 2, 3, 6, 7, 8, 50].map(restartDelayMs)).toEqual([200, 400, 800, 6_400, 10_000, 10_000, 10_000]);
});
