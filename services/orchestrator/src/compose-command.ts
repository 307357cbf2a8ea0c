import type { Command, LlmContent, ModelRequest, ToolCatalog } from '@mandate/contracts';
import { type Agent, type OpenAttempt, type OwnTool, promptOfWork, type Step } from '@mandate/domain';
import { ownToolSpecs } from './own-tools.ts';
import { messagesOf, taskOf, toolSpecs } from './prompt-text.ts';
import type { Held } from './workflow-memory.ts';

/** What never changes once it is on record. */
export interface Around {
  readonly catalog: ToolCatalog | undefined;
  /** The system text of a role. */
  readonly instruction: (role: string) => string;
}

/**
 * The command of an open attempt, from state and content alone: composed again after a crash it is the same to the
 * byte, and its hash stands in the event that reserved it.
 */
export function composeCommand(held: Held, attempt: OpenAttempt, around: Around): Command {
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
    body: bodyOf(held, agent, attempt.owes, around),
  } as Command;
}

function bodyOf(held: Held, agent: Agent, owes: Step, around: Around): Command['body'] {
  switch (owes.kind) {
    case 'analyze':
      return { task: taskOf(held, agent.id) };
    case 'llm':
      return modelRequestOf(held, agent, owes, around);
    case 'tool': {
      const { version, index } = owes.argsAt;
      const said = held.contents.get(version) as LlmContent | undefined;
      return { tool: owes.tool, effect: owes.effect, args: said?.calls[index]?.args ?? {} };
    }
  }
}

function modelRequestOf(held: Held, agent: Agent, owes: Extract<Step, { kind: 'llm' }>, { catalog, instruction }: Around): ModelRequest {
  const { work, granted } = agent;
  if (work === undefined) throw new Error(`${held.id}: ${agent.id} asks a model before its pattern was chosen`);
  const prompt = promptOfWork(work, owes.part);
  const names = granted.tools.map((tool) => tool.name);
  const offered =
    prompt.tools === 'none' ? [] : prompt.tools === 'granted' ? names : names.filter((name) => prompt.as?.tools.includes(name));
  return {
    model: granted.model.model,
    system: instruction(prompt.as?.role ?? granted.role),
    messages: messagesOf(held, agent, prompt),
    tools: [...ownToolSpecs(prompt.own.filter((tool) => isOffered(agent, tool))), ...toolSpecs(catalog, offered)],
    maxOutputTokens: owes.maxOutputTokens ?? granted.model.maxOutputTokens,
  };
}

/** Whoever may have no children is not offered to delegate; a task without delegation consults nobody either. */
function isOffered({ granted, mandate }: Agent, tool: OwnTool): boolean {
  if (granted.edition === 1) return false;
  if (tool === 'delegate') return mandate.limits.children > 0 && granted.depth < granted.delegation.maxDepth;
  return tool === 'consult' ? granted.delegation.maxDepth > 0 : true;
}
