import { streamsMissing } from '@mandate/messaging';
import pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { freshDatabase, freshNats } from './servers.ts';

async function query(url: string, text: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(text)).rows as unknown[];
  } finally {
    await client.end();
  }
}

test('each database is migrated, and nobody else sees what is written there', async () => {
  const [one, other] = await Promise.all([freshDatabase(), freshDatabase()]);
  onTestFinished(async () => {
    await Promise.all([one.drop(), other.drop()]);
  });
  await query(one.url, 'create table mine (id int)');
  const find = "select table_name from information_schema.tables where table_name in ('mine', 'migration') order by 1";
  expect(await query(one.url, find)).toEqual([{ table_name: 'migration' }, { table_name: 'mine' }]);
  expect(await query(other.url, find)).toEqual([{ table_name: 'migration' }]);
});

test.for(['orchestratorUrl', 'orchestratorKeysUrl', 'projectorUrl', 'projectorKeysUrl'] as const)(
  'the services may enter: %s',
  async (door) => {
    const database = await freshDatabase();
    onTestFinished(() => database.drop());
    const role = door.startsWith('orchestrator') ? 'mandate_orchestrator' : 'mandate_projector';
    expect(await query(database[door], 'select current_user')).toEqual([{ current_user: role }]);
  },
);

test('a nats-server has the real accounts and streams, and heals after a wipe when provisioned', async () => {
  const nats = await freshNats();
  onTestFinished(() => nats.stop());
  const admin = { servers: nats.url, user: 'admin', password: nats.password('admin') };
  expect(await streamsMissing(admin)).toBe(false);
  await nats.wipe();
  expect(await streamsMissing(admin)).toBe(true);
  await nats.provision();
  expect(await streamsMissing(admin)).toBe(false);
});
