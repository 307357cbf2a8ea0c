import { Bus } from '@mandate/messaging';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type FreshNats, freshNats } from './servers.ts';

/** A connection must outlive whatever a message holds and whatever its handler does with it. */
let nats: FreshNats;
let bus: Bus;
const told: string[] = [];

beforeAll(async () => {
  nats = await freshNats();
  bus = await Bus.connect({
    ...{ servers: nats.url, user: 'admin', password: nats.password('admin'), name: 'bus', apiPrefix: '$JS.API' },
    onStatus: ({ type, detail }) => void told.push(`${type} ${detail}`),
  });
});
afterAll(async () => {
  await bus.close();
  await nats.stop();
});

test('a handler that throws loses its message and nothing else, and no word of the message is told', async () => {
  const heard: unknown[] = [];
  const listening = bus.listen('bus-test.said', (message) => void heard.push(message.json()));
  bus.tell('bus-test.said', '{"secret');
  bus.tell('bus-test.said', '"second"');
  await vi.waitFor(() => expect(heard).toEqual(['second']));
  expect(told).toContain('handler failed bus-test.said: SyntaxError');
  listening.stop();
});

test('a question that cannot be read is answered with a problem, and the next one is answered', async () => {
  const answering = bus.answer('bus-test.asked', 'one', (message) => Promise.resolve({ ok: true, value: message.json() }));
  expect(await bus.ask('bus-test.asked', '{')).toMatchObject({ ok: false, problem: { code: 'internal' } });
  expect(await bus.ask('bus-test.asked', '7')).toEqual({ ok: true, value: 7 });
  answering.stop();
});
