/** `npm start`: a stack, one real task before your eyes, and then a service that stays. */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { FolderInUse } from './folder-lock.ts';
import { delegationTree, drawTree } from './delegation-tree.ts';
import { followTask, type Gateway, readTask, submitTask, type TaskDetail, type TimelineEvent } from './gateway-client.ts';
import { homeFolder } from './paths.ts';
import { runFilePath } from './run-file.ts';
import { modelProviderEnvironment } from './service-environment.ts';
import { type Stack, startStack } from './stack.ts';
import { paint, timelineLine, usd } from './timeline.ts';

const defaultTask =
  'Let other agents compare docs/architecture.md, docs/bus.md and docs/audit.md, find the markdown file under docs/decisions ' +
  'with the most words, count the TypeScript files in services, and, with a budget of $5, list the headings of README.md.';

const help = `npm start                      start everything, run one task about this repository, keep serving
npm start -- "any task"        the same with your task
npm start -- --once "a task"   stop after the result: exit 0 when it completed, 1 when not
npm start -- --no-task         only serve

  MANDATE_HOME     data folder (default .mandate/)
  MANDATE_FILES    folder that agents may read (default: a copy of this repository's text)
  GATEWAY_PORT     port of the gateway (default 8080, or the next free one)
  OPENAI_API_KEY, ANTHROPIC_API_KEY, GOOGLE_GENERATIVE_AI_API_KEY
                   models to use; without any, the offline provider answers

Ctrl-C drains the services and stops. The data stays and is used by the next start.
`;

type Arguments = { readonly task: string | undefined; readonly isOnce: boolean };

const startedAt = performance.now();

process.exit(await main(process.argv.slice(2)));

async function main(argv: readonly string[]): Promise<number> {
  const wanted = readArguments(argv);
  if (typeof wanted === 'number') return wanted;
  const stopRequest = listenForStop();
  const home = homeFolder();
  let stack: Stack;
  try {
    stack = await startStack({
      home,
      say,
      gatewayPortFrom: Number(process.env['GATEWAY_PORT'] ?? 8080),
      ...(process.env['MANDATE_FILES'] ? { files: process.env['MANDATE_FILES'] } : {}),
      env: { 'llm-router': modelProviderEnvironment() },
    });
  } catch (error) {
    return failSetUp(error, home);
  }
  const gateway = { url: stack.gatewayUrl, apiKey: stack.apiKey('acme') };
  say(`ready: ${stack.gatewayUrl}`);
  const run = wanted.task === undefined ? Promise.resolve(true) : runTask(gateway, wanted.task, home);
  if (wanted.task === undefined) tellWhereToLook(stack.gatewayUrl, home);
  const isDone = await Promise.race([run, stopRequest.then(() => false)]);
  if (!wanted.isOnce) {
    print(paint('quiet', 'serving; Ctrl-C stops'));
    await stopRequest;
  }
  say('draining');
  await stack.stop();
  say('stopped; the data stays');
  return wanted.isOnce && !isDone ? 1 : 0;
}

/** What was asked for, or the exit code when there is nothing to start. */
function readArguments(argv: readonly string[]): Arguments | number {
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: { once: { type: 'boolean' }, 'no-task': { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
    });
    if (values.help) {
      print(help);
      return 0;
    }
    const text = positionals.join(' ').trim() || defaultTask;
    return { task: values['no-task'] ? undefined : text, isOnce: values.once ?? false };
  } catch (error) {
    printError(`${(error as Error).message}\n\n${help}`);
    return 1;
  }
}

/**
 * Resolves at the first SIGINT or SIGTERM. A later one ends the process at once, and the children with it; npm may pass on the same Ctrl-C a
 * second time, so what follows within a second is not taken for another wish.
 */
function listenForStop(): Promise<void> {
  return new Promise((resolve) => {
    let firstAt: number | undefined;
    const hear = (): void => {
      const now = performance.now();
      if (firstAt === undefined) {
        firstAt = now;
        say('stopping (again: stop at once)');
        resolve();
      } else if (now - firstAt > 1_000) {
        process.exit(130);
      }
    };
    process.on('SIGINT', hear);
    process.on('SIGTERM', hear);
    process.on('SIGHUP', hear);
  });
}

