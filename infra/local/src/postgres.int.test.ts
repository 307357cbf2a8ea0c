import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { type Postgres, type PostgresOptions, startPostgres } from './postgres.ts';
import { childrenOf, runningProcess } from './process-table.ts';
import { testFolder } from './test-folder.ts';

async function postgresUnderTest(dir: string, options: Partial<PostgresOptions> = {}): Promise<Postgres> {
  const postgres = await startPostgres({ dir, password: 'correct-horse', durability: 'off', ...options });
  onTestFinished(() => postgres.stop());
  return postgres;
}

async function query<Row extends pg.QueryResultRow>(url: string, text: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Row>(text)).rows;
  } finally {
    await client.end();
  }
}

test('committed rows survive kill -9 of every process, on the same port', async () => {
  const postgres = await postgresUnderTest(await testFolder(), { durability: 'on' });
  const url = postgres.url();
  await query(url, 'create table kept as select 42 as answer');
  const pids = [postgres.pid(), ...(await childrenOf(postgres.pid()))];
  expect(pids.length).toBeGreaterThan(3);
  await postgres.killAll();
  expect(pids.filter((pid) => runningProcess(pid))).toEqual([]);
  await postgres.restart();
  expect(postgres.url()).toBe(url);
  expect(await query(url, 'select answer from kept')).toEqual([{ answer: 42 }]);
  expect(await query(url, 'show fsync')).toEqual([{ fsync: 'on' }]);
});

test('a second start reuses the data, even after a lock file was left behind', async () => {
  const dir = await testFolder();
  const first = await postgresUnderTest(dir);
  await first.createDatabases('mandate');
  await query(first.url('mandate'), 'create table kept as select 42 as answer');
  await first.stop();
  await writeFile(join(dir, 'data', 'postmaster.pid'), `${process.pid}\n`);
  const second = await postgresUnderTest(dir);
  await second.createDatabases('mandate');
  expect(await query(second.url('mandate'), 'select answer from kept')).toEqual([{ answer: 42 }]);
});

test('nobody enters without the password', async () => {
  const postgres = await postgresUnderTest(await testFolder());
  await expect(query(postgres.url().replace('correct-horse', 'wrong'), 'select 1')).rejects.toThrow(/password authentication failed/);
});

test('a port that is taken is named, and nothing is left running', async () => {
  const first = await postgresUnderTest(await testFolder());
  const dir = await testFolder();
  await expect(startPostgres({ dir, password: 'x', durability: 'off', port: first.port })).rejects.toThrow(
    /postgres ended with[\s\S]*Address already in use/,
  );
});

test('tells of a death that nobody asked for', async () => {
  const died = Promise.withResolvers<string>();
  const postgres = await postgresUnderTest(await testFolder(), { onDeath: died.resolve });
  process.kill(postgres.pid(), 'SIGKILL');
  expect(await died.promise).toBe('signal SIGKILL');
  await postgres.restart();
  expect(await query(postgres.url(), 'select 1 as one')).toEqual([{ one: 1 }]);
});
