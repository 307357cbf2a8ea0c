import { isRequestId } from '@mandate/domain';
import { expect, test } from 'vitest';
import { randomRequestId, requestIdOf } from './request-id.ts';

test('the same key of a tenant is the same request, of another tenant another one', () => {
  expect(requestIdOf('acme', 'order 7')).toBe(requestIdOf('acme', 'order 7'));
  expect(requestIdOf('acme', 'order 7')).not.toBe(requestIdOf('globex', 'order 7'));
  expect(requestIdOf('acme', 'order 7')).toMatch(/^k[a-z2-7]{26}$/);
});

test('without a key every request is its own', () => {
  expect(requestIdOf('acme', undefined)).not.toBe(requestIdOf('acme', undefined));
  expect(isRequestId(randomRequestId())).toBe(true);
});

test.each(['', 'x'.repeat(256), 'naïve', 'a\tb'])('refuses the key %j', (key) => {
  expect(() => requestIdOf('acme', key)).toThrow(expect.objectContaining({ status: 400, code: 'IdempotencyKeyInvalid' }));
});
