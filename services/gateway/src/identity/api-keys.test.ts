import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { ApiKeys, identify, parseKeysFile } from './api-keys.ts';

const hash = (secret: string): string => createHash('sha256').update(secret).digest('hex');
const fileOf = (...keys: [tenant: string, id: string, secret: string][]): string =>
  JSON.stringify({ keys: keys.map(([tenant, id, secret]) => ({ tenant, id, sha256: hash(secret) })) });
const keys = parseKeysFile(fileOf(['acme', 'acme-1', 's3cret'], ['globex', 'g_1', 'other']));

test('a key is its tenant', () => {
  expect(identify(keys, 'Bearer mk_acme-1.s3cret')).toEqual({ tenant: 'acme', keyId: 'acme-1', role: 'client' });
  expect(identify(keys, 'bearer mk_g_1.other')).toEqual({ tenant: 'globex', keyId: 'g_1', role: 'client' });
});

test('an operator is one by its key, and nobody may be called as the platform is', () => {
  const key = { tenant: 'acme', id: 'op', sha256: hash('s'), role: 'operator' };
  expect(identify(parseKeysFile(JSON.stringify({ keys: [key] })), 'Bearer mk_op.s')).toMatchObject({ tenant: 'acme', role: 'operator' });
  expect(() => parseKeysFile(JSON.stringify({ keys: [{ ...key, tenant: 'platform' }] }))).toThrow('keys.0.tenant');
});

test.each([
  undefined,
  '',
  'Bearer',
  'Bearer mk_acme-1.',
  'Bearer mk_acme-1.wrong',
  'Bearer mk_nobody.s3cret',
  'Basic mk_acme-1.s3cret',
  'mk_acme-1.s3cret',
  'Bearer mk_acme-1.s3cret extra',
  `Bearer mk_acme-1.${'x'.repeat(300)}`,
  'Bearer mk_nobody.'.padEnd(40, '0'),
])('%j identifies nobody', (authorization) => expect(identify(keys, authorization)).toBeUndefined());

test('a file that is not right is refused by its paths, without its values', () => {
  const broken = JSON.stringify({ keys: [{ tenant: 'Not A Tenant', id: 'x', sha256: 'hunter2' }] });
  expect(() => parseKeysFile(broken)).toThrow(/keys\.0\.tenant: is not a tenant name; keys\.0\.sha256/);
  expect(() => parseKeysFile(broken)).not.toThrow(/hunter2/);
});

test('keys are read again when the file changes, and kept when it breaks', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'mandate-keys-'));
  const file = join(dir, 'keys.json');
  const problems: string[] = [];
  await writeFile(file, fileOf(['acme', 'one', 'a']));
  const apiKeys = await ApiKeys.open(file, (problem) => problems.push(problem));
  try {
    expect(apiKeys.identify('Bearer mk_one.a')).toBeDefined();
    await writeFile(file, fileOf(['acme', 'two', 'bb']));
    await vi.waitFor(() => expect(apiKeys.identify('Bearer mk_two.bb')).toBeDefined(), 1_500);
    expect(apiKeys.identify('Bearer mk_one.a')).toBeUndefined();
    await writeFile(file, '{ half a fi');
    await vi.waitFor(() => expect(problems.join()).toContain('API keys are not right'), 1_500);
    expect(apiKeys.identify('Bearer mk_two.bb')).toBeDefined();
  } finally {
    apiKeys.stop();
    await rm(dir, { recursive: true });
  }
});
