/**
 * A whole stack on this machine: NATS, Postgres and the six services as processes under one data folder.
 *
 * `npm start`, the fault tests and the benchmark all start it here. Whatever dies without having been asked to is started again; what is
 * killed through a handle stays down until `restart`.
 */
import { SERVICES, type ServiceName } from '@mandate/contracts';
import { migrate } from '@mandate/event-store';
import { natsConfig, provision, streamsMissing, tenantUser } from '@mandate/messaging';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { lockFolder } from './folder-lock.ts';
import { freePort, portFrom } from './free-port.ts';
import { type Nats, startNats } from './nats.ts';
import { natsServerBinary, repositoryRoot } from './paths.ts';
import { type Postgres, startPostgres } from './postgres.ts';
import { type SupervisedProcess, superviseProcess } from './processes.ts';
import { restartDelayMs } from './restart-delay.ts';
import { removeRunFile, writeRunFile } from './run-file.ts';
import { loadSecrets, natsPasswordVariables, type Secrets } from './secrets.ts';
import { serviceEnvironment } from './service-environment.ts';
import { copyOfRepository, writeToolsFile } from './tools-file.ts';

export type StackOptions = {
  /** The data folder; made when missing, kept on stop. One stack at a time. */
  readonly home: string;
  /** Hears of progress, deaths and restarts, one line each. @default nothing is said */
  readonly say?: (line: string) => void;
  /** Each gets an API key and a NATS account. The first is the one in `run.json`. @default acme, globex */
  readonly tenants?: readonly string[];
  /** `off` for tests alone. @default 'on' */
  readonly durability?: 'on' | 'off';
  /** How many of each service; 0 leaves it out. @default 1 of each */
  readonly instances?: Partial<Record<ServiceName, number>>;
  /** Further variables of a service. */
  readonly env?: Partial<Record<ServiceName, Readonly<Record<string, string>>>>;
  /** Further variables of one process (`orchestrator-2`), given where NATS is: a test puts something in between. */
  readonly envOf?: (instance: string, natsUrl: string) => Readonly<Record<string, string>>;
  /** The folder of another build of this repository, which one process runs: two builds beside each other. */
  readonly buildOf?: (instance: string) => string | undefined;
  /** Base URL of an OpenAI-compatible model that the llm-router uses, for example a stub. */
  readonly modelUrl?: string;
  /** @default `<home>/tools.json`, made at the first start */
  readonly toolsFile?: string;
  /** Folder that agents may read through the default tools file. @default a copy of this repository's text */
  readonly files?: string;
  /** The first gateway takes this port, or the next free one above it. @default any free one */
  readonly gatewayPortFrom?: number;
  /** Wait before the n-th restart in a row of a service. @default 200 ms, doubling, at most 10 s */
  readonly restartDelayMs?: (restart: number) => number;
};

/** A database server, bus or service that a test can hurt. Every handle keeps its address across restarts, services their health page aside. */
export type Stack = {
  readonly nats: Nats & { password(user: string): string };
  readonly postgres: Postgres;
  /** Of the first gateway. */
  readonly gatewayUrl: string;
  /** Of every gateway. */
  readonly gatewayUrls: readonly string[];
  readonly secrets: Secrets;
  /** The n-th instance of a service, counted from 1. @throws when there is none. */
  service(name: ServiceName, instance?: number): SupervisedProcess;
  services(): readonly SupervisedProcess[];
  /** One more of a service, once it is ready. It takes its share of the work by itself. */
  add(name: ServiceName): Promise<SupervisedProcess>;
  /** @throws when the tenant is not one of the stack's. */
  apiKey(tenant: string): string;
  /** Drains the services, then ends the servers. The data stays. */
  stop(): Promise<void>;
};

type Say = (line: string) => void;
type Undo = () => Promise<void>;

/** Starts everything and resolves when every service is ready. @throws what could not be started, after ending what was. */
export async function startStack(options: StackOptions): Promise<Stack> {
  const undo: Undo[] = [];
  try {
    return await assemble(options, undo);
  } catch (error) {
    await runBackwards(undo);
    throw error;
  }
}

