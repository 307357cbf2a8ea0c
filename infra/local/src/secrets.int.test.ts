import { openNote, parseSigningKey, parseVerifierKey, signNote } from '@mandate/audit';
import { createHash } from 'node:crypto';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadSecrets, natsPasswordVariables } from './secrets.ts';
import { testFolder } from './test-folder.ts';

test('secrets are made once and reused', async () => {
  const home = await testFolder();
  const first = await loadSecrets(home, ['acme']);
  expect(await loadSecrets(home, ['acme'])).toEqual(first);
});

test('a new tenant gets its own, and nobody else loses theirs', async () => {
  const home = await testFolder();
  const first = await loadSecrets(home, ['acme']);
  const second = await loadSecrets(home, ['acme', 'globex']);
  expect(second.apiKeys['acme']).toBe(first.apiKeys['acme']);
  expect(second.apiKeys['globex']).toMatch(/^mk_globex-[0-9a-f]{8}\.p[0-9a-f]{48}$/);
  expect(second.nats).toMatchObject(first.nats);
});

test('only their owner may read them', async () => {
  const home = await testFolder();
  await loadSecrets(home, ['acme']);
  const files = await readdir(join(home, 'secrets'));
  expect(files.length).toBeGreaterThan(5);
  for (const file of files) expect((await stat(join(home, 'secrets', file))).mode & 0o777, file).toBe(0o600);
});

test('the gateway is given hashes, not keys', async () => {
  const home = await testFolder();
  const { apiKeys, apiKeysFile, operatorKey } = await loadSecrets(home, ['acme']);
  const [id, secret] = (apiKeys['acme'] ?? '').slice(3).split('.');
  const text = await readFile(apiKeysFile, 'utf8');
  expect(text).not.toContain(secret);
  const sha256 = createHash('sha256')
    .update(secret ?? '')
    .digest('hex');
  expect(text).not.toContain(operatorKey.split('.')[1]);
  const operator = {
    tenant: 'acme',
    id: operatorKey.slice(3).split('.')[0],
    sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    role: 'operator',
  };
  expect(JSON.parse(text)).toEqual({ keys: [{ tenant: 'acme', id, sha256 }, operator] });
});

test('every NATS user has a password that its configuration reads as text', async () => {
  const { nats } = await loadSecrets(await testFolder(), ['acme']);
  const variables = natsPasswordVariables(nats);
  expect(Object.keys(variables)).toEqual(
    expect.arrayContaining(['NATS_PASSWORD_ADMIN', 'NATS_PASSWORD_LLM_ROUTER', 'NATS_PASSWORD_TENANT_ACME']),
  );
  for (const value of Object.values(variables)) expect(value).toMatch(/^[a-z]/);
});

test('a damaged file is named, with what helps', async () => {
  const home = await testFolder();
  await loadSecrets(home, ['acme']);
  await writeFile(join(home, 'secrets', 'postgres.json'), '{');
  await expect(loadSecrets(home, ['acme'])).rejects.toThrow(/postgres\.json is not readable JSON\. Restore it/);
});

test('the key of the log signs what its public key opens, also after a restart', async () => {
  const home = await testFolder();
  const { checkpointKeyFile, checkpointPublicKeyFile } = await loadSecrets(home, ['acme']);
  const note = signNote('hello\n', parseSigningKey(await readFile(checkpointKeyFile, 'utf8')));
  await loadSecrets(home, ['acme']);
  expect(openNote(note, [parseVerifierKey(await readFile(checkpointPublicKeyFile, 'utf8'))]).text).toBe('hello\n');
});
