import { randomBytes } from 'node:crypto';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { ServiceName } from '@mandate/contracts';
import { Bus } from '@mandate/messaging';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { z } from 'zod';
import { type Health, serveHealth } from './health-server.ts';
import { createLogger, type Logger } from './logging.ts';
import { beat, Presence } from './presence.ts';
import { startTracing, type Tracing } from './tracing.ts';

/** Variables that every service reads. A secret is never printed: `--print-config` masks the fields named in `secrets`. */
const commonConfig = z.object({
  NATS_URL: z.string().min(1).describe('nats://host:port, several separated by commas'),
  NATS_USER: z.string().min(1).describe('the account of this service'),
  NATS_PASSWORD: z.string().min(1).describe('its password'),
  /** Unique per process start: a restarted process is another instance. */
  MANDATE_SERVICE_INSTANCE: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,64}$/)
    .optional()
    .describe('name of this process, another one at every start; drawn when not given'),
  HEALTH_HOST: z.string().default('127.0.0.1').describe('where /livez, /readyz and /metrics are served'),
  HEALTH_PORT: z.coerce.number().int().min(0).max(65535).default(0).describe('0 takes a free port'),
  LOG_LEVEL: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])
    .default('info')
    .describe('of the JSON lines on standard output'),
  OTEL_EXPORTER_OTLP_ENDPOINT: z.string().optional().describe('where traces go over HTTP; without it none are recorded'),
  NODE_ENV: z.string().default('development').describe('production forbids crash points'),
});
export type CommonConfig = z.infer<typeof commonConfig>;

/** What a service gets to work with. */
export interface ServiceContext<Config> {
  readonly config: Config & CommonConfig;
  readonly instance: string;
  readonly log: Logger;
  readonly bus: Bus;
  readonly tracing: Tracing;
  readonly metrics: Registry;
  readonly presence: Presence;
}

/** What a service gives back once it works. */
export interface Working {
  /** What is missing to take work now. */
  ready(): Health;
  inFlight?(): number;
  /** Hash of what this worker offers (tools, models), told in its heartbeat. */
  catalogHash?(): string | null;
  /** Takes no more work, finishes what is running, closes what it opened. */
  stop(): Promise<void>;
}

export interface ServiceDefinition<Schema extends z.ZodObject> {
  readonly name: ServiceName;
  readonly config: Schema;
  /** Names of variables that hold secrets. */
  readonly secrets: readonly (keyof z.infer<Schema> & string)[];
  readonly start: (context: ServiceContext<z.infer<Schema>>) => Promise<Working>;
}

export interface RunningService {
  readonly name: ServiceName;
  readonly instance: string;
  readonly healthUrl: string;
  ready(): Health;
  stop(): Promise<void>;
}

export const VERSION = '0.1.0';

export class ConfigInvalid extends Error {
  override readonly name = 'ConfigInvalid';
}

/** Starts a service in this process. `runService` adds what a process of its own needs. */
export async function startService<Schema extends z.ZodObject>(
  definition: ServiceDefinition<Schema>,
  env: NodeJS.ProcessEnv,
): Promise<RunningService> {
  const config = readConfig(definition, env);
  const instance = config.MANDATE_SERVICE_INSTANCE ?? `${definition.name}-${randomBytes(4).toString('hex')}`;
  const log = createLogger(definition.name, instance, config.LOG_LEVEL);
  const tracing = startTracing(definition.name, instance, VERSION, config.OTEL_EXPORTER_OTLP_ENDPOINT);
  const metrics = new Registry();
  metrics.setDefaultLabels({ service: definition.name });
  collectDefaultMetrics({ register: metrics });
  const bus = await Bus.connect({
    servers: config.NATS_URL,
    user: config.NATS_USER,
    password: config.NATS_PASSWORD,
    name: instance,
    onStatus: (status) => log.info({ bus: status.type, detail: status.detail }, 'bus'),
  }).catch((cause: unknown) => {
    throw new ConfigInvalid(
      `NATS at ${config.NATS_URL} does not let ${config.NATS_USER} in: ${(cause as Error).message}. Check NATS_URL, NATS_USER and NATS_PASSWORD, and that the server runs.`,
      { cause },
    );
  });
  const presence = new Presence(bus);
  const startedAt = Date.now();
  const delay = monitorEventLoopDelay({ resolution: 20 });
  delay.enable();
  const doing: { working?: Working } = {};
  const ready = (): Health => {
    const health = doing.working?.ready() ?? { ok: false, missing: ['starting'] };
    return bus.connected ? health : { ok: false, missing: ['nats', ...health.missing] };
  };
  const health = await serveHealth({ host: config.HEALTH_HOST, port: config.HEALTH_PORT, registry: metrics, ready });
  const working = await definition.start({ config, instance, log, bus, tracing, metrics, presence });
  // Whoever is told that it runs may ask it at once: its subscriptions are at the server.
  await bus.nc.flush().catch(() => undefined);
  doing.working = working;
  const beating = beat(bus, definition.name, instance, () => {
    const eventLoopDelayMs = Math.round(delay.mean / 1e4) / 100;
    delay.reset();
    return {
      version: VERSION,
      startedAt,
      ready: ready().ok,
      rssBytes: process.memoryUsage.rss(),
      eventLoopDelayMs: Number.isFinite(eventLoopDelayMs) ? eventLoopDelayMs : 0,
      inFlight: working.inFlight?.() ?? 0,
      health: health.url,
      catalogHash: working.catalogHash?.() ?? null,
    };
  });
  return {
    name: definition.name,
    instance,
    healthUrl: health.url,
    ready,
    stop: async () => {
      await working.stop();
      beating.stop();
      presence.stop();
      await tracing.stop();
      await bus.close();
      await health.stop();
      delay.disable();
      log.info('stopped');
    },
  };
}

