import { parseSigningKey } from '@mandate/audit';
import { SERVICES } from '@mandate/contracts';
import { execFile } from 'node:child_process';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { parseEnv, promisify } from 'node:util';
import { expect, test } from 'vitest';
import { natsServerBinary } from './paths.ts';
import { testFolder } from './test-folder.ts';

const program = join(import.meta.dirname, 'deploy.ts');

type Ended = { readonly code: number; readonly stdout: string; readonly stderr: string };

async function deploy(...args: string[]): Promise<Ended> {
  try {
    return { code: 0, ...(await promisify(execFile)(process.execPath, [program, ...args], { env: { PATH: process.env['PATH'] } })) };
  } catch (error) {
    return error as Ended & Error;
  }
}

async function prepared(...args: string[]): Promise<string> {
  const folder = await testFolder();
  expect(await deploy('prepare', folder, ...args)).toMatchObject({ code: 0 });
  return folder;
}

const variables = async (folder: string, reader: string): Promise<Record<string, string | undefined>> =>
  parseEnv(await readFile(join(folder, reader, 'service.env'), 'utf8'));

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

test('each reader has a folder, for its owner alone', async () => {
  const folder = await prepared();
  const readers = [...SERVICES, 'auditor', 'client', 'migrate', 'nats', 'postgres', 'provision', 'secrets'];
  expect((await readdir(folder)).sort()).toEqual(readers.sort());
  for (const file of await filesIn(folder)) {
    const isPostgresPassword = file.endsWith('/postgres/password');
    expect((await stat(file)).mode & 0o777, file).toBe(isPostgresPassword ? 0o644 : 0o600);
  }
});

test('a service is told its own secrets and where it finds its files', async () => {
  const folder = await prepared('--mounted-at', '/run/mandate');
  const nobodyElses = await Promise.all(SERVICES.map(async (service) => (await variables(folder, service))['NATS_PASSWORD']));
  expect(new Set(nobodyElses).size).toBe(SERVICES.length);
  expect(await variables(folder, 'gateway')).toEqual({
    GATEWAY_HOST: '0.0.0.0',
    MANDATE_API_KEYS_FILE: '/run/mandate/api-keys.json',
    NATS_PASSWORD: expect.any(String),
    NATS_URL: 'nats://nats:4222',
    NATS_USER: 'gateway',
  });
  expect(await variables(folder, 'orchestrator')).toMatchObject({
    DATABASE_URL: expect.stringMatching(/^postgres:\/\/mandate_orchestrator:\w+@postgres:5432\/mandate$/),
    MANDATE_MASTER_KEY_FILE: '/run/mandate/master.key',
  });
  expect(await variables(folder, 'projector')).toMatchObject({ MANDATE_CHECKPOINT_KEY_FILE: '/run/mandate/checkpoint.key' });
  const publicKey = await readFile(join(folder, 'auditor', 'checkpoint.pub'), 'utf8');
  expect(parseSigningKey(await readFile(join(folder, 'projector', 'checkpoint.key'), 'utf8')).verifier.text).toBe(publicKey.trim());
});

test('what is prepared a second time is the same; a new tenant comes to it', async () => {
  const folder = await prepared();
  const contents = async (): Promise<Record<string, string>> =>
    Object.fromEntries(await Promise.all((await filesIn(folder)).map(async (file) => [file, await readFile(file, 'utf8')])));
  const first = await contents();
  await deploy('prepare', folder);
  expect(await contents()).toEqual(first);
  await deploy('prepare', folder, '--tenants', 'acme,globex,initech');
  expect((await deploy('key', folder, 'initech')).stdout).toMatch(/^mk_initech-/);
  expect((await deploy('key', folder)).stdout).toBe(`${JSON.parse(first[join(folder, 'client/acme.json')] ?? '').gateway.apiKey}\n`);
});

test('nats-server takes the configuration with its variables, and not without', async () => {
  const folder = await prepared('--nats-store', await testFolder());
  const accepts = (env: NodeJS.ProcessEnv): Promise<unknown> =>
    promisify(execFile)(natsServerBinary(), ['-t', '-c', join(folder, 'nats/nats.conf')], { env });
  await accepts(parseEnv(await readFile(join(folder, 'nats/nats.env'), 'utf8')));
  await expect(accepts({})).rejects.toThrow(/variable reference for 'NATS_/);
});

test.each([
  [['migrate'], /DATABASE_URL: /],
  [['provision'], /NATS_PASSWORD_ADMIN: /],
  [['prepare'], /a folder is missing/],
  [['prepare', 'anywhere', '--tenants', 'Acme Inc'], /"Acme Inc" is no tenant name/],
  [['key', 'nowhere'], /has no tenant "acme"/],
  [['destroy'], /no step "destroy".*--help/],
])('%j says what is wrong', async (args, message) => {
  expect(await deploy(...args)).toMatchObject({ code: 1, stderr: expect.stringMatching(message) });
});
