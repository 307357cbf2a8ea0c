import fc from 'fast-check';
import { expect, test } from 'vitest';
import { jsonDepth } from './limits.ts';

/** Depth as a parser sees it. */
function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

/** Keys and strings full of what could fool a scanner. */
const tricky = fc.string({
  unit: fc.constantFrom('{', '}', '[', ']', '"', '\\', ',', ':', 'a', ' ', '\n', '\u2028', '\ud83d\ude00'),
  maxLength: 12,
});
const json = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'large', maxDepth: 40 },
    tricky,
    fc.constantFrom(0, -1.5e300, true, null),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(tricky, tie('value'), { maxKeys: 4 }),
  ),
})).value;
const space = fc.constantFrom(0, 1, '\t', 10);

test('the depth of any JSON text is what a parser makes of it', () => {
  const depths = new Set<number>();
  fc.assert(
    fc.property(json, space, (value, indent) => {
      const text = JSON.stringify(value, undefined, indent);
      depths.add(depthOf(value));
      expect(jsonDepth(text)).toBe(depthOf(JSON.parse(text)));
    }),
    { numRuns: 2_000 },
  );
  expect(Math.max(...depths)).toBeGreaterThan(5);
});

test('a text that a parser takes is never deeper than was found, whatever the characters', () => {
  const noise = fc.string({ unit: fc.constantFrom('{', '}', '[', ']', '"', '\\', ',', ':', '1'), maxLength: 8 });
  let parsed = 0;
  fc.assert(
    fc.property(noise, (text) => {
      let value: unknown;
      try {
        value = JSON.parse(text);
      } catch {
        return;
      }
      parsed += 1;
      expect(jsonDepth(text)).toBe(depthOf(value));
    }),
    { numRuns: 20_000 },
  );
  expect(parsed).toBeGreaterThan(20);
});

test('a text that would exhaust a parser is measured all the same', () => {
  expect(jsonDepth('['.repeat(1_000_000))).toBe(1_000_000);
  expect(jsonDepth('{"a":'.repeat(200_000))).toBe(200_000);
});
