import type { LlmContent, ModelMessage, ToolCatalog, ToolSpec } from '@mandate/contracts';
import { LIMITS } from '@mandate/contracts';
import {
  type Agent,
  type AgentId,
  type Call,
  type Figures,
  type Line,
  type Note,
  type Prompt,
  REFUSALS,
  type RefusalCode,
  ROOT_AGENT,
  SUMMARY_BYTES,
  type TextRef,
  type Turn,
  type Words,
} from '@mandate/domain';
import { beginning, ending, shortened } from './shorten.ts';
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
interface CallArguments {
  readonly task?: string;
  readonly question?: string;
  readonly feedback?: string;
  readonly steps?: readonly { readonly task?: string }[];
}

/** Of a task in a prompt that is cut, and of the latest words. */
const CUT = { task: 4_000, latest: 7_000, feedback: 8_000 } as const;

/** The messages of a prompt, from references to words. */
export function messagesOf(held: Held, agent: Agent, prompt: Prompt): ModelMessage[] {
  if (prompt.cutTo !== undefined) return [{ role: 'user', text: cut(held, agent, prompt) }];
  return prompt.lines.flatMap((line): ModelMessage[] =>
    line.by === 'turn'
      ? turnMessages(held, agent, line.turn)
      : [{ role: 'user', text: line.words.map((words) => wordsOf(held, agent, words)).join('\n\n') }],
  );
}

/** Tool descriptions as a model sees them, in the catalogue's order. */
export function toolSpecs(catalog: ToolCatalog | undefined, names: readonly string[]): ToolSpec[] {
  return (catalog?.tools ?? [])
    .filter((tool) => names.includes(tool.name))
    .map(({ name, description, inputSchema }) => ({ name, description, inputSchema }));
}

/** The task of an agent: what was submitted, what a model wrote for it, or its parent's own; with the results that it builds on. */
export function taskOf(held: Held, agent: AgentId): string {
  const errand = held.state.agents.get(agent)?.granted.errand ?? null;
  if (errand === null) return (held.contents.get(1) as TaskContent | undefined)?.task ?? '';
  const task = taskText(held, agent, errand.task);
  return [task, ...errand.after.map((other) => resultOf(held, other))].join('\n\n');
}

function taskText(held: Held, agent: AgentId, from: TextRef): string {
  if (from.of === 'parent') return taskOf(held, held.state.agents.get(agent)?.parent ?? ROOT_AGENT);
  const args = argumentsAt(held, from.call);
  return (from.item === undefined ? args.task : args.steps?.[from.item]?.task) ?? '';
}

const argumentsAt = (held: Held, { version, index }: { readonly version: number; readonly index: number }): CallArguments =>
  ((held.contents.get(version) as LlmContent | undefined)?.calls[index]?.args ?? {}) as CallArguments;

const answerText = (held: Held, version: number): string =>
  (held.contents.get(version) as { readonly text?: string } | undefined)?.text ?? '';

/** What a child brought, shortened; the whole of it stays on the record. */
function resultOf(held: Held, id: AgentId): string {
  const child = held.state.agents.get(id);
  const role = child?.granted.role ?? 'agent';
  if (child?.end?.kind === 'answered')
    return `Agent ${role} (${id}) answered:\n${shortened(answerText(held, child.end.answerAt), SUMMARY_BYTES)}`;
  const end = child?.end;
  return end === undefined
    ? `Agent ${role} (${id}) has not answered yet.`
    : `Agent ${role} (${id}) failed (${end.code}): ${end.message.slice(0, 300)}`;
}

function wordsOf(held: Held, agent: Agent, words: Words): string {
  switch (words.of) {
    case 'task':
      return taskOf(held, agent.id);
    case 'result':
      return resultOf(held, words.agent);
    case 'argument':
      return words.name === 'feedback'
        ? beginning(argumentsAt(held, words.call).feedback ?? '', CUT.feedback)
        : (argumentsAt(held, words.call).question ?? '');
    case 'answer':
      return answerText(held, words.version);
    case 'note':
      return noteText(words.note);
  }
}

