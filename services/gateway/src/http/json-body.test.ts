import { expect, test } from 'vitest';
import { parseJsonBody } from './json-body.ts';

const parse = (text: string | Buffer) => () => parseJsonBody(Buffer.from(text));

test('reads JSON as UTF-8; no body is null', () => {
  expect(parse('{"task":"für 你"}')()).toEqual({ task: 'für 你' });
  expect(parse('')()).toBeNull();
});

test('deep nesting is refused before it is parsed, brackets in strings are not nesting', () => {
  expect(parse('['.repeat(100_000))).toThrow(expect.objectContaining({ status: 400, code: 'JsonTooDeep' }));
  expect(parse(JSON.stringify({ task: '['.repeat(1_000) }))).not.toThrow();
});

test.each([['{'], ['{"a":1}x'], [Buffer.from([0x22, 0xff, 0x22])]])('refuses what is not JSON in UTF-8', (text) => {
  expect(parse(text)).toThrow(expect.objectContaining({ status: 400, code: 'JsonInvalid' }));
});
