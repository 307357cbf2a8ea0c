import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type AttemptResult, toolCatalog } from '@mandate/contracts';
import { type RunningService, startService } from '@mandate/service-kit';
import {
  type Commander,
  commander,
  type FreshNats,
  freshNats,
  type HttpMcpServer,
  mcpPrograms,
  startHttpMcpServer,
  workerEnvironment,
} from '@mandate/test-kit';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { toolRunner } from './service.ts';

let nats: FreshNats;
let orchestrator: Commander;
let runner: RunningService;
let http: HttpMcpServer;
let folder: string;

beforeAll(async () => {
  nats = await freshNats();
  orchestrator = await commander(nats);
  http = await startHttpMcpServer();
});
afterAll(async () => {
  await orchestrator.stop();
  await http.stop();
  await nats.stop();
});
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'runner-'));
  writeFileSync(join(folder, 'a.txt'), 'hello from a file');
  const node = { transport: 'stdio', command: process.execPath };
  const servers = [
    {
      ...node,
      name: 'files',
      args: [mcpPrograms.filesystem, folder],
      grants: [{ tools: ['read_text_file', 'list_directory'], effect: 'read_only' }],
      tenants: ['acme', 'globex'],
    },
    {
      ...node,
      name: 'counter',
      args: [mcpPrograms.counter],
      env: { COUNTER_FILE: join(folder, 'count') },
      tenants: ['acme'],
      timeoutMs: 5_000,
      grants: [
        { tools: ['increment', 'crash', 'fail'], effect: 'non_idempotent' },
        { tools: ['read', 'picture', 'talk', 'environment'], effect: 'read_only' },
        { tools: ['slow'], effect: 'idempotent' },
      ],
    },
    { ...node, name: 'absent', args: ['/no/such/server.js'], grants: [{ tools: ['anything'], effect: 'read_only' }], tenants: ['acme'] },
    { name: 'web', transport: 'http', url: http.url, grants: [{ tools: ['add', 'boom'], effect: 'read_only' }], tenants: ['acme'] },
  ];
  const file = join(folder, 'tools.json');
  writeFileSync(file, JSON.stringify({ servers }));
  runner = await startService(toolRunner, workerEnvironment(nats, 'tool-runner', { MANDATE_TOOLS_FILE: file }));
  await vi.waitUntil(() => runner.ready().ok, { timeout: 10_000 });
});
afterEach(() => runner.stop());

type Effect = 'read_only' | 'idempotent' | 'non_idempotent';
const run = async (
  tool: string,
  args: unknown = {},
  effect: Effect = 'read_only',
  changes: Parameters<Commander['send']>[2] = {},
): Promise<AttemptResult> => (await orchestrator.send('tool', { tool, effect, args }, { timeoutMs: 4_000, ...changes })).result;
const textOf = ({ answer }: AttemptResult): string => (answer?.kind === 'tool' ? answer.content.text : '');
const counted = (): number => (existsSync(join(folder, 'count')) ? readFileSync(join(folder, 'count'), 'utf8').split('\n').length - 1 : 0);

test('a file is read by the real file server', async () => {
  const result = await run('files__read_text_file', { path: join(folder, 'a.txt') });
  expect(result).toMatchObject({
    outcome: 'succeeded',
    answer: { kind: 'tool', isError: false, truncated: false, content: { text: 'hello from a file' } },
  });
});

test('a tool that answers with an error has answered', async () => {
  const result = await run('files__read_text_file', { path: '/etc/passwd' });
  expect(result).toMatchObject({ outcome: 'succeeded', answer: { isError: true } });
  expect(textOf(result)).toContain('Access denied');
});

test('a call over streamable HTTP', async () => {
  expect(textOf(await run('web__add', { a: 20, b: 22 }))).toBe('42');
  expect(await run('web__boom')).toMatchObject({ outcome: 'succeeded', answer: { isError: true } });
});

test('an effect happens once, after its start was granted', async () => {
  expect(await run('counter__increment', {}, 'non_idempotent')).toMatchObject({ outcome: 'succeeded', answer: { content: { text: '1' } } });
  expect(counted()).toBe(1);
});

test('a command that is there twice has its effect once', async () => {
  const workflow = 'wf_05_aaaaaaaaaaaaaaaaaaaaaaaaaa';
  const body = { tool: 'counter__increment', effect: 'non_idempotent', args: {} };
  expect(await (await orchestrator.send('tool', body, { workflow })).result).toMatchObject({ outcome: 'succeeded' });
  await orchestrator.send('tool', body, { workflow });
  await orchestrator.settled('tool');
  expect(textOf(await run('counter__read'))).toBe('1');
});

test('a non-idempotent call that the server did not survive is unknown, and is not repeated', async () => {
  expect(await run('counter__crash', {}, 'non_idempotent')).toMatchObject({
    outcome: 'unknown',
    failure: { code: 'tool_unavailable', billed: 'maybe' },
  });
  expect(await run('counter__increment', {}, 'non_idempotent')).toMatchObject({ outcome: 'succeeded' });
});

test('arguments that break the schema never reach the server', async () => {
  const missing = await run('files__read_text_file', { pth: 'a' });
  expect(missing).toMatchObject({
    outcome: 'failed',
    failure: { code: 'tool_arguments_invalid', billed: 'no', retryable: false, message: "arguments must have required property 'path'." },
  });
  expect(await run('files__read_text_file', { _raw: '{"path":' })).toMatchObject({
    failure: { code: 'tool_arguments_invalid', message: 'The arguments are not a JSON object.' },
  });
  expect(await run('files__read_text_file', 'a.txt')).toMatchObject({ failure: { code: 'tool_arguments_invalid' } });
  expect(await run('files__read_text_file', { path: 'x'.repeat(70_000) })).toMatchObject({ failure: { code: 'tool_arguments_invalid' } });
});

