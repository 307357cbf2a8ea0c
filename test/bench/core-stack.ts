/**
 * The core alone: NATS, Postgres (fsync on), orchestrators, and workers that answer at once, each a process of its own.
 * What is left of a step is the bus, the log, the decision and the worker's half of the protocol.
 */
import { type Stack, startStack, type SupervisedProcess, superviseProcess } from '@mandate/local';
import { Bus } from '@mandate/messaging';
import { randomBytes } from 'node:crypto';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Bench } from './bench.ts';
import { counter } from './metrics-page.ts';
import type { ProcessGroups } from './process-cpu.ts';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const NOTHING = { gateway: 0, analyzer: 0, orchestrator: 0, 'llm-router': 0, 'tool-runner': 0, projector: 0 } as const;

export interface CoreStack {
  readonly servers: Stack;
  /** The bench's own connection, with the gateway's credential. */
  readonly bus: Bus;
  readonly orchestrators: readonly SupervisedProcess[];
  /** Another replica; ready when it is. */
  addOrchestrator(): Promise<SupervisedProcess>;
  /** Processes by component. */
  groups(): ProcessGroups;
  stop(): Promise<void>;
}

export async function startCoreStack(bench: Bench): Promise<CoreStack> {
  const home = join(bench.folder, 'home');
  const servers = await startStack({ home, instances: NOTHING });
  const started: SupervisedProcess[] = [];
  const orchestrators: SupervisedProcess[] = [];
  const stopAll = async (): Promise<void> => {
    await Promise.all(started.filter((each) => !orchestrators.includes(each)).map((each) => each.stop()));
    await Promise.all(orchestrators.map((each) => each.stop()));
    await servers.stop();
  };
  const start = (name: string, main: string, env: Record<string, string>): SupervisedProcess => {
    const child = superviseProcess({
      name,
      command: process.execPath,
      args: [...profiling(bench, name), join(root, main)],
      env: { ...commonEnvironment(servers), ...env },
      envOfStart: () => ({ MANDATE_SERVICE_INSTANCE: `${name}-${randomBytes(3).toString('hex')}` }),
      cwd: root,
      logFile: join(home, 'logs', `${name}.log`),
      say: bench.say,
    });
    started.push(child);
    return child;
  };
  const startOrchestrator = (): SupervisedProcess => {
    const one = start(`orchestrator-${orchestrators.length + 1}`, 'services/orchestrator/src/main.ts', orchestratorEnvironment(servers));
    orchestrators.push(one);
    return one;
  };
  try {
    const workers = ['llm', 'tool'].map((kind) =>
      start(`instant-${kind}`, 'packages/test-kit/src/instant-workers-main.ts', workerEnvironment(servers, kind)),
    );
    startOrchestrator();
    await Promise.all(started.map((each) => each.ready()));
    const bus = await Bus.connect({
      servers: servers.nats.url,
      user: 'gateway',
      password: servers.nats.password('gateway'),
      name: 'bench',
    });
    return {
      servers,
      bus,
      orchestrators,
      addOrchestrator: async () => {
        const one = startOrchestrator();
        await one.ready();
        return one;
      },
      groups: () => ({
        nats: [servers.nats.pid()],
        postgres: [servers.postgres.pid()],
        orchestrator: orchestrators.map((each) => each.pid()),
        workers: workers.map((each) => each.pid()),
      }),
      stop: async () => {
        await bus.close();
        await stopAll();
      },
    };
  } catch (error) {
    await stopAll();
    throw error;
  }
}

/** As the orchestrators count them: an attempt is settled once, in one process. */
export const settledSteps = (orchestrators: readonly SupervisedProcess[]): Promise<number> =>
  counter(
    orchestrators.map((each) => each.url()),
    'mandate_events_total',
    { type: 'attempt.settled' },
  );

const profiling = ({ profile }: Bench, name: string): string[] =>
  profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`, `--cpu-prof-name=${name}.cpuprofile`];

function commonEnvironment(servers: Stack): Record<string, string> {
  return {
    PATH: process.env['PATH'] ?? '',
    HOME: process.env['HOME'] ?? '',
    LOG_LEVEL: 'warn',
    NODE_ENV: 'production',
    HEALTH_PORT: '0',
    NATS_URL: servers.nats.url,
  };
}

function orchestratorEnvironment({ nats, postgres, secrets }: Stack): Record<string, string> {
  const url = (database: string): string =>
    `postgres://mandate_orchestrator:${secrets.postgres.orchestrator}@127.0.0.1:${postgres.port}/${database}`;
  return {
    NATS_USER: 'orchestrator',
    NATS_PASSWORD: nats.password('orchestrator'),
    DATABASE_URL: url('mandate'),
    KEYS_DATABASE_URL: url('mandate_keys'),
    MANDATE_MASTER_KEY_FILE: secrets.masterKeyFile,
    COMMAND_KEY_ANALYZER: secrets.commandKeys.analyzer,
    COMMAND_KEY_LLM: secrets.commandKeys.llm,
    COMMAND_KEY_TOOL: secrets.commandKeys.tool,
  };
}

function workerEnvironment({ nats, secrets }: Stack, kind: string): Record<string, string> {
  const user = kind === 'llm' ? 'llm-router' : 'tool-runner';
  return {
    NATS_USER: user,
    NATS_PASSWORD: nats.password(user),
    INSTANT_KIND: kind,
    COMMAND_KEY: kind === 'llm' ? secrets.commandKeys.llm : secrets.commandKeys.tool,
  };
}
