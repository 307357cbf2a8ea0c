import {
  type Command,
  LIMITS,
  type LlmContent,
  type ModelMessage,
  type ModelRequest,
  type ToolCatalog,
  type ToolSpec,
} from '@mandate/contracts';
import { type Agent, type Call, type OpenAttempt, REFUSALS, type Turn } from '@mandate/domain';
import { roleText } from './roles.ts';
import type { Held } from './workflow-memory.ts';

/** Content shapes by event. */
interface TaskContent {
  readonly task: string;
}
interface ToolContent {
  readonly text?: string;
  readonly isError?: boolean;
  readonly code?: string;
  readonly message?: string;
}

/**
 * The command of an open attempt, from state and content alone: composed again after a crash it is the same to the
 * byte, and its hash stands in the event that reserved it.
 */
export function composeCommand(held: Held, attempt: OpenAttempt, catalog: ToolCatalog | undefined): Command {
  const agent = held.state.agents.get(attempt.agent);
  if (agent === undefined) throw new Error(`${held.id}: attempt ${attempt.id} belongs to no agent`);
  return {
    workflow: held.id,
    tenant: held.tenant,
    agent: attempt.agent,
    depth: agent.depth,
    attempt: attempt.id,
    number: attempt.number,
    expiresAt: attempt.expiresAt,
    timeoutMs: attempt.timeoutMs,
    reservation: attempt.reservation,
    bus: attempt.bus,
    body: bodyOf(held, agent, attempt, catalog),
  } as Command;
}

function bodyOf(held: Held, agent: Agent, attempt: OpenAttempt, catalog: ToolCatalog | undefined): Command['body'] {
  switch (attempt.owes.kind) {
    case 'analyze':
      return { task: taskOf(held) };
    case 'llm':
      return modelRequestOf(held, agent, catalog);
    case 'tool': {
      const { version, index } = attempt.owes.argsAt;
      const said = held.contents.get(version) as LlmContent | undefined;
      return { tool: attempt.owes.tool, effect: attempt.owes.effect, args: said?.calls[index]?.args ?? {} };
    }
  }
}

function modelRequestOf(held: Held, agent: Agent, catalog: ToolCatalog | undefined): ModelRequest {
  return {
    model: agent.granted.model.model,
    system: roleText(agent.granted.role),
    messages: [{ role: 'user', text: taskOf(held) }, ...(agent.work?.turns ?? []).flatMap((turn) => turnMessages(held, turn))],
    tools: toolSpecs(
      catalog,
      agent.granted.tools.map((tool) => tool.name),
    ),
    maxOutputTokens: agent.granted.model.maxOutputTokens,
  };
}

/** Tool descriptions as a model sees them, in the catalogue's order. */
export function toolSpecs(catalog: ToolCatalog | undefined, names: readonly string[]): ToolSpec[] {
  return (catalog?.tools ?? [])
    .filter((tool) => names.includes(tool.name))
    .map(({ name, description, inputSchema }) => ({ name, description, inputSchema }));
}

const taskOf = (held: Held): string => (held.contents.get(1) as TaskContent | undefined)?.task ?? '';

function turnMessages(held: Held, turn: Turn): ModelMessage[] {
  const said = held.contents.get(turn.version) as LlmContent | undefined;
  const callId = (index: number): string => `call_${turn.version}_${index}`;
  const toolCalls = turn.calls.map((_, index) => ({
    callId: callId(index),
    tool: said?.calls[index]?.tool ?? '',
    args: said?.calls[index]?.args ?? {},
  }));
  return [
    { role: 'assistant', text: said?.text ?? '', toolCalls },
    ...turn.calls.map(
      (call, index): ModelMessage => ({
        role: 'tool',
        callId: callId(index),
        tool: toolCalls[index]?.tool ?? '',
        ...toolAnswer(held, call),
      }),
    ),
  ];
}

function toolAnswer(held: Held, call: Call): { readonly text: string; readonly isError: boolean } {
  const { answer } = call;
  if (answer === undefined) return { text: 'No result yet.', isError: true };
  if (answer.status === 'refused') {
    const code = (answer.code ?? 'ToolNotAllowed') as keyof typeof REFUSALS;
    return { text: `Refused (${code}). ${REFUSALS[code]}`, isError: true };
  }
  if (answer.status === 'unknown') {
    return {
      text: 'The outcome of this call is unknown: it may have happened or not. It was not repeated. Check before you try again.',
      isError: true,
    };
  }
  const content = held.contents.get(answer.version) as ToolContent | undefined;
  if (content?.text !== undefined) return { text: content.text.slice(0, LIMITS.toolResultBytes), isError: content.isError ?? false };
  return {
    text: `The tool call failed (${content?.code ?? 'no answer in time'}). ${(content?.message ?? '').slice(0, 300)}`.trim(),
    isError: true,
  };
}