test.each([
  ['a tool that nobody granted', 'files__write_file', 'acme', 'read_only'],
  ['another tenant’s tool', 'counter__read', 'globex', 'read_only'],
  ['a tool that does not exist', 'nowhere__nothing', 'acme', 'read_only'],
  ['a tool whose effect is worse than the command says', 'counter__increment', 'acme', 'read_only'],
] as const)('%s is denied', async (_, tool, tenant, effect) => {
  expect(await run(tool, {}, effect, { tenant })).toMatchObject({
    outcome: 'failed',
    failure: { code: 'tool_denied', billed: 'no', retryable: false },
  });
  expect(counted()).toBe(0);
});

test('a server that is not there makes its tools unavailable, and nobody else’s', async () => {
  expect(await run('absent__anything')).toMatchObject({
    outcome: 'failed',
    failure: { code: 'tool_unavailable', billed: 'no', retryable: true },
  });
});

test('a call that takes too long is cancelled at the server', async () => {
  expect(await run('counter__slow', { ms: 60_000 }, 'idempotent', { timeoutMs: 200 })).toMatchObject({
    outcome: 'failed',
    failure: { code: 'timeout', billed: 'maybe' },
  });
  await vi.waitFor(() => expect(readFileSync(join(folder, 'count.slow'), 'utf8')).toContain('cancelled'));
});

test('a long result is cut, and says so on its last line', async () => {
  const result = await run('counter__talk', { bytes: 200_000 });
  expect(result).toMatchObject({ outcome: 'succeeded', answer: { truncated: true } });
  expect(Buffer.byteLength(textOf(result))).toBeLessThanOrEqual(48 * 1024);
  expect(textOf(result)).toMatch(/\n\[truncated: \d+ of 200000 bytes shown\]$/);
});

test('what is not text is named', async () => {
  expect(textOf(await run('counter__picture'))).toBe(
    'see\n[image image/png, 3 bytes]\n[link file:///a.txt (a)]\n[resource file:///b.txt]\ninside b',
  );
});

test('the key of our commands is not in a server’s environment', async () => {
  expect(textOf(await run('counter__environment')).split(' ')).not.toContain('COMMAND_KEY');
});

test('the catalogue holds what is granted and there, and has the hash that the heartbeat tells', async () => {
  const reply = (await orchestrator.ask('q.tool-runner.catalog')) as { readonly ok: boolean; readonly value: unknown };
  const catalog = toolCatalog.parse(reply.value);
  expect(catalog.tools.map(({ name }) => name)).toEqual([
    'counter__crash',
    'counter__environment',
    'counter__fail',
    'counter__increment',
    'counter__picture',
    'counter__read',
    'counter__slow',
    'counter__talk',
    'files__list_directory',
    'files__read_text_file',
    'web__add',
    'web__boom',
  ]);
  expect(catalog.tools.find(({ name }) => name === 'files__list_directory')).toMatchObject({
    effect: 'read_only',
    tenants: ['acme', 'globex'],
  });
  const hash = createHash('sha256').update(JSON.stringify(catalog)).digest('hex');
  await new Promise<void>((same) =>
    orchestrator.bus.listen('hb.tool-runner.*', (message) =>
      message.json<{ catalogHash: string }>().catalogHash === hash ? same() : undefined,
    ),
  );
});

test('what is not signed with our key is parked, and nothing runs', async () => {
  const before = orchestrator.inbox.length;
  await orchestrator.send('tool', { tool: 'counter__increment', effect: 'non_idempotent', args: {} }, { key: 'somebody else’s key' });
  await vi.waitFor(() =>
    expect(orchestrator.inbox.slice(before)).toMatchObject([{ type: 'mandate.message.parked.v1', data: { reason: 'bad_signature' } }]),
  );
  expect(counted()).toBe(0);
});

test('stopping leaves no process', async () => {
  const pid = Number((await run('counter__increment', {}, 'non_idempotent')) && readFileSync(join(folder, 'count'), 'utf8').trim());
  await runner.stop();
  expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  runner = await startService(toolRunner, workerEnvironment(nats, 'tool-runner'));
});

test('no tool runs for a frozen tenant, and nothing of it counts', async () => {
  orchestrator.freeze('acme');
  const refused = { outcome: 'failed', failure: { code: 'frozen', retryable: true, billed: 'no' } };
  expect(await run('counter__increment', {}, 'non_idempotent')).toMatchObject(refused);
  expect(await run('counter__read')).toMatchObject(refused);
  orchestrator.freeze();
  expect(textOf(await run('counter__read'))).toBe('0');
});

test('a bus that replaced a wiped one begins anew: an older log may give the same attempt once more', async () => {
  const attempt = { workflow: 'wf_06_aaaaaaaaaaaaaaaaaaaaaaaaaa', attempt: 'a0_s1_t1' };
  expect(await run('counter__read', {}, 'read_only', attempt)).toMatchObject({ outcome: 'succeeded' });
  await nats.wipe();
  await nats.provision();
  const bus = await vi.waitFor(() => orchestrator.bus.incarnation(), { timeout: 5_000 });
  expect(await run('counter__read', {}, 'read_only', { ...attempt, bus })).toMatchObject({ outcome: 'succeeded' });
});
