import { fact, type Heartbeat, type ServiceName, SERVICES } from '@mandate/contracts';
import { GONE_AFTER_MS } from '@mandate/service-kit';
import { z } from 'zod';

const state = fact(z.enum(['healthy', 'degraded', 'down']));

const serviceStatus = z.object({
  service: fact(z.enum(SERVICES)),
  state,
  instances: z.array(
    z.object({
      instance: fact(z.string()),
      version: fact(z.string()),
      state: fact(z.enum(['ready', 'not_ready', 'silent'])),
      startedAt: z.number().int(),
      rssBytes: z.number().int(),
      eventLoopDelayMs: z.number(),
      inFlight: z.number().int(),
    }),
  ),
});
export type ServiceStatus = z.infer<typeof serviceStatus>;
export const systemStatus = z.object({ state, services: z.array(serviceStatus) });
export type SystemStatus = z.infer<typeof systemStatus>;

export interface Heard {
  readonly beat: Heartbeat;
  readonly silentMs: number;
}

/** Silent for this long, an instance is history. */
const FORGOTTEN_MS = 15_000;

/** `healthy`: every instance is ready; `down`: none is; `degraded`: some are. */
export function serviceStatusOf(service: ServiceName, heard: readonly Heard[]): ServiceStatus {
  const instances = heard
    .filter(({ beat, silentMs }) => !beat.leaving && silentMs < FORGOTTEN_MS)
    .map(({ beat, silentMs }) => ({
      instance: beat.instance,
      version: beat.version,
      state: silentMs >= GONE_AFTER_MS ? ('silent' as const) : beat.ready ? ('ready' as const) : ('not_ready' as const),
      startedAt: beat.startedAt,
      rssBytes: beat.rssBytes,
      eventLoopDelayMs: beat.eventLoopDelayMs,
      inFlight: beat.inFlight,
    }));
  const ready = instances.filter((instance) => instance.state === 'ready').length;
  return { service, state: ready === 0 ? 'down' : ready === instances.length ? 'healthy' : 'degraded', instances };
}

export function systemStatusOf(heard: (service: ServiceName) => readonly Heard[]): SystemStatus {
  const services = SERVICES.map((service) => serviceStatusOf(service, heard(service)));
  const isHealthy = services.every((each) => each.state === 'healthy');
  return { state: isHealthy ? 'healthy' : services.every((each) => each.state === 'down') ? 'down' : 'degraded', services };
}
