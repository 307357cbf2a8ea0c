import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Nats, natsServerBinary, startNats } from '@mandate/local';
import { Bus, consume } from '@mandate/messaging';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

/** Of one server without accounts: what is looked at here is the way back after it was gone. */
let nats: Nats;
let bus: Bus;
let folder: string;
const statuses: string[] = [];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'consume-'));
  nats = await startNats({ dir: folder });
  bus = await Bus.connect({
    ...{ servers: nats.url, user: 'any', password: 'any', name: 'consume', apiPrefix: '$JS.API' },
    onStatus: ({ type }) => void statuses.push(type),
  });
  await makeStream();
});
afterEach(async () => {
  await bus.close();
  await nats.stop();
  await rm(folder, { recursive: true, force: true });
});

async function makeStream(): Promise<void> {
  const stream = { name: 'WORK', subjects: ['work'] };
  const consumer = { stream_name: 'WORK', config: { durable_name: 'workers', ack_policy: 'explicit' } };
  expect(await bus.ask('$JS.API.STREAM.CREATE.WORK', JSON.stringify(stream))).not.toHaveProperty('error');
  expect(await bus.ask('$JS.API.CONSUMER.DURABLE.CREATE.WORK.workers', JSON.stringify(consumer))).not.toHaveProperty('error');
}

function taking(): { readonly taken: string[]; stop(): Promise<void> } {
  const taken: string[] = [];
  const consumption = consume(bus, {
    ...{ stream: 'WORK', consumer: 'workers', concurrency: 10, ackWaitMs: 30_000 },
    handle: async (delivery) => {
      taken.push(Buffer.from(delivery.bytes).toString());
      delivery.ack();
    },
  });
  return { taken, stop: () => consumption.stop(1_000) };
}

const reconnects = (): number => statuses.filter((type) => type === 'reconnect').length;

/** A server that takes clients and has no JetStream yet, as one has that is still reading its store. */
async function aServerWithoutJetStream(): Promise<void> {
  const before = reconnects();
  const bare = spawn(natsServerBinary(), ['-a', '127.0.0.1', '-p', new URL(nats.url).port], { stdio: 'ignore' });
  await vi.waitUntil(() => reconnects() > before, { timeout: 10_000, interval: 10 });
  bare.kill('SIGKILL');
  await once(bare, 'exit');
}

test('what is published after the server was replaced is taken at once', async () => {
  const { taken, stop } = taking();
  await bus.publish('work', 'before');
  await vi.waitFor(() => expect(taken).toEqual(['before']));
  await nats.restart();
  await vi.waitFor(() => bus.publish('work', 'after'), { timeout: 5_000 });
  await vi.waitFor(() => expect(taken).toContain('after'), { timeout: 3_000 });
  await stop();
});

test('a server that was there without JetStream for a moment does not make anybody deaf', async () => {
  const { taken, stop } = taking();
  await bus.publish('work', 'before');
  await vi.waitFor(() => expect(taken).toEqual(['before']));
  await nats.kill();
  await aServerWithoutJetStream();
  await nats.restart();
  await vi.waitFor(() => bus.publish('work', 'after'), { timeout: 5_000 });
  await vi.waitFor(() => expect(taken).toContain('after'), { timeout: 3_000 });
  await stop();
});

test('a stream that is gone and made again is taken from again', async () => {
  const { taken, stop } = taking();
  await nats.wipe();
  await vi.waitFor(makeStream, { timeout: 5_000 });
  await bus.publish('work', 'after');
  await vi.waitFor(() => expect(taken).toEqual(['after']), { timeout: 4_000 });
  await stop();
});
