import { expect, test } from 'vitest';
import { wantedFormat } from './wanted-format.ts';

const types = { json: 'application/json', text: 'text/plain', mermaid: 'text/vnd.mermaid' } as const;

test.each([
  [undefined, 'json'],
  ['', 'json'],
  ['*/*', 'json'],
  ['text/plain', 'text'],
  ['TEXT/Plain; charset=utf-8', 'text'],
  ['text/vnd.mermaid, text/plain', 'mermaid'],
  ['application/json, text/plain, */*', 'json'],
  ['text/plain;q=0.5, text/vnd.mermaid;q=0.9', 'mermaid'],
  ['text/plain;q=0', 'json'],
  ['text/html,application/xhtml+xml,*/*;q=0.8', 'json'],
  ['image/png', 'json'],
  ['text/plain;q=nonsense', 'json'],
])('%j wants %s', (accept, format) => {
  expect(wantedFormat(accept, types)).toBe(format);
});
