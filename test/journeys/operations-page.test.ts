import { SERVICES } from '@mandate/contracts';
import { execFile } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

/** docs/operations.md is written by hand; that it names everything is not left to memory. */
const root = join(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'docs/operations.md'), 'utf8');

test.each(SERVICES)('every variable of %s is on the page', async (service) => {
  const { stdout } = await promisify(execFile)(process.execPath, [join(root, 'services', service, 'src/main.ts'), '--help']);
  const variables = [...stdout.matchAll(/^ {2}([A-Z][A-Z0-9_]+)/gm)].map(([, name]) => name ?? '');
  expect(variables.length).toBeGreaterThan(8);
  expect(variables.filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
});

test('every metric is on the page', () => {
  const sources = globSync('{services,packages}/*/src/**/*.ts', { cwd: root, exclude: ['**/*.test.ts'] });
  const metrics = sources.flatMap((file) =>
    [...readFileSync(join(root, file), 'utf8').matchAll(/name: '(mandate_[a-z_]+)'/g)].map(([, name]) => name ?? ''),
  );
  expect(metrics.length).toBeGreaterThan(10);
  expect(metrics.filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
});

test('every refusal of the HTTP door is on the page', () => {
  const sources = globSync('services/{gateway,projector}/src/**/*.ts', { cwd: root, exclude: ['**/*.test.ts'] });
  const text = sources.map((file) => readFileSync(join(root, file), 'utf8')).join('\n');
  const codes = [...text.matchAll(/(?:status: [45]\d\d,\s*code: |unavailable\(\s*)'([A-Z]\w+)'/g)].map(([, code]) => code ?? '');
  expect(codes.length).toBeGreaterThan(12);
  expect(codes.filter((code) => code !== 'Internal' && !page.includes(`\`${code}\``))).toEqual([]);
});