async function assemble(options: StackOptions, undo: Undo[]): Promise<Stack> {
  const { home, say = () => undefined, tenants = ['acme', 'globex'] } = options;
  const lock = await lockFolder(home);
  undo.push(() => lock.release());
  const ending = new AbortController();
  const secrets = await loadSecrets(home, tenants);
  const [nats, postgres] = await startServers(options, { secrets, tenants, say, undo, signal: ending.signal });
  const admin = { servers: nats.url, user: 'admin', password: known(secrets.nats, 'admin') };
  const [toolsFile] = await Promise.all([toolsFileOf(options, tenants), prepareStore(postgres, secrets, say), provision(admin)]);
  say('streams and consumers are there');
  const healing = keepStreams(admin, say, ending.signal);
  undo.push(async () => {
    ending.abort();
    await healing;
  });

  const running: SupervisedProcess[] = [];
  const gatewayPorts = await gatewayPortsOf(options, say);
  const gatewayUrl = `http://127.0.0.1:${gatewayPorts[0]}`;
  const describe = serially(() => {
    const services = running.map((service) => ({ name: service.name, pid: service.pid(), url: service.url() }));
    const tenant = tenants[0] ?? '';
    return writeRunFile(home, {
      gateway: { url: gatewayUrl, apiKey: known(secrets.apiKeys, tenant) },
      nats: {
        url: nats.url,
        user: tenantUser(tenant),
        password: known(secrets.nats, tenantUser(tenant)),
        monitorUrl: nats.monitorUrl ?? '',
      },
      postgres: { url: postgres.url('mandate') },
      services,
    });
  });
  undo.push(
    async () => {
      await describe.end();
      await removeRunFile(home);
    },
    () => stopServices(running),
  );
  const launch = ({ name, instance, env }: PlannedService): SupervisedProcess => {
    const around = { secrets, natsUrl: nats.url, databaseUrl: roleUrl(postgres, secrets), toolsFile };
    const own = { ...(name === 'orchestrator' ? { MANDATE_SLOT: instance } : {}), ...env, ...options.envOf?.(instance, nats.url) };
    const service = superviseProcess({
      name: instance,
      command: process.execPath,
      args: [join('services', name, 'src/main.ts')],
      env: { ...serviceEnvironment(name, around), ...own },
      // A restarted process is another instance: what it held before must not look like its own.
      envOfStart: () => ({ MANDATE_SERVICE_INSTANCE: `${instance}-${randomBytes(3).toString('hex')}` }),
      cwd: options.buildOf?.(instance) ?? repositoryRoot,
      logFile: join(home, 'logs', `${instance}.log`),
      say,
      onReady: () => void describe.run(),
      ...(options.restartDelayMs === undefined ? {} : { restartDelayMs: options.restartDelayMs }),
    });
    running.push(service);
    return service;
  };
  for (const planned of plannedServices(options, gatewayPorts)) launch(planned);
  await Promise.all(running.map((service) => service.ready()));
  await describe.run();
  say(`${running.length} services are ready`);
  return {
    nats: { ...nats, password: (user) => known(secrets.nats, user) },
    postgres,
    gatewayUrl,
    get gatewayUrls() {
      return gatewayPorts.map((port) => `http://127.0.0.1:${port}`);
    },
    secrets,
    services: () => running,
    add: async (name) => {
      if (name === 'gateway') gatewayPorts.push(await freePort());
      const number = running.filter((service) => service.name.startsWith(`${name}-`)).length + 1;
      const service = launch(plannedService(options, name, number, gatewayPorts));
      await service.ready();
      return service;
    },
    service: (name, instance = 1) => {
      const found = running.find((service) => service.name === `${name}-${instance}`);
      if (!found)
        throw new Error(`there is no ${name}-${instance} in this stack; it has ${running.map((service) => service.name).join(', ')}`);
      return found;
    },
    apiKey: (tenant) => known(secrets.apiKeys, tenant),
    stop: () => runBackwards(undo),
  };
}

type ServerSurroundings = { secrets: Secrets; tenants: readonly string[]; say: Say; undo: Undo[]; signal: AbortSignal };

/** Both at once; when one fails, the other is still waited for, so that it can be ended. */
async function startServers(options: StackOptions, around: ServerSurroundings): Promise<[Nats, Postgres]> {
  const { home, durability = 'on' } = options;
  const { secrets, tenants, say, undo, signal } = around;
  const natsRevival = reviver('nats-server', () => nats.restart(), say, signal);
  const postgresRevival = reviver('postgres', () => postgres.restart(), say, signal);
  const starting = [
    startNats({
      dir: join(home, 'nats'),
      config: natsConfig({ tenants: [...tenants] }),
      env: natsPasswordVariables(secrets.nats),
      storeKey: secrets.natsStoreKey,
      logFile: join(home, 'logs', 'nats.log'),
      monitor: true,
      binary: natsServerBinary(),
      onDeath: natsRevival,
    }),
    startPostgres({
      dir: join(home, 'postgres'),
      password: secrets.postgres.superuser,
      durability,
      logFile: join(home, 'logs', 'postgres.log'),
      onDeath: postgresRevival,
    }),
  ] as const;
  for (const each of starting) void each.then((server) => undo.push(() => server.stop())).catch(() => undefined);
  await Promise.allSettled(starting);
  const [nats, postgres] = await Promise.all(starting);
  say(`NATS with JetStream on ${nats.url}`);
  say(`Postgres on port ${postgres.port}`);
  return [nats, postgres];
}

