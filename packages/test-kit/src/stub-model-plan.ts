/**
 * What a task's own text tells the stub model to do, so that any number of workflows need no shared state:
 *
 *   [[plan: tool files__list_directory {"path":"."}; tool a {} & tool b {}; say done]] [[delay:200]]
 *
 * The first user message holds the plan; the number of answers given so far says which turn is next. `&` joins tool
 * calls of one turn. After its last turn, and without a plan, the stub says `done`.
 */
import type { StubAnswer, StubConversation } from './stub-model-formats.ts';

const CALL = /^\s*tool\s+([^\s{]+)\s*/;
const SAY = /^\s*say\s+/;

/** The turn that a plan in the conversation's first user message asks for. @throws Error for a plan that cannot be read. */
export function plannedAnswer(conversation: StubConversation): StubAnswer {
  const plan = planIn(conversation.firstUserText);
  return plan[conversation.assistantMessages] ?? { text: 'done' };
}

/** The delay that the text asks for, in ms. */
export function plannedDelayMs(text: string): number {
  return Number(/\[\[delay:(\d+)\]\]/.exec(text)?.[1] ?? 0);
}

function planIn(text: string): readonly StubAnswer[] {
  const start = text.indexOf('[[plan:');
  if (start < 0) return [];
  const turns: StubAnswer[] = [];
  let rest = text.slice(start + '[[plan:'.length);
  while (!/^\s*\]\]/.test(rest)) {
    const turn = SAY.test(rest) ? readSay(rest) : readCalls(rest);
    turns.push(turn.answer);
    rest = turn.rest.replace(/^\s*;/, '');
  }
  return turns;
}

type Read = { readonly answer: StubAnswer; readonly rest: string };

function readSay(text: string): Read {
  const end = /;|\]\]/.exec(text)?.index;
  if (end === undefined) throw new Error('the plan has no end: close it with ]]');
  return { answer: { text: text.slice(0, end).replace(SAY, '').trim() }, rest: text.slice(end) };
}

function readCalls(text: string): Read {
  const toolCalls: { tool: string; args: unknown }[] = [];
  for (let rest = text; ; rest = rest.slice(1)) {
    const call = CALL.exec(rest);
    if (call?.[1] === undefined) throw new Error(`the plan says neither "tool <name> {…}" nor "say <text>" at: ${rest.slice(0, 60)}`);
    const json = rest.slice(call[0].length);
    const end = endOfObject(json);
    toolCalls.push({ tool: call[1], args: JSON.parse(json.slice(0, end)) });
    rest = json.slice(end).trimStart();
    if (!rest.startsWith('&')) return { answer: { toolCalls }, rest };
  }
}

/** Where the JSON object at the start of the text ends. */
function endOfObject(text: string): number {
  let depth = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (inString) {
      if (c === '\\') i++;
      else if (c === '"') inString = false;
    } else if (c === '"') inString = true;
    else if (c === '{') depth++;
    else if (c === '}' && --depth === 0) return i + 1;
  }
  throw new Error(`the plan's arguments are not a JSON object: ${text.slice(0, 60)}`);
}
