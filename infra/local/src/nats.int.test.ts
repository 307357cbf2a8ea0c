import { natsConfig, provision, streamsMissing } from '@mandate/messaging';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { type Nats, startNats } from './nats.ts';
import { runningProcess } from './process-table.ts';
import { loadSecrets, natsPasswordVariables } from './secrets.ts';
import { testFolder } from './test-folder.ts';

type Admin = { servers: string; user: string; password: string };

async function natsUnderTest(onDeath?: (how: string) => void): Promise<{ nats: Nats; admin: Admin; dir: string }> {
  const dir = await testFolder();
  const secrets = await loadSecrets(dir, ['acme']);
  const nats = await startNats({
    dir,
    config: natsConfig({ tenants: ['acme'] }),
    env: natsPasswordVariables(secrets.nats),
    storeKey: secrets.natsStoreKey,
    monitor: true,
    ...(onDeath ? { onDeath } : {}),
  });
  onTestFinished(() => nats.stop());
  return { nats, admin: { servers: nats.url, user: 'admin', password: secrets.nats['admin'] ?? '' }, dir };
}

test('what JetStream holds survives kill -9, on the same port', async () => {
  const { nats, admin } = await natsUnderTest();
  const { url } = nats;
  await provision(admin);
  const pid = nats.pid();
  await nats.kill();
  expect(runningProcess(pid)).toBeUndefined();
  await nats.restart();
  expect(nats.url).toBe(url);
  expect(await streamsMissing(admin)).toBe(false);
});

test('a wiped store is empty, and can be filled again on the same port', async () => {
  const { nats, admin } = await natsUnderTest();
  await provision(admin);
  await nats.wipe();
  expect(await streamsMissing(admin)).toBe(true);
  await provision(admin);
  expect(await streamsMissing(admin)).toBe(false);
});

test('tells of a death that nobody asked for, and of no other', async () => {
  const heard: string[] = [];
  const died = Promise.withResolvers<void>();
  const { nats } = await natsUnderTest((how) => {
    heard.push(how);
    died.resolve();
  });
  await nats.kill();
  await nats.restart();
  expect(heard).toEqual([]);
  process.kill(nats.pid(), 'SIGKILL');
  await died.promise;
  expect(heard).toEqual(['signal SIGKILL']);
});

test('a configuration that the server refuses is quoted from its log', async () => {
  const dir = await testFolder();
  await expect(startNats({ dir, config: 'accounts { A { users: [ { user: a, password: $NATS_PASSWORD_MISSING } ] } }' })).rejects.toThrow(
    /nats-server ended with exit code 1\.[\s\S]*NATS_PASSWORD_MISSING/,
  );
});

test('serves monitoring pages, and keeps secrets out of its configuration file', async () => {
  const { nats, admin, dir } = await natsUnderTest();
  expect((await fetch(`${nats.monitorUrl}/healthz`)).status).toBe(200);
  expect(await readFile(join(dir, 'nats.conf'), 'utf8')).not.toContain(admin.password);
});
