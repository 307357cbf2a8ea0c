import { subjects } from '@mandate/contracts';
import { Bus } from '@mandate/messaging';
import { Presence } from '@mandate/service-kit';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import { type FreshNats, freshNats } from './servers.ts';

/** A wall clock that is set, by a person or by NTP, says nothing about how long something took. */
let nats: FreshNats;
let router: Bus;
let runner: Bus;
beforeAll(async () => {
  nats = await freshNats();
  const bus = (user: string): Promise<Bus> => Bus.connect({ servers: nats.url, user, password: nats.password(user), name: user });
  [router, runner] = await Promise.all([bus('llm-router'), bus('tool-runner')]);
});
afterEach(() => {
  vi.useRealTimers();
});
afterAll(async () => {
  await Promise.all([router?.close(), runner?.close()]);
  await nats?.stop();
});

const jump = (seconds: number): void => {
  const now = Date.now();
  vi.useFakeTimers({ toFake: ['Date'] });
  vi.setSystemTime(now + seconds * 1_000);
};

const beats = (instance: string): void => {
  const facts = { version: '0', startedAt: 0, ready: true, rssBytes: 0, eventLoopDelayMs: 0, inFlight: 0, health: '', catalogHash: null };
  const beat = { service: 'tool-runner', instance, at: 0, leaving: false, ...facts };
  runner.tell(subjects.heartbeat('tool-runner', instance), JSON.stringify(beat));
};

it('back: who fell silent is gone, and not alive for as long as the jump', async () => {
  const presence = new Presence(router);
  const beating = setInterval(() => beats('other'), 300);
  await vi.waitFor(() => expect(presence.state('other')).toBe('alive'), { timeout: 4_000 });
  await wait(1_600);
  beats('one');
  await vi.waitFor(() => expect(presence.state('one')).toBe('alive'));
  jump(-600);
  await vi.waitFor(() => expect(presence.state('one')).toBe('gone'), { timeout: 4_000 });
  expect(presence.state('other')).toBe('alive');
  clearInterval(beating);
  presence.stop();
});

it('forward: a publish that waits for its acknowledgement goes on waiting', async () => {
  process.kill(nats.pid(), 'SIGSTOP');
  const stored = runner.publish(subjects.inbox(0, 'tool-runner', 'acme'), '{}').then(
    () => 'stored',
    (error: Error) => error.message,
  );
  await wait(50);
  jump(600);
  await wait(1_200);
  process.kill(nats.pid(), 'SIGCONT');
  expect(await stored).toBe('stored');
});
