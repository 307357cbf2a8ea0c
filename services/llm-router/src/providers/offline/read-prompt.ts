/*
 * What a prompt wants. An agent's own work has its tools; beside that a model is asked to choose somebody, to plan, to
 * rate, to join results, or to say its last words. The tool that is offered tells which, or the words that the system adds.
 */
import { resultsIn, type AgentResult } from './agent-results.ts';
import type { ModelMessage, ModelRequest } from './model-request.ts';

/** What is wanted of this turn. `given`: results that the task builds on. */
export type Prompt =
  | {
      readonly kind: 'work';
      readonly tasks: readonly [string, ...string[]];
      readonly given: readonly AgentResult[];
      readonly isSecondTry: boolean;
    }
  | { readonly kind: 'choose'; readonly task: string; readonly roles: readonly string[] }
  | {
      readonly kind: 'plan';
      readonly task: string;
      readonly roles: readonly string[];
      readonly results: readonly AgentResult[];
      readonly problem: string | undefined;
    }
  | { readonly kind: 'rate'; readonly task: string; readonly answer: string }
  | { readonly kind: 'join'; readonly task: string; readonly results: readonly AgentResult[] }
  | { readonly kind: 'closing'; readonly task: string; readonly code: string; readonly done: string };

/** Reads what a request wants. */
export function readPrompt({ messages, tools }: ModelRequest): Prompt {
  const said = messages.flatMap((message) => (message.role === 'user' ? [message.text] : []));
  const [first = '', last = ''] = [said[0], said.at(-1)];
  const offered = new Set(tools.map(({ name }) => name));
  if (offered.has('choose')) return { kind: 'choose', ...castIn(first) };
  if (offered.has('plan'))
    return { kind: 'plan', ...castIn(first), results: said.slice(1).flatMap((text) => resultsIn(text).results), problem: problemIn(last) };
  if (offered.has('rate')) return { kind: 'rate', task: resultsIn(first).before, answer: before(last, 'This is an answer to the task. ') };
  if (tools.length === 0) {
    const closing = closingIn(last);
    if (closing !== undefined) return closing;
    const isJoin =
      said.length > 1 && said.slice(1).some((text) => text.includes('These are the results of the agents that worked on the task.'));
    if (isJoin)
      return {
        kind: 'join',
        task: castIn(first).task,
        results: said.slice(1).flatMap((text) => resultsIn(before(text, 'These are the results ')).results),
      };
  }
  return work(messages, said);
}

/** The first thing asked, and what was asked after it. */
function work(messages: readonly ModelMessage[], said: readonly string[]): Prompt {
  const { before: task, results } = resultsIn(said[0] ?? '');
  const later = said.slice(1).filter((text) => !isRemark(text));
  const hasAnswered = messages.some((message) => message.role === 'assistant' && message.toolCalls.length === 0);
  return {
    kind: 'work',
    tasks: [task, ...later],
    given: results,
    isSecondTry: hasAnswered && said.some((text) => text.startsWith('Your answer was rated')),
  };
}

/** Words of the system to an agent at work: no task. */
const isRemark = (text: string): boolean => /^(?:Note on your mandate: |Your mandate was raised\. |Your answer was rated )/.test(text);

/** `Agents: researcher, analyst.` after the task. */
function castIn(text: string): { readonly task: string; readonly roles: readonly string[] } {
  const rosters = [...text.matchAll(/(?:^|\n\n)Agents: ([^\n]+)\.(?=\n\n|$)/g)];
  const roster = rosters.at(-1);
  const roles = (roster?.[1] ?? '').split(', ').filter((role) => role !== '');
  return { task: resultsIn(text.slice(0, roster?.index ?? text.length)).before, roles };
}

const problemIn = (text: string): string | undefined => /(?:^|\n\n)The plan cannot be carried out: ([^\n]*)/.exec(text)?.[1];

function closingIn(text: string): Prompt | undefined {
  const note = [...text.matchAll(/(?:^|\n\n)Your mandate is used up \((\w*)\)/g)].at(-1);
  if (note === undefined) return undefined;
  const [task = '', ...done] = text.slice(0, note.index).split('\n\nWhat was done so far, the latest last:\n');
  return { kind: 'closing', task, code: note[1] ?? '', done: done.join('\n') };
}

function before(text: string, note: string): string {
  const at = text.lastIndexOf(note);
  return (at < 0 ? text : text.slice(0, at)).trim();
}
