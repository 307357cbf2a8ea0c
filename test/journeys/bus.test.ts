import { PARK_REASONS, type ParkReason, subjects, type TaskReceipt, type TaskResult, TYPES, workflowIdFor } from '@mandate/contracts';
import { type Stack, startStack } from '@mandate/local';
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, headers, type NatsConnection } from 'nats';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/** What docs/bus.md promises to a program outside, kept with the client library of the past (`nats` 2.x) and none of our code. */
let home: string;
let stack: Stack;
let acme: NatsConnection;
let globex: NatsConnection;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mandate-bus-'));
  const files = join(home, 'harbour');
  await mkdir(join(files, 'docs'), { recursive: true });
  for (const name of ['pilots', 'storms', 'tolls']) await writeFile(join(files, 'docs', `${name}.md`), `# ${name}\n`);
  stack = await startStack({ home, files, durability: 'off' });
  const as = (user: string): Promise<NatsConnection> =>
    connect({ servers: stack.nats.url, user, pass: stack.nats.password(user), maxReconnectAttempts: -1, reconnectTimeWait: 200 });
  [acme, globex] = await Promise.all([as('tenant-acme'), as('tenant-globex')]);
});

afterAll(async () => {
  await Promise.all([acme?.close(), globex?.close()]);
  await stack?.stop();
  await rm(home, { recursive: true, force: true });
});

interface Ended {
  readonly code: number | null;
  readonly said: readonly (TaskReceipt | TaskResult)[];
}

/** The example of docs/bus.md as it stands there, in a process of its own. */
function runExample(task: string, request: string): Promise<Ended> {
  const program = join(import.meta.dirname, 'bus-client.mjs');
  const child = spawn(process.execPath, [program, task, request], {
    env: { PATH: process.env['PATH'], MANDATE_HOME: home },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  child.stdout.on('data', (data) => (out += String(data)));
  return new Promise((resolve) =>
    child.on('close', (code) =>
      resolve({
        code,
        said: out
          .trim()
          .split('\n')
          .filter(Boolean)
          .map((line) => JSON.parse(line) as TaskReceipt | TaskResult),
      }),
    ),
  );
}

const bytesOf = (value: unknown): Uint8Array =>
  value instanceof Uint8Array ? value : new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));
const envelope = (data: unknown, more: object = {}): object => ({
  specversion: '1.0',
  id: crypto.randomUUID(),
  source: '/test',
  type: TYPES.taskSubmit,
  data,
  ...more,
});
const fresh = (): string => `bus-${crypto.randomUUID()}`;

/** What is told about a request after one message to it. */
async function receiptOf(nc: NatsConnection, request: string, message: unknown): Promise<TaskReceipt> {
  const told = nc.subscribe(`out.acme.${request}`, { max: 1, timeout: 20_000 });
  await nc.request(subjects.task('acme', request), bytesOf(message), { timeout: 5_000 });
  for await (const heard of told) return heard.json<{ data: TaskReceipt }>().data;
  throw new Error('nothing was told');
}

describe('the example of docs/bus.md', () => {
  it('gets its receipt and its answer; the same request again gets the same answer and starts nothing', async () => {
    const request = fresh();
    const first = await runExample('How many files are there under docs/?', request);
    expect(first.said).toMatchObject([
      { request, accepted: true, duplicate: false, workflow: workflowIdFor('acme', request) },
      { request, status: 'completed', answer: expect.stringMatching(/\b3\b/) },
    ]);
    expect(first.code).toBe(0);
    const again = await runExample('How many files are there under docs/?', request);
    expect(again.said).toEqual([{ ...first.said[0], duplicate: true }, first.said[1]]);
    const other = await runExample('Something else', request);
    expect(other.said).toMatchObject([{ accepted: false, code: 'IdempotencyConflict', next: expect.any(String) }]);
    expect(other.code).toBe(1);
  });

  it('ends well when the orchestrator dies and the bus loses all that it held', async () => {
    await stack.service('orchestrator').kill();
    const request = fresh();
    const running = runExample('How many files are there under docs/?', request);
    await expect.poll(async () => (await stackMessages()) > 0, { timeout: 10_000 }).toBe(true);
    await stack.nats.wipe();
    await stack.service('orchestrator').restart();
    const { said, code } = await running;
    expect(said.at(-1)).toMatchObject({ request, status: 'completed', workflow: workflowIdFor('acme', request) });
    expect(code).toBe(0);
  });
});

