import { expect, test } from 'vitest';
import { compileCheck, SchemaUnusable } from './argument-check.ts';

const path = {
  type: 'object',
  properties: { path: { type: 'string' }, depth: { enum: [1, 2] }, inner: { type: 'object', properties: { n: { type: 'integer' } } } },
  required: ['path'],
  additionalProperties: false,
};

test.each([
  [{ path: 'a' }, undefined],
  [{}, "arguments must have required property 'path'"],
  [{ path: 7 }, 'arguments.path must be string'],
  [{ path: 'a', inner: { n: 'x' } }, 'arguments.inner.n must be integer'],
  [{ path: 'a', depth: 3 }, 'arguments.depth must be equal to one of the allowed values ([1,2])'],
  [{ path: 'a', pth: 1 }, 'arguments must NOT have additional properties ("pth")'],
])('%j: %s', (args, problem) => {
  expect(compileCheck(path)(args)).toBe(problem);
});

test('a problem names the path and never the value', () => {
  expect(compileCheck(path)({ path: { secret: 'hunter2' } })).not.toContain('hunter2');
});

test('draft-07 is read as draft-07, everything else as 2020-12', () => {
  const tuple = { type: 'object', properties: { pair: { type: 'array', items: [{ type: 'string' }], additionalItems: false } } };
  expect(compileCheck({ ...tuple, $schema: 'http://json-schema.org/draft-07/schema#' })({ pair: ['a', 1] })).toContain('arguments.pair');
  const prefix = { type: 'object', properties: { pair: { type: 'array', prefixItems: [{ type: 'string' }], items: false } } };
  expect(compileCheck(prefix)({ pair: ['a', 1] })).toContain('arguments.pair');
  expect(compileCheck({ ...prefix, $schema: 'https://json-schema.org/draft/2020-12/schema' })({ pair: ['a'] })).toBeUndefined();
});

test('references within the schema are followed, and recursion with them', () => {
  const tree = {
    type: 'object',
    properties: { left: { $ref: '#' }, value: { $ref: '#/$defs/value' } },
    $defs: { value: { type: 'number' } },
  };
  expect(compileCheck(tree)({ left: { left: { value: 1 } } })).toBeUndefined();
  expect(compileCheck(tree)({ left: { left: { value: 'x' } } })).toBe('arguments.left.left.value must be number');
});

test('two schemas may hold the same inner id, and neither sees the other', () => {
  const named = (type: string) => ({ type: 'object', properties: { a: { $id: 'https://example.com/inner', type } } });
  expect(compileCheck(named('string'))({ a: 'x' })).toBeUndefined();
  expect(compileCheck(named('number'))({ a: 'x' })).toBe('arguments.a must be number');
  expect(compileCheck(named('string'))({ a: 1 })).toBe('arguments.a must be string');
});

const deep = (levels: number): unknown => (levels === 0 ? {} : { properties: { a: deep(levels - 1) } });

test.each([
  ['a reference to elsewhere', { $ref: 'http://127.0.0.1:1/schema.json' }],
  ['a reference to a file', { properties: { a: { $ref: 'file:///etc/passwd' } } }],
  ['a dynamic reference to elsewhere', { $dynamicRef: 'other#x' }],
  ['too many levels', deep(40)],
  ['too many bytes', { description: 'x'.repeat(70_000) }],
  ['no schema', { type: 'no such type' }],
  ['a pattern that is none', { properties: { a: { pattern: '(' } } }],
  ['a dangling reference', { $ref: '#/$defs/none' }],
  ['not an object', 'schema'],
])('%s makes a schema unusable', (_, schema) => {
  expect(() => compileCheck(schema)).toThrow(SchemaUnusable);
});

test('a web of references that doubles at every step is broken off', () => {
  const $defs = Object.fromEntries(
    Array.from({ length: 30 }, (_, i) => [
      `d${i}`,
      i === 29 ? { type: 'string' } : { allOf: [{ $ref: `#/$defs/d${i + 1}` }, { $ref: `#/$defs/d${i + 1}` }] },
    ]),
  );
  expect(compileCheck({ type: 'object', properties: { a: { $ref: '#/$defs/d0' } }, $defs })({ a: 'x' })).toBe(
    'too expensive to check against the schema',
  );
});

test('a pattern that backtracks for ever is broken off', () => {
  const check = compileCheck({ type: 'object', properties: { a: { type: 'string', pattern: '^(a+)+$' } } });
  expect(check({ a: 'aaaa' })).toBeUndefined();
  expect(check({ a: `${'a'.repeat(60)}!` })).toBe('too expensive to check against the schema');
});

test('a schema that refers to itself for ever is refused, not followed', () => {
  const check = compileCheck({ allOf: [{ $ref: '#' }] });
  expect(check({})).toBe('too expensive to check against the schema');
});
