import { SERVICES } from '@mandate/contracts';
import { streamsMissing } from '@mandate/messaging';
import { existsSync } from 'node:fs';
import pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { FolderInUse } from './folder-lock.ts';
import { runFilePath } from './run-file.ts';
import { type Stack, type StackOptions, startStack } from './stack.ts';
import { testFolder } from './test-folder.ts';

/** The servers alone: what is true of them is true whatever services run. */
const noServices = Object.fromEntries(SERVICES.map((service) => [service, 0]));

type Heard = { stack: Stack; hears: (pattern: RegExp) => Promise<void> };

async function serversOf(home: string, options: Partial<StackOptions> = {}): Promise<Heard> {
  const said: string[] = [];
  const waiting = new Set<() => void>();
  const say = (line: string): void => {
    said.push(line);
    for (const check of waiting) check();
  };
  const stack = await startStack({ home, say, durability: 'off', instances: noServices, ...options });
  onTestFinished(() => stack.stop());
  const hears = (pattern: RegExp): Promise<void> =>
    new Promise((resolve) => {
      const check = (): void => {
        if (said.some((line) => pattern.test(line))) resolve();
      };
      waiting.add(check);
      check();
    });
  return { stack, hears };
}

async function tablesOf(stack: Stack): Promise<number> {
  const client = new pg.Client({ connectionString: stack.postgres.url('mandate') });
  await client.connect();
  try {
    const { rowCount } = await client.query(
      "select 1 from information_schema.tables where table_schema not in ('pg_catalog', 'information_schema')",
    );
    return rowCount ?? 0;
  } finally {
    await client.end();
  }
}

function admin(stack: Stack): { servers: string; user: string; password: string } {
  return { servers: stack.nats.url, user: 'admin', password: stack.nats.password('admin') };
}

test('a stack is migrated and provisioned, describes itself while it runs, and starts again on its data', async () => {
  const home = await testFolder();
  const first = await serversOf(home);
  expect(await tablesOf(first.stack)).toBeGreaterThan(3);
  expect(await streamsMissing(admin(first.stack))).toBe(false);
  expect(existsSync(runFilePath(home))).toBe(true);
  const key = first.stack.apiKey('acme');
  await first.stack.stop();
  expect(existsSync(runFilePath(home))).toBe(false);
  const second = await serversOf(home);
  expect(second.stack.apiKey('acme')).toBe(key);
  expect(await streamsMissing(admin(second.stack))).toBe(false);
});

test('a second stack on the same folder is refused and leaves the first alone', async () => {
  const home = await testFolder();
  const { stack } = await serversOf(home);
  await expect(startStack({ home, instances: noServices })).rejects.toBeInstanceOf(FolderInUse);
  expect(existsSync(runFilePath(home))).toBe(true);
  expect(await streamsMissing(admin(stack))).toBe(false);
});

test('a wiped JetStream gets its streams again by itself', async () => {
  const { stack, hears } = await serversOf(await testFolder());
  await stack.nats.wipe();
  await hears(/JetStream has lost its streams; making them again/);
  await expect.poll(() => streamsMissing(admin(stack)), { timeout: 10_000 }).toBe(false);
});

test('servers that die are started again on their ports', async () => {
  const { stack, hears } = await serversOf(await testFolder());
  process.kill(stack.nats.pid(), 'SIGKILL');
  process.kill(stack.postgres.pid(), 'SIGKILL');
  await Promise.all([hears(/^nats-server runs again/), hears(/^postgres runs again/)]);
  expect(await tablesOf(stack)).toBeGreaterThan(3);
  expect(await streamsMissing(admin(stack))).toBe(false);
});

test('a start that fails ends what it had started', async () => {
  const home = await testFolder();
  const broken = startStack({
    home,
    durability: 'off',
    instances: { ...noServices, gateway: 1 },
    env: { gateway: { GATEWAY_PORT: 'no port' } },
  });
  await expect(broken).rejects.toThrow(/gateway-1 died 3 times while starting/);
  expect(existsSync(runFilePath(home))).toBe(false);
  const { stack } = await serversOf(home);
  expect(stack.services()).toEqual([]);
});
