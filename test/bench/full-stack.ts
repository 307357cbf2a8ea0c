/**
 * Everything as in real life: all six services as processes, a stub model behind real HTTP in a process of its own, the
 * file server of npm over stdio, traces sent to a sink in this process, contents and JetStream's store encrypted.
 */
import { SERVICES, type ServiceName } from '@mandate/contracts';
import { type Stack, type StackOptions, startStack } from '@mandate/local';
import { Bus } from '@mandate/messaging';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Bench, onlyDeaths } from './bench.ts';
import { startOtlpSink } from './otlp-sink.ts';
import type { ProcessGroups } from './process-cpu.ts';
import { startStubModelProcess } from './stub-model-process.ts';

export interface FullStack {
  readonly stack: Stack;
  /** With the gateway's credential. */
  readonly bus: Bus;
  /** A small text file that the agents may read. */
  readonly note: string;
  /** Spans that the services sent so far. */
  readonly spans: () => number;
  /** Processes by component; the tool-runner with its MCP servers. */
  groups(): ProcessGroups;
  stop(): Promise<void>;
}

export async function startFullStack(bench: Bench, options: Partial<StackOptions> = {}): Promise<FullStack> {
  const files = join(bench.folder, 'files');
  const note = join(files, 'note.txt');
  await mkdir(files, { recursive: true });
  await writeFile(note, 'A short note for agents to read.\n'.repeat(8));
  const sink = await startOtlpSink();
  const model = await startStubModelProcess();
  const end = async (): Promise<void> => {
    await model.stop();
    await sink.stop();
  };
  try {
    const env = Object.fromEntries(
      SERVICES.map((name) => [name, { OTEL_EXPORTER_OTLP_ENDPOINT: sink.url, ...profiling(bench, name), ...options.env?.[name] }]),
    );
    const stack = await startStack({
      home: join(bench.folder, 'home'),
      modelUrl: model.url,
      files,
      say: onlyDeaths(bench.say),
      ...options,
      env,
    });
    const bus = await Bus.connect({ servers: stack.nats.url, user: 'gateway', password: stack.nats.password('gateway'), name: 'bench' });
    return {
      stack,
      bus,
      note,
      spans: () => sink.spans(),
      groups: () => ({ nats: [stack.nats.pid()], postgres: [stack.postgres.pid()], ...pidsByService(stack), model: [model.pid] }),
      stop: async () => {
        await bus.close();
        await stack.stop();
        await end();
      },
    };
  } catch (error) {
    await end();
    throw error;
  }
}

const profiling = ({ profile }: Bench, name: ServiceName): Record<string, string> =>
  profile === undefined ? {} : { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${profile} --cpu-prof-name=${name}.cpuprofile` };

export const instancesOf = (stack: Stack, name: ServiceName): Stack['services'] extends () => infer R ? R : never =>
  stack.services().filter((service) => service.name.startsWith(`${name}-`));

const pidsByService = (stack: Stack): ProcessGroups =>
  Object.fromEntries(SERVICES.map((name) => [name, instancesOf(stack, name).map((service) => service.pid())]));