function noteText(note: Note): string {
  switch (note.name) {
    case 'left':
      return `Note on your mandate: ${leftText(note.left)} are left. Come to an end in time.`;
    case 'raised':
      return 'Your mandate was raised. Go on with the task where you stopped, and answer it in full.';
    case 'join':
      return 'These are the results of the agents that worked on the task. Join them into one answer to the task. Where they contradict each other or something is missing, say so.';
    case 'rate':
      return 'This is an answer to the task. Rate it with the tool rate, strictly, and say what would make it better.';
    case 'improve':
      return 'Your answer was rated and is not good enough yet. Give a better one, whole. This is what was said about it:';
    case 'choose':
      return 'Choose the one agent that is best for this task with the tool choose.';
    case 'choose_again':
      return 'That was none of the agents. Choose one of those that are named, with the tool choose.';
    case 'roster':
      return `Agents: ${note.roles.map((role) => role.replace(/@\d+$/, '')).join(', ')}.`;
    case 'plan':
      return 'Plan the task in steps for these agents with the tool plan. Every step needs a task that stands by itself.';
    case 'plan_on':
      return 'These are the results so far. Plan what is still to be done with the tool plan, or say with complete: true that nothing is.';
    case 'plan_again':
      return `The plan cannot be carried out: ${note.problem}. Plan again with the tool plan.`;
    case 'not_sent':
      return `Nobody was sent for step ${note.step} (${note.problem.slice(0, 400)}).`;
    case 'closing':
      return `Your mandate is used up (${note.code}): this is your last turn, and there are no more tools. Answer the task with what you know so far, and say what is missing.`;
  }
}

const leftText = (left: Figures): string =>
  `${left.moneyMicroUsd} micro-USD, ${left.tokens} tokens, ${left.modelCalls} model calls and ${left.toolCalls} tool calls`;

/** One message: the beginning of the task, the end of what was done, and our last words. */
function cut(held: Held, agent: Agent, prompt: Prompt): string {
  const last = prompt.lines.at(-1);
  const done = prompt.lines.slice(1, -1).map((line) => lineText(held, agent, line));
  const note = last?.by === 'user' ? last.words.map((words) => wordsOf(held, agent, words)).join('\n\n') : '';
  return [
    beginning(taskOf(held, agent.id), CUT.task),
    ...(done.length === 0 ? [] : [`What was done so far, the latest last:\n${ending(done.join('\n'), CUT.latest)}`]),
    note,
  ].join('\n\n');
}

function lineText(held: Held, agent: Agent, line: Line): string {
  if (line.by === 'user') return line.words.map((words) => wordsOf(held, agent, words)).join('\n');
  return turnMessages(held, agent, line.turn)
    .map((message) => (message.role === 'tool' ? `[${message.tool}] ${message.text}` : message.text))
    .filter((text) => text !== '')
    .join('\n');
}

function turnMessages(held: Held, agent: Agent, turn: Turn): ModelMessage[] {
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
        ...callAnswer(held, agent, call),
      }),
    ),
  ];
}

function callAnswer(held: Held, agent: Agent, call: Call): { readonly text: string; readonly isError: boolean } {
  const { answer } = call;
  if (answer === undefined) return { text: 'No result yet.', isError: true };
  switch (answer.status) {
    case 'refused':
      return { text: refusalText(agent, (answer.code ?? 'ToolNotAllowed') as RefusalCode, answer.message ?? ''), isError: true };
    case 'unknown':
      return {
        text: 'The outcome of this call is unknown: it may have happened or not. It was not repeated. Check before you try again.',
        isError: true,
      };
    case 'consulted':
      return { text: shortened(answerText(held, answer.version), SUMMARY_BYTES), isError: false };
    case 'handed_over':
      return { text: 'The work is handed over. Whoever has it now goes on.', isError: false };
    case 'child':
      return childAnswer(held, call);
    default:
      return toolAnswer(held, answer.version);
  }
}

/** The first edition told the model no figures. */
const refusalText = (agent: Agent, code: RefusalCode, message: string): string =>
  agent.granted.edition === 1 ? `Refused (${code}). ${REFUSALS[code]}` : `Refused (${code}). ${message} ${REFUSALS[code]}`;

function childAnswer(held: Held, { child, answer }: Call): { readonly text: string; readonly isError: boolean } {
  const end = answer?.end;
  if (child === undefined || end === undefined) return { text: 'No result yet.', isError: true };
  const told = resultOf(held, child);
  if (end.kind === 'answered') return { text: told, isError: false };
  const partial = end.partialAt === null ? '' : answerText(held, end.partialAt);
  return { text: partial === '' ? told : `${told}\nWhat it had so far:\n${shortened(partial, SUMMARY_BYTES - 100)}`, isError: true };
}

function toolAnswer(held: Held, version: number): { readonly text: string; readonly isError: boolean } {
  const content = held.contents.get(version) as ToolContent | undefined;
  if (content?.text !== undefined) return { text: content.text.slice(0, LIMITS.toolResultBytes), isError: content.isError ?? false };
  return {
    text: `The tool call failed (${content?.code ?? 'no answer in time'}). ${(content?.message ?? '').slice(0, 300)}`.trim(),
    isError: true,
  };
}