/** Messages that wait in the inbox, asked as the administrator of the bus. */
async function stackMessages(): Promise<number> {
  const admin = await connect({ servers: stack.nats.url, user: 'admin', pass: stack.nats.password('admin') });
  const info = (await admin.request('$JS.API.STREAM.INFO.IN')).json<{ state?: { messages: number } }>();
  await admin.close();
  return info.state?.messages ?? 0;
}

describe('a fork that is asked for on the bus', () => {
  it('of a run of this tenant has its receipt, and is refused with its reason otherwise', async () => {
    const [origin, request] = [fresh(), fresh()];
    await runExample('How many files are there under docs/?', origin);
    const data = { origin: workflowIdFor('acme', origin), version: 2, options: { maxCostMicroUsd: 400_000 } };
    const type = TYPES.taskFork;
    expect(await receiptOf(acme, request, envelope(data, { type }))).toMatchObject({
      accepted: true,
      workflow: workflowIdFor('acme', request),
    });
    const foreign = { ...data, origin: workflowIdFor('globex', origin) };
    expect(await receiptOf(acme, fresh(), envelope(foreign, { type }))).toMatchObject({ accepted: false, code: 'WorkflowUnknown' });
    const later = { ...data, version: 10_000 };
    expect(await receiptOf(acme, fresh(), envelope(later, { type }))).toMatchObject({ accepted: false, code: 'VersionUnknown' });
  });
});

describe('a message that cannot be handled', () => {
  const refused: readonly (readonly [string, unknown, ParkReason])[] = [
    ['is not JSON', '{"specversion":', 'not_json'],
    ['is not UTF-8', new Uint8Array([0x7b, 0xff, 0x7d]), 'not_json'],
    ['is no CloudEvent', { task: 'x' }, 'not_a_cloud_event'],
    ['is nested too deeply', `${'['.repeat(33)}${']'.repeat(33)}`, 'too_deep'],
    ['is larger than 256 KiB', envelope({ task: 'x'.repeat(300_000) }), 'too_large'],
    ['has another type', envelope({}, { type: 'mandate.task.explode.v1' }), 'unknown_type'],
    ['has an unknown version', envelope({ task: 'x' }, { type: 'mandate.task.submit.v2' }), 'unknown_version'],
    ['misspells an option', envelope({ task: 'x', options: { modell: 'y' } }), 'invalid_data'],
    ['has a task above 128 KiB', envelope({ task: 'x'.repeat(131_073) }), 'invalid_data'],
    ['claims another tenant', envelope({ task: 'x' }, { tenant: 'globex' }), 'foreign_tenant'],
  ];
  it.each(refused)('because it %s is answered with the reason and the next step', async (_, message, reason) => {
    const request = fresh();
    expect(await receiptOf(acme, request, message)).toMatchObject({ request, accepted: false, code: reason, next: PARK_REASONS[reason] });
  });

  it('because it is beyond the server’s max_payload does not get that far', async () => {
    const tooMuch = new Uint8Array(acme.info?.max_payload ?? 0).fill(0x20);
    expect(tooMuch.length).toBeGreaterThanOrEqual(1024 * 1024);
    const oneMore = new Uint8Array(tooMuch.length + 1);
    expect(() => acme.publish(subjects.task('acme', fresh()), oneMore)).toThrow(expect.objectContaining({ code: 'MAX_PAYLOAD_EXCEEDED' }));
    expect(await publishRaw(oneMore.length)).toContain('Maximum Payload Violation');
  });
});