/** Answers an unwanted death: waits, restarts, and goes on until it succeeds or the stack ends. */
function reviver(name: string, restart: () => Promise<void>, say: Say, signal: AbortSignal): (how: string) => void {
  const revive = async (how: string): Promise<void> => {
    for (let attempt = 1, cause = how; !signal.aborted; attempt++) {
      say(`${name} died (${cause}); starting it again in ${restartDelayMs(attempt) / 1000} s`);
      await wait(restartDelayMs(attempt), undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      try {
        await restart();
        say(`${name} runs again`);
        return;
      } catch (error) {
        cause = error instanceof Error ? error.message : String(error);
      }
    }
  };
  return (how) => void revive(how);
}

async function prepareStore(postgres: Postgres, secrets: Secrets, say: Say): Promise<void> {
  await postgres.createDatabases('mandate', 'mandate_keys');
  const { orchestrator, projector } = secrets.postgres;
  await migrate({ url: postgres.url('mandate'), keysUrl: postgres.url('mandate_keys'), roles: { orchestrator, projector }, log: say });
  say('the database is migrated');
}

function roleUrl(
  postgres: Postgres,
  secrets: Secrets,
): (role: 'orchestrator' | 'projector', database: 'mandate' | 'mandate_keys') => string {
  return (role, database) => `postgres://mandate_${role}:${secrets.postgres[role]}@127.0.0.1:${postgres.port}/${database}`;
}

async function toolsFileOf(options: StackOptions, tenants: readonly string[]): Promise<string> {
  if (options.toolsFile) return options.toolsFile;
  const files = options.files ?? (await copyOfRepository(options.home));
  return writeToolsFile(options.home, { tenants, files });
}

/** JetStream never holds the only copy, so losing its store is healed by making the streams again; the orchestrator refills them. */
async function keepStreams(admin: { servers: string; user: string; password: string }, say: Say, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await wait(1_000, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    try {
      if (!(await streamsMissing(admin))) continue;
      say('JetStream has lost its streams; making them again');
      await provision(admin);
    } catch {
      // The server is down or starting: its own supervisor speaks about that, and the next round looks again.
    }
  }
}

async function gatewayPortsOf({ gatewayPortFrom, instances }: StackOptions, say: Say): Promise<number[]> {
  const first = gatewayPortFrom === undefined ? await freePort() : await portFrom(gatewayPortFrom);
  if (gatewayPortFrom !== undefined && first !== gatewayPortFrom) say(`port ${gatewayPortFrom} is in use; the gateway takes ${first}`);
  const ports = [first];
  while (ports.length < (instances?.gateway ?? 1)) ports.push(await freePort());
  return ports;
}

type PlannedService = { readonly name: ServiceName; readonly instance: string; readonly env: Readonly<Record<string, string>> };

function plannedServices(options: StackOptions, gatewayPorts: readonly number[]): readonly PlannedService[] {
  return SERVICES.flatMap((name) =>
    Array.from({ length: options.instances?.[name] ?? 1 }, (_, index) => plannedService(options, name, index + 1, gatewayPorts)),
  );
}

/** The n-th of a service, counted from 1. */
function plannedService(options: StackOptions, name: ServiceName, number: number, gatewayPorts: readonly number[]): PlannedService {
  return {
    name,
    instance: `${name}-${number}`,
    env: {
      ...(name === 'gateway' ? { GATEWAY_PORT: String(gatewayPorts[number - 1]) } : {}),
      ...(name === 'llm-router' && options.modelUrl ? { OPENAI_BASE_URL: options.modelUrl, OPENAI_API_KEY: 'local-model' } : {}),
      ...options.env?.[name],
    },
  };
}

/** First the doors, so that nothing new comes in; then the workers; last the orchestrator and the projector, which take the answers. */
async function stopServices(running: readonly SupervisedProcess[]): Promise<void> {
  const is = (service: SupervisedProcess, ...names: readonly ServiceName[]): boolean =>
    names.some((name) => service.name.startsWith(`${name}-`));
  const doors = running.filter((service) => is(service, 'gateway'));
  const last = running.filter((service) => is(service, 'orchestrator', 'projector'));
  const workers = running.filter((service) => !doors.includes(service) && !last.includes(service));
  for (const group of [doors, workers, last]) await Promise.all(group.map((service) => service.stop()));
}

/** Runs a task again and again, but never twice at once; `end` waits for the last and stops further ones. */
function serially(task: () => Promise<void>): { run: () => Promise<void>; end: () => Promise<void> } {
  let last = Promise.resolve();
  let hasEnded = false;
  const run = (): Promise<void> => (last = last.then(() => (hasEnded ? undefined : task())));
  return {
    run,
    end: () => {
      hasEnded = true;
      return last;
    },
  };
}

async function runBackwards(undo: Undo[]): Promise<void> {
  for (let next = undo.pop(); next; next = undo.pop()) await next();
}

function known(values: Readonly<Record<string, string>>, name: string): string {
  const value = values[name];
  if (value === undefined) throw new Error(`this stack has nothing for "${name}"; it knows ${Object.keys(values).join(', ')}`);
  return value;
}