function failSetUp(error: unknown, home: string): number {
  if (error instanceof FolderInUse) printError(error.message);
  else printError(`The stack could not be started: ${(error as Error).message}\nLogs: ${join(home, 'logs')}`);
  return 1;
}

/** Shows a task from its first event to its answer. True when it completed. */
async function runTask(gateway: Gateway, task: string, home: string): Promise<boolean> {
  try {
    print(`\n${paint('good', 'Task')}  ${task}\n`);
    const workflow = await submitTask(gateway, task);
    const events: TimelineEvent[] = [];
    for await (const event of followTask(gateway, workflow)) {
      events.push(event);
      print(timelineLine(event, events[0]?.at ?? event.at));
    }
    const detail = await readTask(gateway, workflow);
    tellResult(detail, isNominal(events));
    tellTree(events);
    tellWhereToLook(gateway.url, home, workflow);
    return detail.status === 'completed';
  } catch (error) {
    printError(`\nThe task could not be run: ${(error as Error).message}\nLogs: ${join(home, 'logs')}`);
    return false;
  }
}

/** Rules that answer without a model cost nothing: their price is a figure of ours. */
function isNominal(events: readonly TimelineEvent[]): boolean {
  const answers = events
    .filter(({ type }) => type === 'attempt.settled')
    .map(({ data }) => data['answer'] as { readonly provider?: string } | undefined);
  return answers.some((answer) => answer?.provider === 'offline');
}

function tellTree(events: readonly TimelineEvent[]): void {
  const root = delegationTree(events);
  if (root === undefined) return;
  print(`\n${paint('good', 'Agents')}  the money of each includes that of the agents under it\n`);
  for (const { text, tone } of drawTree(root)) print(paint(tone, text));
}

function tellResult(task: TaskDetail, isNominalCost: boolean): void {
  const isCompleted = task.status === 'completed';
  const text = task.answer ?? `${task.code ?? task.status}: ${task.message ?? 'no answer'}`;
  print(`\n${paint(isCompleted ? 'good' : 'bad', isCompleted ? 'Answer' : `Task ${task.status}`)}\n${text}\n`);
  const seconds = task.endedAt ? `${((task.endedAt - task.submittedAt) / 1000).toFixed(2)} s` : 'unknown';
  const rows = {
    Cost: `${usd(task.costMicroUsd)}${isNominalCost ? ', nominal: the offline provider answered, and nobody charges its price' : ''}`,
    Tokens: String(task.tokens),
    Steps: `${task.steps} (${task.modelCalls} model calls, ${task.toolCalls} tool calls)`,
    Pattern: task.pattern ?? 'none',
    Time: seconds,
  };
  for (const [name, value] of Object.entries(rows)) print(`${paint('quiet', name.padEnd(8))} ${value}`);
}

/** The API key is read from the run file by the lines shown here, so that it stands in no terminal and no recording. */
function tellWhereToLook(url: string, home: string, workflow?: string): void {
  const run = runFilePath(home);
  const key = `$(node -p 'JSON.parse(fs.readFileSync(${JSON.stringify(run)})).gateway.apiKey')`;
  const curl = (path: string): string => `  curl -s -H "Authorization: Bearer $KEY" ${url}${path}`;
  print(`\n${paint('good', 'Where to look next')}`);
  print(`  KEY=${key}`);
  if (workflow) for (const what of ['', '/agents', '/events']) print(curl(`/api/v1/tasks/${workflow}${what}`));
  print(curl('/api/v1/tasks'));
  print(`  ${join(home, 'logs')}  logs of every process\n  ${run}  addresses and keys of this run\n`);
}

function say(line: string): void {
  printError(paint('quiet', `[${((performance.now() - startedAt) / 1000).toFixed(1)}s] `) + line);
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function printError(text: string): void {
  process.stderr.write(`${text}\n`);
}