/** A client that does not look at max_payload. Resolves with what the server says before it hangs up. */
function publishRaw(bytes: number): Promise<string> {
  const { hostname, port } = new URL(stack.nats.url);
  const socket = createConnection(Number(port), hostname);
  const login = JSON.stringify({ user: 'tenant-acme', pass: stack.nats.password('tenant-acme'), verbose: false });
  socket.write(`CONNECT ${login}\r\nPUB ${subjects.task('acme', fresh())} ${bytes}\r\n`);
  let said = '';
  socket.on('data', (data) => (said += String(data)));
  return new Promise((resolve) => {
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(said));
  });
}

describe('a tenant', () => {
  it.each([
    ['submit under another tenant’s name', 'task.globex.r1'],
    ['write into the inbox', 'in.0.gateway.acme'],
    ['write an event', 'evt.0.acme.wf_00_aaaaaaaaaaaaaaaaaaaaaaaaaa.task-completed'],
    ['write a command', 'cmd.tool.0.acme'],
    ['claim an attempt', 'claim.wf_00_aaaaaaaaaaaaaaaaaaaaaaaaaa.a0_s1_t1'],
    ['ask the read models', 'q.projector.tasks.list'],
  ])('cannot %s: nobody is there', async (_, subject) => {
    await expect(acme.request(subject, bytesOf(envelope({ task: 'x' })), { timeout: 2_000 })).rejects.toMatchObject({ code: '503' });
  });

  it('has no JetStream of its own: what is stored is out of its reach', async () => {
    const told = (await acme.request('$JS.API.STREAM.INFO.IN', new Uint8Array(), { timeout: 2_000 })).json();
    expect(told).toMatchObject({ error: { code: 503, description: 'JetStream not enabled for account' } });
  });

  it('hears nothing of another’s tasks, not even with wildcards', async () => {
    const overheard: string[] = [];
    for (const subject of ['>', 'out.>', 'evt.>', 'out.acme.*'])
      globex.subscribe(subject, { callback: (_, message) => overheard.push(message.subject) });
    await globex.flush();
    const { said } = await runExample('How many files are there under docs/?', fresh());
    expect(said.at(-1)).toMatchObject({ status: 'completed' });
    await globex.flush();
    expect(overheard).toEqual([]);
  });

  it('cannot cancel what is not there, and is told so on its request', async () => {
    const request = fresh();
    const cancel = (workflow: string): object => envelope({ workflow }, { type: TYPES.taskCancel });
    expect(await receiptOf(acme, request, cancel(workflowIdFor('acme', request)))).toMatchObject({
      accepted: false,
      code: 'WorkflowUnknown',
    });
    // Another tenant's, in this partition or in another: the answer does not say whether it exists.
    expect(await receiptOf(acme, request, cancel(workflowIdFor('globex', 'r1')))).toMatchObject({
      accepted: false,
      code: expect.stringMatching(/^(WorkflowUnknown|wrong_partition)$/),
    });
    await runExample('How many files are there under docs/?', request);
    expect(await receiptOf(acme, request, cancel(workflowIdFor('acme', request)))).toMatchObject({
      accepted: false,
      code: 'WorkflowEnded',
    });
  });
});

describe('Nats-Msg-Id', () => {
  it('sent twice is dropped by the server for two minutes, so whoever asks again must leave it out or change it', async () => {
    const request = fresh();
    const id = headers();
    id.set('Nats-Msg-Id', request);
    const ask = async (options: object): Promise<{ duplicate?: boolean }> =>
      (await acme.request(subjects.task('acme', request), bytesOf(envelope({ task: 'x' })), { timeout: 5_000, ...options })).json();
    expect((await ask({ headers: id })).duplicate).toBeUndefined();
    expect((await ask({ headers: id })).duplicate).toBe(true);
    expect((await ask({})).duplicate).toBeUndefined();
  });
});
