import { expect, test } from 'vitest';
import { timeLimited, TookTooLong } from './time-limited.ts';

/** Waits without using the processor, as a process does that others keep from it. */
const starve = (ms: number): void => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

test('work that is done in time is done once', () => {
  let times = 0;
  expect(timeLimited(200, () => ++times)).toBe(1);
});

test('work that uses too much of the processor is broken off', () => {
  expect(() =>
    timeLimited(30, () => {
      for (;;);
    }),
  ).toThrow(TookTooLong);
});

test('work that had to wait for the processor is begun anew', () => {
  let times = 0;
  const work = (): string => {
    times += 1;
    if (times === 1) {
      starve(120);
      // Here the watchdog’s word is heard.
      for (let i = 0; i < 1e6; i++);
    }
    return 'done';
  };
  expect(timeLimited(100, work)).toBe('done');
  expect(times).toBe(2);
});

test('what the work throws is thrown', () => {
  expect(() =>
    timeLimited(200, () => {
      throw new RangeError('mine');
    }),
  ).toThrow(RangeError);
});
