import type { TaskDetail } from '@mandate/contracts';
import { type Stack, startStack } from '@mandate/local';
import { createRequire } from 'node:module';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AgentNode, delegationTree, type Refused } from '../../infra/local/src/delegation-tree.ts';
import { followTask, submitTask, type TimelineEvent } from '../../infra/local/src/gateway-client.ts';
import { answerProblems, expectedFacts, offlineTasks, treeOf, writeTree } from './offline-tasks.ts';

/**
 * The thirty tasks through the whole stack as `npm start` runs it without a model key: HTTP, bus, log, offline provider,
 * and one real file server per tree, of which each task may use only its own.
 */
let home: string;
let stack: Stack;
const TOOLS = ['list_allowed_directories', 'list_directory', 'directory_tree', 'search_files', 'get_file_info', 'read_text_file'];
const serverOf = (task: (typeof offlineTasks)[number]): string => `tree-${typeof task.tree === 'string' ? task.tree : task.tree.seed}`;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mandate-offline-'));
  const program = createRequire(new URL('../../infra/local/package.json', import.meta.url)).resolve(
    '@modelcontextprotocol/server-filesystem/dist/index.js',
  );
  const trees = new Map(offlineTasks.map((task) => [serverOf(task), treeOf(task)]));
  const servers = await Promise.all(
    [...trees].map(async ([name, tree]) => {
      const folder = join(home, 'trees', name);
      await writeTree(folder, tree);
      return {
        name,
        transport: 'stdio',
        command: process.execPath,
        args: [program, folder],
        tenants: ['acme'],
        grants: [{ tools: TOOLS, effect: 'read_only' }],
      };
    }),
  );
  const toolsFile = join(home, 'trees.json');
  await writeFile(toolsFile, JSON.stringify({ servers }));
  stack = await startStack({ home, durability: 'off', toolsFile });
  await waitForTools([...trees.keys()].flatMap((server) => TOOLS.map((tool) => `${server}__${tool}`)));
}, 90_000);
afterAll(async () => {
  await stack?.stop();
  await rm(home, { recursive: true, force: true });
});

const headers = (): Record<string, string> => ({ authorization: `Bearer ${stack.apiKey('acme')}`, 'content-type': 'application/json' });

/** Until the orchestrator knows every tool: before that it refuses a task that names one. */
async function waitForTools(names: readonly string[]): Promise<void> {
  for (let status = 0; status !== 202; ) {
    const body = JSON.stringify({ task: 'List the files', options: { tools: names } });
    status = (await fetch(`${stack.gatewayUrl}/api/v1/tasks`, { method: 'POST', headers: headers(), body })).status;
  }
}

describe('thirty tasks through the whole stack', () => {
  it.each(offlineTasks.map((task) => [task.id, task.task, task] as const))('%s: %s', async (_, words, task) => {
    const tools = TOOLS.map((tool) => `${serverOf(task)}__${tool}`);
    const send = (): Promise<Response> =>
      fetch(`${stack.gatewayUrl}/api/v1/tasks?wait=30`, {
        method: 'POST',
        headers: { ...headers(), 'idempotency-key': task.id },
        body: JSON.stringify({ task: words, options: { tools } }),
      });
    const response = await send();
    const { data } = (await response.json()) as { data: TaskDetail };
    expect([response.status, data.status]).toEqual([200, 'completed']);
    expect(answerProblems(data.answer ?? '', expectedFacts(task, treeOf(task))), data.answer ?? '').toEqual([]);
    expect(data.toolCalls).toBeGreaterThan(1);
    // At the nominal price of rules a token is at least a millionth of a dollar.
    expect(data.costMicroUsd).toBeGreaterThanOrEqual(data.tokens);
  });
});

describe('a task of several parts through the whole stack', () => {
  const handbook = offlineTasks.find((task) => task.tree === 'handbook') as (typeof offlineTasks)[number];
  const files = treeOf(handbook);
  const words = (path: string): number => (files[path] ?? '').split(/\s+/).filter((word) => word !== '').length;

  it('is divided twice, one overspend is refused, and the answer has the figures of all', async () => {
    const gateway = { url: stack.gatewayUrl, apiKey: stack.apiKey('acme') };
    const task =
      'Let other agents compare docs/pilots.md, docs/tolls.md and README.md, find the file in notes with the most lines, ' +
      'and, with a budget of $5, list the headings of docs/tolls.md.';
    const workflow = await submitTask(gateway, task, {
      tools: TOOLS.map((tool) => `${serverOf(handbook)}__${tool}`),
      maxModelCalls: 150,
      maxToolCalls: 400,
    });
    const events: TimelineEvent[] = [];
    for await (const event of followTask(gateway, workflow)) events.push(event);
    const { data } = (await (await fetch(`${gateway.url}/api/v1/tasks/${workflow}`, { headers: headers() })).json()) as {
      data: TaskDetail;
    };

    const paths = ['docs/pilots.md', 'docs/tolls.md', 'README.md'];
    const all = paths.reduce((sum, path) => sum + words(path), 0);
    for (const path of paths) expect(data.answer).toContain(`${path}: ${words(path)} words`);
    expect(data.answer).toContain(`- ${all} words in 3 places`);
    expect(data.answer).toContain('notes/tuesday.txt: 6 lines');
    expect(data.answer).toContain('an agent for it was refused (DelegationBudgetExceeded: The child was to get 5000000 micro-USD');
    expect(data.answer).toContain('- ## Refunds');

    const root = delegationTree(events);
    expect(root && outline(root)).toEqual([
      'a0 completed',
      'a0-1 answered',
      'a0-1-1 answered',
      'a0-1-2 answered',
      'a0-1-3 answered',
      'a0-2 answered',
      '✗ DelegationBudgetExceeded',
    ]);
    expect(root?.spentMicroUsd).toBe(data.costMicroUsd);
    expect(data.costMicroUsd).toBe(modelCosts(events));
    for (const agent of root === undefined ? [] : agentsIn(root)) expect(agent.spentMicroUsd).toBeLessThanOrEqual(agent.grantedMicroUsd);
  });
});

const agentsIn = (agent: AgentNode): readonly AgentNode[] => [
  agent,
  ...agent.under.flatMap((child) => ('id' in child ? agentsIn(child) : [])),
];
const outline = (node: AgentNode | Refused): readonly string[] =>
  'id' in node ? [`${node.id} ${node.ended}`, ...node.under.flatMap(outline)] : [`✗ ${node.code}`];
const modelCosts = (events: readonly TimelineEvent[]): number =>
  events.reduce((sum, { data }) => sum + ((data['answer'] as { readonly costMicroUsd?: number } | undefined)?.costMicroUsd ?? 0), 0);