const DRAIN_WITHIN_MS = 25_000;

/** The whole life of a service's process: `--help`, `--print-config`, start, SIGTERM and SIGINT, drain within 25 s. */
export async function runService<Schema extends z.ZodObject>(definition: ServiceDefinition<Schema>): Promise<void> {
  if (process.argv.includes('--help')) return void process.stdout.write(helpText(definition));
  let service: RunningService;
  try {
    if (process.argv.includes('--print-config'))
      return void process.stdout.write(`${JSON.stringify(masked(definition, readConfig(definition, process.env)), null, 2)}\n`);
    service = await startService(definition, process.env);
    // For whoever started it, whatever the log level.
    process.stdout.write(
      `${JSON.stringify({ msg: 'ready', service: service.name, instance: service.instance, health: service.healthUrl, pid: process.pid })}\n`,
    );
  } catch (error) {
    process.stderr.write(`${definition.name} could not start: ${(error as Error).message}\n`);
    process.exit(1);
  }
  const stop = (): void => {
    setTimeout(() => process.exit(1), DRAIN_WITHIN_MS).unref();
    service.stop().then(
      () => process.exit(0),
      () => process.exit(1),
    );
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
}

function readConfig<Schema extends z.ZodObject>(
  definition: ServiceDefinition<Schema>,
  env: NodeJS.ProcessEnv,
): z.infer<Schema> & CommonConfig {
  const common = commonConfig.safeParse(env);
  const own = definition.config.safeParse(env);
  const problems = [...(common.error?.issues ?? []), ...(own.error?.issues ?? [])].map(
    (issue) => `  ${issue.path.join('.')}: ${issue.message}`,
  );
  if (!common.success || !own.success)
    throw new ConfigInvalid(`the environment is not right:\n${problems.join('\n')}\nSee ${definition.name} --help for every variable.`);
  return { ...common.data, ...own.data } as z.infer<Schema> & CommonConfig;
}

function masked<Schema extends z.ZodObject>(
  definition: ServiceDefinition<Schema>,
  config: Record<string, unknown>,
): Record<string, unknown> {
  const hidden = new Set<string>([...definition.secrets, 'NATS_PASSWORD']);
  return Object.fromEntries(
    Object.entries(config).map(([name, value]) => [name, hidden.has(name) && value !== undefined ? '********' : value]),
  );
}

function helpText<Schema extends z.ZodObject>(definition: ServiceDefinition<Schema>): string {
  const variables = Object.entries({ ...commonConfig.shape, ...definition.config.shape }).map(([name, schema]) => {
    const unset = (schema as z.ZodType).safeParse(undefined);
    const when = unset.success ? (unset.data === undefined ? '' : ` [${JSON.stringify(unset.data)}]`) : ' (required)';
    const description = (schema as z.ZodType).description;
    return `  ${name}${when}${description === undefined ? '' : `  ${description}`}`;
  });
  return [
    `${definition.name}: a service of Mandate, configured by its environment.`,
    '',
    ...variables,
    '',
    'Options: --help, --print-config (secrets masked)',
    '',
  ].join('\n');
}
