import { expect, test } from 'vitest';
import { checkHostAndOrigin } from './host-check.ts';

const rules = { allowedHosts: ['mandate.example'] };
const check =
  (host: string | undefined, method = 'GET', origin?: string) =>
  () =>
    checkHostAndOrigin(rules, { host, method, origin });

test.each(['localhost', 'localhost:8080', '127.0.0.1:8080', '127.1.2.3', '[::1]:8080', 'mandate.example', 'MANDATE.example:443'])(
  'answers under the host %s',
  (host) => {
    expect(check(host)).not.toThrow();
  },
);

test.each([
  undefined,
  '',
  'evil.example',
  'localhost.evil.example',
  '127.0.0.1.evil.example',
  'user@localhost',
  'localhost/x',
  '0.0.0.0',
  '192.168.1.4',
])('refuses the host %j', (host) => {
  expect(check(host)).toThrow(expect.objectContaining({ status: 403, code: 'HostNotAllowed' }));
});

test('a page of its own origin, or of an allowed host, may change things', () => {
  expect(check('localhost:8080', 'POST', 'http://localhost:8080')).not.toThrow();
  expect(check('mandate.example', 'POST', 'https://mandate.example')).not.toThrow();
  expect(check('localhost:8080', 'POST')).not.toThrow();
});

test.each(['http://evil.example', 'http://localhost:3000', 'null', 'file://x', 'garbage'])('a page of %s may not', (origin) => {
  expect(check('localhost:8080', 'POST', origin)).toThrow(expect.objectContaining({ status: 403, code: 'OriginNotAllowed' }));
  expect(check('localhost:8080', 'GET', origin)).not.toThrow();
});
