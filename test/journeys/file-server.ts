/* The real file server of npm over stdio, on a folder of its own. */
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import type { ModelMessage, ToolSpec } from '../../services/llm-router/src/providers/offline/answer-offline.ts';
import { answerOffline } from '../../services/llm-router/src/providers/offline/answer-offline.ts';
import { writeTree, type FileTree } from './offline-tasks.ts';

const fromLocal = createRequire(new URL('../../infra/local/package.json', import.meta.url));
const serverFile = join(dirname(fromLocal.resolve('@modelcontextprotocol/server-filesystem/package.json')), 'dist/index.js');

/** A running file server. */
export interface FileServer {
  readonly root: string;
  readonly tools: readonly ToolSpec[];
  call(tool: string, args: unknown): Promise<{ text: string; isError: boolean }>;
  stop(): Promise<void>;
}

/** Writes a tree into a new folder and starts the file server on it. Tools are named `files__…`. */
export async function startFileServer(tree: FileTree): Promise<FileServer> {
  const root = await realpath(await mkdtemp(join(tmpdir(), 'mandate-offline-')));
  await writeTree(root, tree);
  const client = new Client({ name: 'offline-journey', version: '1.0.0' });
  await client.connect(new StdioClientTransport({ command: process.execPath, args: [serverFile, root], stderr: 'ignore' }));
  const { tools } = await client.listTools();
  return {
    root,
    tools: tools.map(({ name, description = '', inputSchema }) => ({ name: `files__${name}`, description, inputSchema })),
    call: async (tool, args) => {
      const result = await client.callTool({ name: tool.replace(/^files__/, ''), arguments: args as Record<string, unknown> });
      const text = result.content.map((block) => (block.type === 'text' ? block.text : '')).join('\n');
      return { text, isError: result.isError === true };
    },
    stop: async () => {
      await client.close();
      await rm(root, { recursive: true, force: true });
    },
  };
}

/** What a task cost and answered. */
export interface LoopRun {
  readonly answer: string;
  readonly turns: number;
  readonly calls: readonly { readonly tool: string; readonly args: unknown }[];
  readonly widestTurn: number;
}

/** Runs a task to its answer: the provider's turns and the server's results in between. */
export async function runTask(
  server: FileServer,
  task: string,
  options: { tools?: readonly ToolSpec[]; maxResultBytes?: number } = {},
): Promise<LoopRun> {
  const messages: ModelMessage[] = [{ role: 'user', text: task }];
  const calls: { tool: string; args: unknown }[] = [];
  let widestTurn = 0;
  for (let turns = 1; turns <= 60; turns += 1) {
    const turn = answerOffline({ system: '', messages, tools: options.tools ?? server.tools, maxOutputTokens: 8000 });
    if (turn.finishReason === 'stop') return { answer: turn.text, turns, calls, widestTurn };
    messages.push({ role: 'assistant', text: turn.text, toolCalls: turn.toolCalls });
    widestTurn = Math.max(widestTurn, turn.toolCalls.length);
    for (const { callId, tool, args } of turn.toolCalls) {
      calls.push({ tool, args });
      const result = await server.call(tool, args);
      messages.push({ role: 'tool', callId, tool, isError: result.isError, text: cut(result.text, options.maxResultBytes) });
    }
  }
  throw new Error(`No answer after 60 turns: ${task}`);
}

/** Cuts a result as the tool-runner does, with its notice. */
function cut(text: string, maxBytes = Number.POSITIVE_INFINITY): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= maxBytes) return text;
  return `${bytes.subarray(0, maxBytes).toString('utf8')}\n[truncated: ${maxBytes} of ${bytes.length} bytes shown]`;
}
