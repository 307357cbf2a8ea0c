/*
 * The offline provider: a model's turn, taken by rules.
 *
 * It reads a task in English, drives file tools until it knows the answer, gives
 * independent parts to other agents where it may, and says in every answer that no
 * language model was used. Words in files and what other agents answer are data: they
 * are counted and quoted, and never read as a task.
 */
import { chooseAgent } from './choose-agent.ts';
import { advance, recordedCalls, toToolCalls, type Asking } from './asking.ts';
import { cannotAnswer, finishAnswer, SIGNATURE } from './answer-words.ts';
import { answerParts, clipped } from './answer-parts.ts';
import { divideTask, partsOfEach, type Division } from './divide-task.ts';
import { giveAway } from './give-away.ts';
import { grantedTools, type GrantedTools } from './granted-tools.ts';
import { joinResults, lastWords, passOn } from './join-results.ts';
import type { ModelRequest, OfflineAnswer } from './model-request.ts';
import { planTask } from './plan-task.ts';
import { rateAnswer } from './rate-answer.ts';
import { readPrompt, type Prompt } from './read-prompt.ts';
import { selectEntries, type Run } from './select-files.ts';
import { MAX_TASK_LENGTH, understandTask, type Understood } from './understand-task.ts';
import { CannotGoOn, openWorkspace, shownPath } from './workspace.ts';

export type { ModelMessage, ModelRequest, OfflineAnswer, ToolCall, ToolSpec } from './model-request.ts';

/**
 * Takes one turn: the next tool calls, or the final answer. Deterministic and without
 * I/O; never throws on what a conversation holds.
 *
 * @example
 * const turn = answerOffline({ system: '', messages: [{ role: 'user', text: 'Count the words in README.md' }], tools, maxOutputTokens: 1000 });
 * // turn.finishReason === 'tool_calls', turn.toolCalls[0].tool === 'files__list_allowed_directories'
 */
export function answerOffline(request: ModelRequest): OfflineAnswer {
  const prompt = readPrompt(request);
  const say = (body: string): OfflineAnswer => ({ text: finishAnswer(body, request.maxOutputTokens), toolCalls: [], finishReason: 'stop' });
  switch (prompt.kind) {
    case 'work':
      return workOn(request, prompt, say);
    case 'choose': {
      const { agent, reason } = chooseAgent(prompt.task, prompt.roles);
      return callOf('choose', { agent, reason: `${reason} ${SIGNATURE}` });
    }
    case 'plan':
      return callOf('plan', planTask(prompt));
    case 'rate': {
      const { rating, feedback } = rateAnswer(prompt.task, prompt.answer);
      return callOf('rate', { rating, feedback: `${feedback} ${SIGNATURE}` });
    }
    case 'join':
      return say(joinResults(prompt.task, prompt.results));
    case 'closing':
      return say(lastWords(prompt));
  }
}

const callOf = (tool: string, args: unknown): OfflineAnswer => ({
  text: '',
  toolCalls: [{ callId: 'offline_1', tool, args }],
  finishReason: 'tool_calls',
});

type Work = Extract<Prompt, { kind: 'work' }>;

function workOn(request: ModelRequest, prompt: Work, say: (body: string) => OfflineAnswer): OfflineAnswer {
  const tools = grantedTools(request.tools);
  const recorded = recordedCalls(request.messages);
  const state = advance(answerTask(newestTask(prompt.tasks), tools, prompt), recorded);
  if ('value' in state) return say(prompt.isSecondTry ? `${state.value}\n\n${NOTHING_BETTER}` : state.value);
  return { text: '', toolCalls: toToolCalls(state.owed, recorded, tools.fullName), finishReason: 'tool_calls' };
}

const NOTHING_BETTER = 'Note: I was asked for a better answer. My rules give the same one again; they know no more about these files.';

/** The first thing asked, unless something asked later is understood. */
function newestTask(tasks: Work['tasks']): string {
  return tasks.slice(1).findLast((text) => hasRequest(text)) ?? tasks[0];
}

function hasRequest(task: string): boolean {
  return understandTask(task).some(({ kind }) => kind === 'request');
}

function* answerTask(task: string, tools: GrantedTools, { given }: Work): Asking<string> {
  const passed = passOn(task, given);
  if (passed !== undefined) return passed;
  const refusal = refusalOf(task);
  if (refusal !== undefined) return cannotAnswer(refusal);
  const parts = understandTask(task);
  if (!parts.some(({ kind }) => kind === 'request'))
    return given.length > 0 ? joinResults(task, given) : cannotAnswer(reasonAgainst(parts));
  let run: Run | undefined;
  const open = function* (): Asking<Run> {
    return (run ??= { workspace: yield* openWorkspace(tools), paths: new Set(), notes: new Set() });
  };
  const divided = yield* divide(divideTask(task), tools, open);
  const text = divided === undefined ? yield* answerParts(yield* open(), parts) : yield* workDivided(divided, tools, open);
  const notes = [...(run?.notes ?? [])].map((note) => `Note: ${note}`);
  return [text, ...(notes.length > 0 ? [notes.join('\n')] : [])].filter((section) => section !== '').join('\n\n');
}

type Divided = Extract<Division, { kind: 'parts' }>;

/** Which parts there are, once it is known what a listing finds. Undefined: the task is one piece of work. */
function* divide(division: Division | undefined, tools: GrantedTools, open: () => Asking<Run>): Asking<Divided | undefined> {
  if (division === undefined || (!tools.mayDelegate && !(division.kind === 'each' && division.isAboutFolders))) return undefined;
  if (division.kind === 'parts') return division;
  const run = yield* open();
  try {
    const { selection } = division.listing;
    const { entries } = yield* selectEntries(run, division.isAboutFolders ? { ...selection, depth: 'direct' } : selection, 'recursive');
    const names = entries.filter(({ isFolder }) => isFolder === division.isAboutFolders).map(({ path }) => shownPath(run.workspace, path));
    const parts = partsOfEach(division, names);
    return parts && { kind: 'parts', parts, isSpread: true };
  } catch (error) {
    if (error instanceof CannotGoOn) return undefined;
    throw error;
  }
}

/** Gives the parts away; who may not do that does them one after the other. */
function* workDivided({ parts, isSpread }: Divided, tools: GrantedTools, open: () => Asking<Run>): Asking<string> {
  if (tools.mayDelegate) return yield* giveAway(open, parts, isSpread);
  const run = yield* open();
  const texts: string[] = [];
  for (const { asks } of parts) texts.push(yield* answerParts(run, asks));
  return texts.join('\n\n');
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
