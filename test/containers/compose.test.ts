/** docker-compose.yml as a user starts it: built, up, one task, what happens when something is lost, down. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';
import { SERVICES } from '@mandate/contracts';
import { freePort } from '@mandate/local';
import { afterAll, beforeAll, expect, test } from 'vitest';

const project = `mandate-test-${process.pid}`;
const port = await freePort();
const url = `http://127.0.0.1:${port}`;
let key = '';

async function docker(...args: string[]): Promise<string> {
  const env = { ...process.env, GATEWAY_PORT: String(port) };
  const cwd = join(import.meta.dirname, '../..');
  const { stdout } = await promisify(execFile)('docker', args, { cwd, env, maxBuffer: 64 * 1024 * 1024 });
  return stdout.trim();
}

const compose = (...args: string[]): Promise<string> => docker('compose', '--project-name', project, ...args);

beforeAll(async () => {
  await compose('up', '--build', '--wait', '--quiet-pull');
  key = await compose('run', '--rm', '--no-TTY', 'prepare', 'key', '/secrets');
});

afterAll(() => compose('down', '--volumes', '--timeout', '40'));

type Task = { readonly status: string; readonly answer?: string | null; readonly toolCalls: number };

async function call<Data>(path: string, init: RequestInit = {}): Promise<Data> {
  const answer = await fetch(`${url}${path}`, {
    ...init,
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    signal: AbortSignal.timeout(15_000),
  });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return ((await answer.json()) as { data: Data }).data;
}

/** Submits a task and waits for its end. */
async function run(task: string): Promise<Task> {
  const { workflowId } = await call<{ workflowId: string }>('/api/v1/tasks', { method: 'POST', body: JSON.stringify({ task }) });
  for (const deadline = Date.now() + 60_000; ; await wait(100)) {
    const found = await call<Task>(`/api/v1/tasks/${workflowId}`).catch(() => undefined);
    if (found && ['completed', 'failed', 'cancelled', 'rejected'].includes(found.status)) return found;
    if (Date.now() > deadline) throw new Error(`${workflowId} has not ended after a minute; it is ${found?.status ?? 'not seen'}`);
  }
}

type Inspected = {
  readonly RestartCount: number;
  readonly Config: { readonly User: string; readonly Env: readonly string[] };
  readonly HostConfig: { readonly ReadonlyRootfs: boolean; readonly CapDrop: readonly string[]; readonly SecurityOpt: readonly string[] };
  readonly NetworkSettings: {
    readonly Ports: Readonly<Record<string, readonly { readonly HostIp: string; readonly HostPort: string }[] | null>>;
  };
};

async function inspect(service: string): Promise<Inspected> {
  const [inspected] = JSON.parse(await docker('inspect', await compose('ps', '--all', '--quiet', service))) as Inspected[];
  if (!inspected) throw new Error(`there is no container of ${service}`);
  return inspected;
}

const containers = [...SERVICES, 'nats', 'postgres', 'prepare', 'migrate', 'provision'];

test.each(containers)('%s runs as nobody in particular, can write nothing and has no secret in its environment', async (service) => {
  const { Config, HostConfig } = await inspect(service);
  expect(Config.User).toMatch(/^(1000:1000|postgres)$/);
  expect(HostConfig).toMatchObject({ ReadonlyRootfs: true, CapDrop: ['ALL'], SecurityOpt: ['no-new-privileges:true'] });
  expect(Config.Env.filter((variable) => /PASSWORD=|COMMAND_KEY|postgres:\/\//.test(variable))).toEqual([]);
});

test('only the gateway is published, on this machine alone', async () => {
  const published = await Promise.all(
    containers.map(async (service) => Object.values((await inspect(service)).NetworkSettings.Ports).flatMap((ports) => ports ?? [])),
  );
  expect(published.flat()).toEqual([{ HostIp: '127.0.0.1', HostPort: String(port) }]);
});

test('a service sees its own secrets and nobody else’s', async () => {
  expect(await compose('exec', '-T', 'gateway', 'ls', '/secrets')).toBe('api-keys.json\nservice.env');
  expect(await compose('exec', '-T', 'analyzer', 'ls', '/secrets')).toBe('service.env');
});

test('a task is carried out with the mounted files', async () => {
  const task = await run("Which of the markdown files mentions 'JetStream' most often, and how many words has it?");
  expect(task).toMatchObject({ status: 'completed', answer: expect.stringMatching(/JetStream.*\d+ words/s) });
  expect(task.toolCalls).toBeGreaterThan(1);
});

/** Of the service itself, not of the init process that would keep its container. */
const killService = "process.kill(Number(fs.readFileSync('/proc/1/task/1/children', 'utf8').split(' ')[0]), 'SIGKILL')";

test('a service that dies is started again', async () => {
  await compose('exec', '-T', 'orchestrator', 'node', '-e', killService);
  expect(await run('How many files are there?')).toMatchObject({ status: 'completed' });
  expect((await inspect('orchestrator')).RestartCount).toBe(1);
});

test('a JetStream store that is lost is made again', async () => {
  await compose('rm', '--stop', '--force', 'nats', 'prepare');
  await docker('volume', 'rm', `${project}_nats`);
  await compose('up', '--wait');
  expect(await run('How many files are there?')).toMatchObject({ status: 'completed' });
});
