/* For tests: conversations of the offline provider with file tools over files in memory, and with other agents. */
import { answerOffline, type ModelMessage, type OfflineAnswer, type ToolSpec } from './answer-offline.ts';

export const ALL_TOOLS: readonly string[] = [
  'list_allowed_directories',
  'list_directory',
  'directory_tree',
  'search_files',
  'get_file_info',
  'read_text_file',
];

export type Files = Readonly<Record<string, string>>;
type Result = string | { readonly error: string };
export type FakeTool = (args: Record<string, unknown>) => Result;

export const specs = (names: readonly string[], prefix = 'files__'): ToolSpec[] =>
  names.map((name) => ({ name: prefix + name, description: '', inputSchema: {} }));

/** The file server's answers over files in memory, in its own formats. */
export function toolsOver(files: Files): Record<string, FakeTool> {
  const within = (path: unknown) => Object.keys(files).filter((file) => `/w/${file}`.startsWith(`${String(path)}/`));
  return {
    list_allowed_directories: () => 'Allowed directories:\n/w',
    list_directory: ({ path }) => {
      const rests = within(path).map((file) => `/w/${file}`.slice(String(path).length + 1));
      if (rests.length === 0) return { error: `ENOENT: no such file or directory, scandir '${String(path)}'` };
      return [...new Set(rests.map((rest) => (rest.includes('/') ? `[DIR] ${rest.split('/')[0]}` : `[FILE] ${rest}`)))].join('\n');
    },
    directory_tree: ({ path }) => {
      const names = within(path).map((file) => ({ name: `/w/${file}`.slice(String(path).length + 1), type: 'file' }));
      return names.length > 0 ? JSON.stringify(names) : { error: 'ENOENT' };
    },
    get_file_info: ({ path }) => {
      const content = files[String(path).replace('/w/', '')];
      if (content !== undefined) return `size: ${content.length}\nisDirectory: false`;
      return path === '/w' || within(path).length > 0
        ? 'size: 4096\nisDirectory: true'
        : { error: `ENOENT: no such file or directory, stat '${String(path)}'` };
    },
    search_files: () => 'No matches found',
    read_text_file: ({ path, tail }) => {
      const content = files[String(path).replace('/w/', '')];
      if (content === undefined) return { error: `ENOENT: no such file or directory, open '${String(path)}'` };
      return typeof tail === 'number' ? content.split('\n').slice(-tail).join('\n') : content;
    },
  };
}

/** The turns of one agent, and its answer. */
export interface Loop {
  readonly answer: string;
  readonly turns: readonly OfflineAnswer[];
}

/** Runs a task to its answer. */
export function loop(
  task: string,
  options: { files?: Files; tools?: readonly string[]; maxBytes?: number; override?: Record<string, FakeTool>; prefix?: string } = {},
): Loop {
  const prefix = options.prefix ?? 'files__';
  const tools = { ...toolsOver(options.files ?? {}), ...options.override };
  const messages: ModelMessage[] = [{ role: 'user', text: task }];
  const turns: OfflineAnswer[] = [];
  while (turns.length < 80) {
    const turn = answerOffline({ system: '', messages, tools: specs(options.tools ?? ALL_TOOLS, prefix), maxOutputTokens: 4000 });
    turns.push(turn);
    if (turn.finishReason === 'stop') return { answer: turn.text, turns };
    messages.push({ role: 'assistant', text: '', toolCalls: turn.toolCalls });
    for (const { callId, tool, args } of turn.toolCalls) {
      const result = tools[tool.slice(prefix.length)]?.(args as Record<string, unknown>) ?? { error: 'no such tool' };
      const text = typeof result === 'string' ? cut(result, options.maxBytes) : result.error;
      messages.push({ role: 'tool', callId, tool, text, isError: typeof result !== 'string' });
    }
  }
  throw new Error('no answer');
}

function cut(text: string, maxBytes = Number.POSITIVE_INFINITY): string {
  const bytes = Buffer.from(text);
  return bytes.length <= maxBytes
    ? text
    : `${bytes.subarray(0, maxBytes).toString()}\n[truncated: ${maxBytes} of ${bytes.length} bytes shown]`;
}

/** One agent of a delegated task. */
export interface Delegated {
  readonly id: string;
  readonly role: string;
  readonly task: string;
  readonly turns: readonly OfflineAnswer[];
  readonly answer: string;
}

interface Team {
  readonly files: Files;
  /** Agents so deep may delegate no further. */
  readonly maxDepth?: number;
  /** What every agent may spend; asking for more is refused. */
  readonly moneyMicroUsd?: number;
  /** Agents that fail, by their id. */
  readonly failing?: readonly string[];
}

/** Runs a task and whatever agents it asks for, each in a conversation of its own. The first one is the root. */
export function delegatedRun(task: string, team: Team): readonly Delegated[] {
  return agentsOf({ id: 'a0', role: 'generalist@1', task }, team);
}

function agentsOf(self: Pick<Delegated, 'id' | 'role' | 'task'>, team: Team): readonly Delegated[] {
  const depth = self.id.split('-').length - 1;
  const own = depth < (team.maxDepth ?? 2) ? [{ name: 'delegate', description: '', inputSchema: {} }] : [];
  const messages: ModelMessage[] = [{ role: 'user', text: self.task }];
  const turns: OfflineAnswer[] = [];
  const others: Delegated[] = [];
  let sent = 0;
  while (turns.length < 60) {
    const turn = answerOffline({ system: '', messages, tools: [...own, ...specs(ALL_TOOLS)], maxOutputTokens: 4000 });
    turns.push(turn);
    if (turn.finishReason === 'stop') return [{ ...self, turns, answer: turn.text }, ...others];
    messages.push({ role: 'assistant', text: '', toolCalls: turn.toolCalls });
    for (const { callId, tool, args } of turn.toolCalls) {
      if (tool !== 'delegate') {
        const result = toolsOver(team.files)[tool.slice('files__'.length)]?.(args as Record<string, unknown>) ?? { error: 'no such tool' };
        messages.push({
          role: 'tool',
          callId,
          tool,
          text: typeof result === 'string' ? result : result.error,
          isError: typeof result !== 'string',
        });
        continue;
      }
      const asked = args as { readonly agent: string; readonly task: string; readonly budget_micro_usd?: number };
      const left = team.moneyMicroUsd ?? 1_000_000;
      if ((asked.budget_micro_usd ?? 0) > left) {
        const text = `Refused (DelegationBudgetExceeded). The child was to get ${asked.budget_micro_usd} micro-USD; ${left} are left of the mandate. Ask for a smaller share, or do this part yourself.`;
        messages.push({ role: 'tool', callId, tool, text, isError: true });
        continue;
      }
      const child = { id: `${self.id}-${(sent += 1)}`, role: `${asked.agent}@1`, task: asked.task };
      const isFailing = team.failing?.includes(child.id) ?? false;
      const agents = isFailing ? [] : agentsOf(child, team);
      others.push(...agents);
      const text = isFailing
        ? `Agent ${child.role} (${child.id}) failed (ModelCallBudgetExceeded): 0 model calls are left.`
        : `Agent ${child.role} (${child.id}) answered:\n${agents[0]?.answer ?? ''}`;
      messages.push({ role: 'tool', callId, tool, text, isError: isFailing });
    }
  }
  throw new Error('no answer');
}
