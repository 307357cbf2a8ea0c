import { expect, test } from 'vitest';
import { binaryArray, Unstorable } from './binary-arrays.ts';

test('texts are lengths and bytes behind a header; null has the length -1', () => {
  expect(binaryArray('text', ['ü', null]).toString('hex')).toBe(
    '00000001' + '00000001' + '00000019' + '00000002' + '00000001' + '00000002c3bc' + 'ffffffff',
  );
});

test('no values are an array without dimensions', () => {
  expect(binaryArray('int4', []).toString('hex')).toBe('00000000' + '00000000' + '00000017');
});

test.each([
  ['int2', 70_000],
  ['int4', 5_000_000_000],
  ['int8', 2 ** 60],
  ['int4', 1.5],
  ['int4', 'x'],
  ['text', 5],
] as const)('a column of %s cannot hold %s', (type, value) => {
  expect(() => binaryArray(type, [value])).toThrow(Unstorable);
});
