import { stat, writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { readRunFile, removeRunFile, type RunFile, runFilePath, writeRunFile } from './run-file.ts';
import { testFolder } from './test-folder.ts';

const run: RunFile = {
  gateway: { url: 'http://127.0.0.1:8080', apiKey: 'mk_acme-1.p2' },
  nats: { url: 'nats://127.0.0.1:4222', user: 'tenant-acme', password: 'p3', monitorUrl: 'http://127.0.0.1:8222' },
  postgres: { url: 'postgres://postgres:p4@127.0.0.1:5432/mandate' },
  services: [{ name: 'gateway-1', pid: 7, url: 'http://127.0.0.1:9000' }],
};

test('a running stack can be read back, by its owner alone', async () => {
  const home = await testFolder();
  await writeRunFile(home, run);
  expect(await readRunFile(home)).toEqual(run);
  expect((await stat(runFilePath(home))).mode & 0o777).toBe(0o600);
});

test('a file with wider rights is replaced, not reused', async () => {
  const home = await testFolder();
  await writeFile(runFilePath(home), '{}', { mode: 0o644 });
  await writeRunFile(home, run);
  expect((await stat(runFilePath(home))).mode & 0o777).toBe(0o600);
});

test('no stack, no file', async () => {
  const home = await testFolder();
  await writeRunFile(home, run);
  await removeRunFile(home);
  expect(await readRunFile(home)).toBeUndefined();
});
