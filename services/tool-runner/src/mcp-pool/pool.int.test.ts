import { mkdtempSync, readFileSync, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mcpPrograms, startHttpMcpServer } from '@mandate/test-kit';
import { expect, onTestFinished, test, vi } from 'vitest';
import type { ToolServer } from '../tools-file.ts';
import { McpPool, type PoolOptions } from './pool.ts';
import { ServerUnavailable } from './slot.ts';

const node = process.execPath;
const common = { grants: [], tenants: ['acme'], instances: 1 };
const stdio = (args: readonly string[], more: Partial<Extract<ToolServer, { transport: 'stdio' }>> = {}): ToolServer => ({
  ...common,
  name: 'it',
  transport: 'stdio',
  command: node,
  args: [...args],
  env: {},
  ...more,
});
const never = new AbortController().signal;
const call = { signal: never, timeoutMs: 5_000, traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' };

function pool(
  server: ToolServer,
  options: Partial<PoolOptions> = {},
): McpPool & { readonly problems: string[]; readonly noise: string[]; changes: number } {
  const problems: string[] = [];
  const noise: string[] = [];
  const counted = { problems, noise, changes: 0 };
  const made = new McpPool({
    servers: [server],
    onChange: () => void counted.changes++,
    onProblem: (problem) => void problems.push(problem),
    onNoise: (_, from, line) => void noise.push(`${from}: ${line}`),
    ...options,
  });
  onTestFinished(() => made.stop());
  return Object.defineProperties(made, {
    problems: { value: problems },
    noise: { value: noise },
    changes: { get: () => counted.changes },
  }) as ReturnType<typeof pool>;
}

function counter(): { readonly server: ToolServer; readonly file: string; readonly lines: (suffix?: string) => string[] } {
  const file = join(mkdtempSync(join(tmpdir(), 'counter-')), 'count');
  const lines = (suffix = ''): string[] =>
    existsSync(file + suffix)
      ? readFileSync(file + suffix, 'utf8')
          .trim()
          .split('\n')
      : [];
  return { server: stdio([mcpPrograms.counter], { env: { COUNTER_FILE: file } }), file, lines };
}

const tool = (of: McpPool, name: string) => {
  const found = of.tools('it')?.find((each) => each.name === name);
  if (found === undefined) throw new Error(`no tool ${name}`);
  return found;
};

async function ask(of: McpPool, name: string, args: Record<string, unknown> = {}, options = call): Promise<string> {
  const lease = await of.lease('it', options.signal);
  try {
    const result = await lease.session.call(tool(of, name), args, options);
    return result.content.map((part) => (part.type === 'text' ? part.text : part.type)).join();
  } finally {
    lease.give();
  }
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
};

test('the real file server: tools are listed and called over one session', async () => {
  const files = pool(stdio([mcpPrograms.filesystem, import.meta.dirname]));
  await files.start();
  expect(files.tools('it')?.map(({ name }) => name)).toContain('read_text_file');
  const pids = files.pids;
  expect(await ask(files, 'list_directory', { path: import.meta.dirname })).toContain('[FILE] pool.ts');
  expect(await ask(files, 'read_text_file', { path: join(import.meta.dirname, 'pool.ts') })).toContain('class McpPool');
  expect(files.pids).toEqual(pids);
});

test('what the server prints beside the protocol is noise, and calls work all the same', async () => {
  const noisy = pool(stdio([mcpPrograms.garbage]));
  await noisy.start();
  expect(await ask(noisy, 'echo', { text: 'still here' })).toBe('still here');
  expect(noisy.noise).toContain('stdout: {"not":"json-rpc"}');
  expect(noisy.noise).toContain('stdout: {broken');
});

test('a server that prints only garbage is given up, not waited for', async () => {
  const noisy = pool(stdio([mcpPrograms.garbage, 'only']), { connectWithinMs: 300 });
  await noisy.start();
  expect(noisy.tools('it')).toBeUndefined();
  expect(noisy.problems[0]).toContain('could not be connected');
  expect(noisy.pids).toEqual([]);
});

test('a program that does not exist is a problem and no crash', async () => {
  const missing = pool(stdio([], { command: '/no/such/program' }));
  await missing.start();
  expect(missing.problems[0]).toContain('ENOENT');
  expect(missing.tools('it')).toBeUndefined();
});

test('a server sees PATH, HOME, LANG and what is configured, and nothing else of ours', async () => {
  process.env['OUR_SECRET_KEY'] = 'never';
  onTestFinished(() => void delete process.env['OUR_SECRET_KEY']);
  const { server } = counter();
  const it = pool(server);
  await it.start();
  const seen = (await ask(it, 'environment')).split(' ');
  expect(seen.filter((name) => !['PATH', 'HOME', 'LANG', 'COUNTER_FILE'].includes(name))).toEqual([]);
});

test('a crash in a call fails that call; the server is started again, and its tools stay offered', async () => {
  const { server } = counter();
  const it = pool(server, { firstPauseMs: 1 });
  await it.start();
  const [first] = it.pids;
  await expect(ask(it, 'crash')).rejects.toThrow('Connection closed');
  expect(it.tools('it')).toBeDefined();
  expect(await ask(it, 'read')).toBe('0');
  expect(it.pids[0]).not.toBe(first);
});

test('a server that crashes again and again rests: callers are told at once and when to come back, and then it is tried', async () => {
  const { server } = counter();
  const it = pool(server, { firstPauseMs: 1, crashLimit: 3, openForMs: 200 });
  await it.start();
  for (let i = 0; i < 3; i++) await expect(ask(it, 'crash')).rejects.toThrow('Connection closed');
  const refused = await it.lease('it', never).catch((error: unknown) => error as ServerUnavailable);
  expect(refused).toBeInstanceOf(ServerUnavailable);
  expect((refused as ServerUnavailable).retryAfterMs).toBeGreaterThan(0);
  expect(it.tools('it')).toBeUndefined();
  await vi.waitFor(() => expect(it.tools('it')).toBeDefined(), { timeout: 5_000 });
  expect(await ask(it, 'read')).toBe('0');
});

test('a call that takes too long is cancelled at the server', async () => {
  const { server, lines } = counter();
  const it = pool(server);
  await it.start();
  const stopping = new AbortController();
  const slow = ask(it, 'slow', { ms: 60_000 }, { ...call, signal: stopping.signal });
  await vi.waitFor(() => expect(lines('.slow')).toContain('started'));
  stopping.abort(new Error('enough'));
  await expect(slow).rejects.toThrow('enough');
  await vi.waitFor(() => expect(lines('.slow')).toContain('cancelled'));
});

test('a process that a server started ends with it', async () => {
  const { server } = counter();
  const it = pool(server);
  await it.start();
  const child = Number(await ask(it, 'child'));
  const [pid] = it.pids;
  expect(isAlive(child)).toBe(true);
  await it.stop();
  expect(isAlive(pid ?? 0)).toBe(false);
  await vi.waitFor(() => expect(isAlive(child)).toBe(false));
});

test('a changed tool list is listed again', async () => {
  const { server } = counter();
  const it = pool(server);
  await it.start();
  const before = it.changes;
  await ask(it, 'learn');
  await vi.waitFor(() => expect(it.tools('it')?.map(({ name }) => name)).toContain('learned'));
  expect(it.changes).toBeGreaterThan(before);
});

test('overlapping calls use more instances, up to what is configured', async () => {
  const { server, lines } = counter();
  const it = pool({ ...server, instances: 2 });
  await it.start();
  expect(it.pids).toHaveLength(1);
  const slow = [ask(it, 'slow', { ms: 50 }), ask(it, 'slow', { ms: 50 }), ask(it, 'slow', { ms: 50 })];
  await Promise.all(slow);
  expect(lines('.slow').filter((line) => line === 'started')).toHaveLength(3);
  expect(it.pids).toHaveLength(2);
});

test('streamable HTTP, with a header of the configuration, in the newest protocol era', async () => {
  const http = await startHttpMcpServer({ token: 'sesame' });
  onTestFinished(() => http.stop());
  const it = pool({ ...common, name: 'it', transport: 'http', url: http.url, headers: { authorization: 'Bearer sesame' } });
  await it.start();
  expect(await ask(it, 'add', { a: 2, b: 3 })).toBe('5');
  expect(http.headers.at(-1)).toMatchObject({
    authorization: 'Bearer sesame',
    'mcp-method': 'tools/call',
    'mcp-protocol-version': '2026-07-28',
  });
});

test('an HTTP server that comes later is found', async () => {
  const http = await startHttpMcpServer();
  const port = Number(new URL(http.url).port);
  await http.stop();
  const it = pool({ ...common, name: 'it', transport: 'http', url: http.url, headers: {} }, { firstPauseMs: 20 });
  await it.start();
  expect(it.tools('it')).toBeUndefined();
  const again = await startHttpMcpServer({ port });
  onTestFinished(() => again.stop());
  await vi.waitFor(() => expect(it.tools('it')).toBeDefined(), { timeout: 5_000 });
  expect(await ask(it, 'add', { a: 1, b: 1 })).toBe('2');
});
