import { CONSUMERS, STREAMS } from '@mandate/contracts';
import { type AdminOptions, Bus, checkProvisioned, provision } from '@mandate/messaging';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type FreshNats, freshNats } from './servers.ts';

/** Streams and consumers are what the tables say; whatever differs is named with what it should be and what it is. */
let nats: FreshNats;
let admin: Bus;
let options: AdminOptions;

beforeAll(async () => {
  nats = await freshNats();
  options = { servers: nats.url, user: 'admin', password: nats.password('admin') };
  admin = await Bus.connect({ ...options, name: 'tamperer', apiPrefix: '$JS.API' });
});
afterAll(async () => {
  await admin?.close();
  await nats?.stop();
});

type Config = Record<string, unknown>;

/** @throws what JetStream refused */
async function call(verb: string, body: unknown = ''): Promise<{ readonly config: Config }> {
  const reply = (await admin.ask(`$JS.API.${verb}`, body === '' ? '' : JSON.stringify(body))) as {
    error?: { description: string };
    config: Config;
  };
  if (reply.error !== undefined) throw new Error(`${verb}: ${reply.error.description}`);
  return reply;
}

async function changeStream(name: string, changes: Config): Promise<void> {
  const { config } = await call(`STREAM.INFO.${name}`);
  await call(`STREAM.UPDATE.${name}`, { ...config, ...changes });
}

async function changeConsumer(stream: string, name: string, changes: Config): Promise<void> {
  const { config } = await call(`CONSUMER.INFO.${stream}.${name}`);
  await call(`CONSUMER.DURABLE.CREATE.${stream}.${name}`, { stream_name: stream, config: { ...config, ...changes } });
}

async function problem(work: Promise<void>): Promise<string> {
  return work.then(
    () => 'nothing differs',
    (error: unknown) => `${(error as Error).name}: ${(error as Error).message}`,
  );
}

it('is what the tables say, again and again', async () => {
  await provision(options);
  await provision(options);
  expect(await problem(checkProvisioned(options))).toBe('nothing differs');
});

it.each([
  ['CMD_LLM', { max_msgs: 7 }, 'max_msgs = 1000000, the server has 7'],
  ['CMD_LLM', { max_bytes: 1_000_000 }, 'max_bytes = 4294967296, the server has 1000000'],
  ['EVT', { max_age: 3_600_000_000_000 }, 'max_age = 259200000000000, the server has 3600000000000'],
  ['IN', { duplicate_window: 5_000_000_000 }, 'duplicate_window = 100000000, the server has 5000000000'],
  ['CLAIMS', { max_msgs_per_subject: 2 }, 'max_msgs_per_subject = 1, the server has 2'],
  ['CLAIMS', { allow_direct: false }, 'allow_direct = true, the server has false'],
  ['CMD_TOOL', { discard: 'old' }, 'discard = "new", the server has "old"'],
  ['IN', { subjects: ['in.>', 'task.*.*', 'more.>'] }, 'subjects = ["in.>","task.*.*"], the server has ["in.>","task.*.*","more.>"]'],
  ['CMD_TOOL', { subject_transform: { src: 'cmd.tool.>', dest: 'away.>' } }, 'subject_transform = false, the server has {"src":'],
  ['EVT', { republish: { src: 'evt.>', dest: 'copied.>' } }, 'republish = false, the server has {"src":'],
  ['EVT', { allow_rollup_hdrs: true }, 'allow_rollup_hdrs = false, the server has true'],
])('names what differs of the stream %s: %o', async (name, changes, words) => {
  await changeStream(name, changes);
  expect(await problem(checkProvisioned(options))).toContain(`ProvisionFailed: stream ${name}: asked for ${words}`);
  await provision(options);
  expect(await problem(checkProvisioned(options))).toBe('nothing differs');
});

it.each([
  [{ ack_wait: 9_000_000_000 }, 'ack_wait = 2500000000, the server has 9000000000'],
  [{ max_ack_pending: 3 }, 'max_ack_pending = 2000, the server has 3'],
  [{ filter_subject: 'cmd.llm.7.>' }, 'filter_subject = "cmd.llm.>", the server has "cmd.llm.7.>"'],
  [{ max_deliver: 4 }, 'max_deliver = -1, the server has 4'],
  [{ headers_only: true }, 'headers_only = false, the server has true'],
])('names what differs of a consumer: %o', async (changes, words) => {
  await changeConsumer('CMD_LLM', 'llm-router', changes);
  expect(await problem(checkProvisioned(options))).toContain(`ProvisionFailed: consumer CMD_LLM/llm-router: asked for ${words}`);
  await provision(options);
  expect(await problem(checkProvisioned(options))).toBe('nothing differs');
});

it('names every difference at once, and what cannot be changed', async () => {
  await changeStream('CMD_LLM', { max_msgs: 7 });
  await changeConsumer('CMD_TOOL', 'tool-runner', { max_ack_pending: 3 });
  const both = await problem(checkProvisioned(options));
  expect(both).toContain('stream CMD_LLM: asked for max_msgs = 1000000, the server has 7');
  expect(both).toContain('consumer CMD_TOOL/tool-runner: asked for max_ack_pending = 2000, the server has 3');
  const { config } = await call('STREAM.INFO.CMD_ANALYZE');
  await call('STREAM.DELETE.CMD_ANALYZE');
  await call('STREAM.CREATE.CMD_ANALYZE', { ...config, storage: 'memory', retention: 'limits', max_bytes: 1_000_000 });
  const stuck = await problem(provision(options));
  expect(stuck).toContain('stream CMD_ANALYZE: asked for retention = "workqueue", the server has "limits"');
  expect(stuck).toContain('stream CMD_ANALYZE: asked for storage = "file", the server has "memory"');
  expect(stuck).toContain('It cannot be changed:');
  await call('STREAM.DELETE.CMD_ANALYZE');
  await provision(options);
});

it('names a stream that is missing', async () => {
  await call('STREAM.DELETE.EVT');
  expect(await problem(checkProvisioned(options))).toContain('ProvisionFailed: stream EVT: stream not found');
  await provision(options);
  expect(STREAMS.length + CONSUMERS.length).toBeGreaterThan(20);
});
