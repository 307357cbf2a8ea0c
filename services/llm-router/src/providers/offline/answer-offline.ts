/*
 * The offline provider: a model's turn, taken by rules.
 *
 * It reads a task in English, drives file tools until it knows the answer, and says in
 * every answer that no language model was used. Words in files are data: they are
 * counted and quoted, and never read as a task.
 */
import { advance, recordedCalls, toToolCalls, type Asking } from './asking.ts';
import { cannotAnswer, finishAnswer } from './answer-words.ts';
import { carryOut } from './carry-out.ts';
import type { FileRequest, Selection } from './file-request.ts';
import { grantedTools, type GrantedTools } from './granted-tools.ts';
import type { ModelMessage, ModelRequest, OfflineAnswer } from './model-request.ts';
import type { Run } from './select-files.ts';
import { pointsBack, understandTask, type Understood } from './understand-task.ts';
import { CannotGoOn, openWorkspace } from './workspace.ts';

export type { ModelMessage, ModelRequest, OfflineAnswer, ToolCall, ToolSpec } from './model-request.ts';

/** A task longer than this is not for rules. In characters. */
const MAX_TASK_LENGTH = 2000;

/**
 * Takes one turn: the next tool calls, or the final answer. Deterministic and without
 * I/O; never throws on what a conversation holds.
 *
 * @example
 * const turn = answerOffline({ system: '', messages: [{ role: 'user', text: 'Count the words in README.md' }], tools, maxOutputTokens: 1000 });
 * // turn.finishReason === 'tool_calls', turn.toolCalls[0].tool === 'files__list_allowed_directories'
 */
export function answerOffline(request: ModelRequest): OfflineAnswer {
  const tools = grantedTools(request.tools);
  const recorded = recordedCalls(request.messages);
  const state = advance(answerTask(newestTask(request.messages), tools), recorded);
  if ('value' in state) return { text: finishAnswer(state.value, request.maxOutputTokens), toolCalls: [], finishReason: 'stop' };
  return { text: '', toolCalls: toToolCalls(state.owed, recorded, tools.fullName), finishReason: 'tool_calls' };
}

/** The first thing asked, unless something asked after a finished answer is understood. */
function newestTask(messages: readonly ModelMessage[]): string {
  const asked = messages.flatMap((message) => (message.role === 'user' ? [message.text] : []));
  const later = asked.slice(1).findLast((text) => hasRequest(text));
  return later ?? asked[0] ?? '';
}

function hasRequest(task: string): boolean {
  return task.length <= MAX_TASK_LENGTH && understandTask(task).some(({ kind }) => kind === 'request');
}

function* answerTask(task: string, tools: GrantedTools): Asking<string> {
  const refusal = refusalOf(task);
  if (refusal !== undefined) return cannotAnswer(refusal);
  const parts = understandTask(task);
  if (!parts.some(({ kind }) => kind === 'request')) return cannotAnswer(reasonAgainst(parts));
  const run: Run = { workspace: yield* openWorkspace(tools), paths: new Set(), notes: new Set() };
  const sections: string[] = [];
  let found: Found = {};
  for (const part of parts) {
    const outcome = yield* answerPart(run, part, found);
    found = outcome.found;
    if (outcome.text !== '' && !sections.includes(outcome.text)) sections.push(outcome.text);
  }
  const notes = [...run.notes].map((note) => `Note: ${note}`);
  return [...sections, ...(notes.length > 0 ? [notes.join('\n')] : [])].join('\n\n');
}

/** What earlier clauses found: the files, and the selection in words. */
interface Found {
  readonly files?: readonly string[];
  readonly selection?: Selection;
}

function* answerPart(run: Run, part: Understood, found: Found): Asking<{ text: string; found: Found }> {
  if (part.kind === 'beyond')
    return {
      text: `I cannot do this part by rules (I only list, find, count, read, extract, compare and quote): "${clipped(part.words)}".`,
      found,
    };
  if (part.kind === 'unclear') return { text: `I did not understand this part: "${clipped(part.words)}".`, found };
  const isBack = found.files !== undefined && pointsBack(part.request.selection) && !countsAnew(part.request);
  const request = isBack ? part.request : inSamePlace(part.request, found);
  try {
    const outcome = yield* carryOut(run, request, isBack ? found.files : undefined);
    return { text: outcome.lines.join('\n'), found: { files: outcome.files, selection: request.selection } };
  } catch (error) {
    if (error instanceof CannotGoOn) return { text: error.message, found };
    throw error;
  }
}

/** "How many mention x, and how many mention y": the second count is not among the first's files. */
function countsAnew({ action, selection }: FileRequest): boolean {
  return action.kind === 'count-files' && !selection.refersBack && selection.mentions.phrases.length > 0;
}

/** "… in docs, and how many json files": the second clause means docs, too. */
function inSamePlace(request: FileRequest, { selection: earlier }: Found): FileRequest {
  const { selection } = request;
  if (earlier === undefined || selection.places.length > 0) return request;
  const places = earlier.places.filter(({ expects }) => expects !== 'file');
  const extensions = countsAnew(request) && selection.extensions.length === 0 ? earlier.extensions : selection.extensions;
  return {
    ...request,
    selection: { ...selection, places, extensions, depth: selection.depth === 'unsaid' ? earlier.depth : selection.depth },
  };
}

function refusalOf(task: string): string | undefined {
  if (task.trim() === '') return 'The task is empty.';
  if (task.length > MAX_TASK_LENGTH) return `The task has ${task.length} characters; rules work on at most ${MAX_TASK_LENGTH}.`;
  const letters = task.match(/\p{L}/gu)?.length ?? 0;
  const latin = task.match(/\p{Script=Latin}/gu)?.length ?? 0;
  if (letters > 0 && latin * 2 < letters) return 'I understand only English.';
  return undefined;
}

function reasonAgainst(parts: readonly Understood[]): string {
  const beyond = parts.find(({ kind }) => kind === 'beyond');
  if (beyond)
    return `This asks for more than my rules know: "${clipped(beyond.words)}". I only list, find, count, read, extract, compare and quote.`;
  return 'I work by rules for English requests about files, and found no such request in these words.';
}

function clipped(words: string): string {
  return words.length > 160 ? `${words.slice(0, 160)}…` : words;
}
