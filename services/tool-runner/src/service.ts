import { setTimeout as pause } from 'node:timers/promises';
import { subjects, type ToolCommand, toolCommand, TYPES, type WorkerAnswer } from '@mandate/contracts';
import {
  type AttemptRun,
  serveAttempts,
  type ServiceContext,
  type ServiceDefinition,
  StepFailed,
  type Working,
} from '@mandate/service-kit';
import { type RunnerConfig, runnerConfig } from './config.ts';
import { McpPool } from './mcp-pool/pool.ts';
import { allowedTool, callTool, checkedArguments, type Runner } from './run-call.ts';
import { GEN_AI, MCP, TOOL_ERROR } from './semconv.ts';
import { catalogOf, offeredTools } from './tool-catalog.ts';
import { readToolsFile, withoutSecrets } from './tools-file.ts';

/** One tool call on one MCP server: pool, check, call, record what came back. */
export const toolRunner: ServiceDefinition<typeof runnerConfig> = {
  name: 'tool-runner',
  config: runnerConfig,
  secrets: ['COMMAND_KEY'],
  start,
};

/** A catalogue without the slow ones is better than none. */
const SETTLE_WITHIN_MS = 3_000;

async function start(context: ServiceContext<RunnerConfig>): Promise<Working> {
  const { config, bus, log } = context;
  const { servers, secrets } = readToolsFile(config.MANDATE_TOOLS_FILE, process.env);
  const warn = (problem: string): void => log.warn({ problem: withoutSecrets(problem, secrets) }, 'tools');
  let offered: ReturnType<typeof offeredTools> = new Map();
  let current = catalogOf(offered, warn);
  const refresh = (): void => {
    offered = offeredTools(servers, (server) => pool.tools(server), warn);
    current = catalogOf(offered, warn);
    log.info({ tools: offered.size, catalogHash: current.hash }, 'catalogue');
  };
  const pool = new McpPool({
    servers,
    onChange: refresh,
    onProblem: warn,
    onNoise: (server, from, line) => log.debug({ server, from, line: withoutSecrets(line.slice(0, 500), secrets) }, 'server said'),
  });
  // A server that does not come up must not keep the others from working, and a slow one not for long.
  let hasSettled = false;
  void Promise.race([pool.start(), pause(SETTLE_WITHIN_MS, undefined, { ref: false })]).then(() => (hasSettled = true));

  const runner: Runner = { servers, pool, offered: () => offered };
  const answering = bus.answer(subjects.query('tool-runner', 'catalog'), 'tool-runner', () =>
    Promise.resolve({ ok: true, value: current.catalog }),
  );
  const attempts = serveAttempts(context, {
    kind: 'tool',
    type: TYPES.toolRun,
    schema: toolCommand,
    commandKey: config.COMMAND_KEY,
    concurrency: config.TOOL_CONCURRENCY,
    guard: ({ body }) => (body.effect === 'non_idempotent' ? 'start' : 'claim'),
    run: (command, run) => runCall(context, runner, command, run),
  });
  return {
    ready: () => (hasSettled ? { ok: true, missing: [] } : { ok: false, missing: ['tool servers (first connection)'] }),
    inFlight: () => attempts.inFlight,
    catalogHash: () => current.hash,
    stop: async () => {
      await attempts.stop(20_000);
      answering.stop();
      await pool.stop();
    },
  };
}

async function runCall(
  context: ServiceContext<RunnerConfig>,
  runner: Runner,
  command: ToolCommand,
  run: AttemptRun,
): Promise<WorkerAnswer> {
  const found = await allowedTool(runner, command, run.signal);
  const args = checkedArguments(found, command.body.args);
  const span = context.tracing.start(`execute_tool ${found.name}`, {
    parent: run.span.traceparent,
    kind: 'client',
    attributes: {
      [GEN_AI.operation]: 'execute_tool',
      [GEN_AI.toolName]: found.name,
      [GEN_AI.toolType]: 'function',
      [GEN_AI.toolCallId]: command.attempt,
      [GEN_AI.conversation]: command.workflow,
      [MCP.method]: 'tools/call',
      [MCP.transport]: found.server.transport === 'stdio' ? 'pipe' : 'tcp',
      [MCP.server]: found.server.name,
    },
  });
  try {
    const answer = await callTool(runner, found, args, command, { signal: run.signal, traceparent: span.traceparent });
    if (answer.isError) span.fail(TOOL_ERROR);
    return answer;
  } catch (error) {
    span.fail(error instanceof StepFailed ? error.code : 'internal');
    throw error;
  } finally {
    span.end();
  }
}
