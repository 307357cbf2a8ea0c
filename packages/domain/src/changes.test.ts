import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Change, changes } from './changes.ts';

type Node = Record<string, unknown> | unknown[];

/** What somebody who holds `from` and the changes gets. */
function applied(from: unknown, all: readonly Change[]): unknown {
  const whole = { root: structuredClone(from) };
  // From the end: what is taken off the end of a list must not move what stands before it.
  for (const change of all.toReversed()) {
    const keys = [
      'root',
      ...change.path
        .split('/')
        .slice(1)
        .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~')),
    ];
    const last = keys.pop() ?? '';
    const holder = keys.reduce<Node>((node, key) => (node as Record<string, Node>)[key] as Node, whole);
    if ('to' in change) (holder as Record<string, unknown>)[last] = structuredClone(change.to);
    else if (Array.isArray(holder)) holder.splice(Number(last), 1);
    else delete holder[last];
  }
  return whole.root;
}

const json = fc.jsonValue({ maxDepth: 4 }).filter((value) => !JSON.stringify(value).includes('__proto__'));

describe('changes', () => {
  it('name each field that differs, what it was and what it is', () => {
    expect(changes({ a: 1, b: { 'c/d': [1, 2] }, e: null }, { b: { 'c/d': [1, 3, 4] }, e: 0, a: 1, f: {} })).toEqual([
      { path: '/b/c~1d/1', from: 2, to: 3 },
      { path: '/b/c~1d/2', to: 4 },
      { path: '/e', from: null, to: 0 },
      { path: '/f', to: {} },
    ]);
    expect(changes({ a: [] }, { a: {} })).toEqual([{ path: '/a', from: [], to: {} }]);
    expect(changes(1, undefined)).toEqual([{ path: '', from: 1 }]);
  });

  it('are none between equal values, whatever the order of their fields and whatever is undefined', () => {
    expect(changes({ a: 1, b: { c: undefined, d: 2 } }, { b: { d: 2 }, a: 1, e: undefined })).toEqual([]);
    fc.assert(
      fc.property(json, (value) => {
        expect(changes(value, structuredClone(value))).toEqual([]);
      }),
    );
  });

  it('make the one of the other, and those of two steps make the whole way', () => {
    fc.assert(
      fc.property(json, json, json, (a, b, c) => {
        expect(applied(a, changes(a, b))).toEqual(b);
        expect(applied(applied(a, changes(a, b)), changes(b, c))).toEqual(applied(a, changes(a, c)));
      }),
    );
  });
});
