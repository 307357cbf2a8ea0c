import type { TaskDetail } from '@mandate/contracts';
import { type Stack, startStack } from '@mandate/local';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { until } from '../world.ts';

/** A stack that loses its databases and its bus, and has nothing but two folders and its secrets. */
let home: string;
let stack: Stack;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mandate-restore-'));
  stack = await startStack({ home, durability: 'off' });
});
afterAll(async () => {
  await stack?.stop();
  await rm(home, { recursive: true, force: true });
});

interface Ended {
  readonly code: number;
  readonly out: string;
}

function run(program: string, ...args: readonly string[]): Promise<Ended> {
  return new Promise((done) => {
    execFile(
      process.execPath,
      [join(import.meta.dirname, '../..', program), ...args],
      { env: { PATH: process.env['PATH'], MANDATE_HOME: home } },
      (error, out, err) => done({ code: error === null ? 0 : Number(error.code), out: out + err }),
    );
  });
}
const backup = (...args: readonly string[]): Promise<Ended> => run('packages/backup-cli/src/backup.ts', ...args);
const restore = (...args: readonly string[]): Promise<Ended> => run('packages/backup-cli/src/restore.ts', ...args);

async function api(path: string, init: RequestInit = {}): Promise<{ data: TaskDetail }> {
  const headers = { authorization: `Bearer ${stack.apiKey('acme')}`, 'content-type': 'application/json' };
  return (await fetch(`${stack.gatewayUrl}${path}`, { ...init, headers })).json() as Promise<{ data: TaskDetail }>;
}
const submit = async (task: string): Promise<string> =>
  ((await api('/api/v1/tasks', { method: 'POST', body: JSON.stringify({ task }) })).data as unknown as { workflowId: string }).workflowId;
const ended = (workflow: string): Promise<TaskDetail | undefined> =>
  until(30_000, async () => {
    const { data } = await api(`/api/v1/tasks/${workflow}`).catch(() => ({ data: undefined }));
    return typeof data?.endedAt === 'number' ? data : undefined;
  });

async function incarnation(): Promise<string> {
  const client = new pg.Client({ connectionString: stack.postgres.url('mandate') });
  await client.connect();
  try {
    return (await client.query<{ incarnation: string }>('select incarnation from es.log')).rows[0]?.incarnation ?? '';
  } finally {
    await client.end();
  }
}

it('answers as before after its databases were destroyed and made again from backups, and open work goes on', async () => {
  const done = await submit('How many files are there under docs/?');
  const before = await ended(done);
  expect(before).toMatchObject({ status: 'completed', answer: expect.any(String) });
  const log = await incarnation();
  expect(await backup('--to', join(home, 'backups/full'))).toMatchObject({ code: 0 });
  // Accepted, and unfinished when the second backup is made.
  await stack.service('llm-router').kill();
  const open = await Promise.all(
    [1, 2, 3].map((n) => submit(`List the headings of docs/bus.md, and count the files in docs/decisions. Number ${n}.`)),
  );
  expect(await backup('--to', join(home, 'backups/later'), '--since', join(home, 'backups/full'))).toMatchObject({ code: 0 });
  expect(await backup('--keys', '--to', join(home, 'keys'))).toMatchObject({ code: 0 });

  const under = await restore('--from', join(home, 'backups/full'));
  expect(under).toMatchObject({ code: 2, out: expect.stringContaining('a stack is already running there') });
  await stack.stop();
  await rm(join(home, 'postgres'), { recursive: true });
  const restored = await restore('--from', join(home, 'backups/full'), '--from', join(home, 'backups/later'), '--keys', join(home, 'keys'));
  expect(restored, restored.out).toMatchObject({ code: 0, out: expect.stringContaining('bus: emptied') });
  expect(restored.out).toContain('3 streams still owe something');

  stack = await startStack({ home, durability: 'off' });
  expect(await incarnation()).not.toBe(log);
  expect(await ended(done)).toEqual(before);
  for (const workflow of open) expect(await ended(workflow), workflow).toMatchObject({ status: 'completed' });
  const verified = await run('packages/audit-cli/src/main.ts', 'verify');
  expect(verified, verified.out).toMatchObject({ code: 0, out: expect.stringContaining(`are those of log ${log}`) });
});
