import type { Heartbeat } from '@mandate/contracts';
import { expect, test } from 'vitest';
import { type Heard, serviceStatusOf, systemStatusOf } from './service-status.ts';

const beat: Heartbeat = {
  service: 'analyzer',
  instance: 'a-1',
  version: '0.1.0',
  startedAt: 1,
  at: 1,
  ready: true,
  leaving: false,
  rssBytes: 1,
  eventLoopDelayMs: 0,
  inFlight: 0,
  health: '',
  catalogHash: null,
};
const heard = (change: Partial<Heartbeat> = {}, silentMs = 100): Heard => ({ beat: { ...beat, ...change }, silentMs });

test.each([
  ['healthy', [heard(), heard()]],
  ['degraded', [heard(), heard({ ready: false })]],
  ['degraded', [heard(), heard({}, 5_000)]],
  ['down', [heard({ ready: false })]],
  ['down', [heard({}, 5_000)]],
  ['down', []],
  ['healthy', [heard(), heard({ leaving: true })]],
  ['healthy', [heard(), heard({}, 60_000)]],
] as const)('a service is %s', (state, instances) => {
  expect(serviceStatusOf('analyzer', instances).state).toBe(state);
});

test('the system is degraded while one service is missing', () => {
  expect(systemStatusOf(() => [heard()]).state).toBe('healthy');
  expect(systemStatusOf((service) => (service === 'projector' ? [] : [heard()])).state).toBe('degraded');
  expect(systemStatusOf(() => []).state).toBe('down');
});
