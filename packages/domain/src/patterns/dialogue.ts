import type { AgentId, StepId } from '../ids.ts';
import type { AgentEnd, Ask, CallFacts, CallRef, Casting, OwnTool, Part } from '../workflow/steps.ts';
import type { RefusalCode } from '../refusals.ts';
import type { Brief, OwedStep, PatternOutcome, StepEvent } from './pattern.ts';
import { type Line, type Note, NOTE_BYTES, type Prompt, SUMMARY_BYTES, type Words } from './prompt.ts';

/**
 * One agent and its tool loop, the piece that most patterns are made of: ask the model, do what it asks for (all of one
 * turn at once: tools, delegations, consults), ask again with the results, until it answers without asking for anything.
 *
 *   asking ─answered─▶ doing ─all done─▶ asking … ─▶ answered
 *      └─out of mandate─▶ closing (one turn without tools, from what was put aside) ─▶ failed, with a partial answer
 */
export interface Dialogue {
  readonly lines: readonly (Turn | Remark)[];
  /** Bytes of the whole prompt so far: base, task, answers, results. */
  readonly promptBytes: number;
  readonly messages: number;
  /** The model call that was asked for and has not ended. */
  readonly asking: boolean;
  readonly consults: number;
  /** `overtaken`: it was given more while it was asked. */
  readonly closing: 'none' | 'kept' | 'owed' | 'asked' | 'overtaken' | 'given';
  readonly failure?: { readonly code: string; readonly message?: string };
}

/** One model answer and what became of the calls in it. */
export interface Turn {
  readonly version: number;
  readonly textBytes: number;
  readonly calls: readonly Call[];
  readonly fingerprint?: string;
  /** Said when the mandate was used up: never an answer. */
  readonly closing?: true;
}

/** Something that the model is told between two turns. */
export interface Remark {
  readonly words: readonly Words[];
}

export interface Call extends CallFacts {
  readonly step?: StepId;
  readonly child?: AgentId;
  /** Where the result or refusal is, once there is one. */
  readonly answer?: CallAnswer;
}

export interface CallAnswer {
  readonly version: number;
  readonly status: 'ok' | 'failed' | 'unknown' | 'refused' | 'consulted' | 'child' | 'handed_over';
  readonly code?: string;
  readonly message?: string;
  readonly end?: AgentEnd;
}

/** Questions to other roles that one agent may ask. */
export const MAX_CONSULTS = 5;

const LANDS: ReadonlySet<RefusalCode> = new Set<RefusalCode>([
  'CostBudgetExceeded',
  'TokenBudgetExceeded',
  'ModelCallBudgetExceeded',
  'ContextBudgetExceeded',
  'DeadlineExceeded',
]);

export const begin = (brief: Brief): Dialogue => ({
  lines: [],
  promptBytes: brief.promptBaseBytes + brief.taskBytes,
  messages: 2,
  asking: false,
  consults: 0,
  closing: brief.closing ? 'kept' : 'none',
});

export function hear(state: Dialogue, event: StepEvent): Dialogue {
  switch (event.kind) {
    case 'asked':
      return asked(state, event);
    case 'model_answered':
      return answered(state, event);
    case 'model_failed':
      return failed(state, event.part, { code: event.code, version: event.version });
    case 'tool_ended': {
      const status = event.outcome === 'succeeded' ? 'ok' : event.outcome === 'unknown' ? 'unknown' : 'failed';
      const grown = grow(state, Math.max(event.resultBytes, status === 'ok' ? 0 : NOTE_BYTES));
      return updateCall(grown, event.call, { answer: { version: event.version, status } });
    }
    case 'refused':
      return refused(state, event);
    case 'child_sent':
      return 'call' in event.slot ? updateCall(state, event.slot.call, { child: event.child }) : state;
    case 'child_ended': {
      if (!('call' in event.slot)) return state;
      const bytes = event.end.kind === 'answered' ? event.end.bytes : event.end.partialAt === null ? 0 : SUMMARY_BYTES;
      const grown = grow(state, Math.min(SUMMARY_BYTES, bytes) + NOTE_BYTES);
      return updateCall(grown, event.slot.call, { answer: { version: 0, status: 'child', end: event.end } });
    }
    case 'handed_over':
      return updateCall(grow(state, NOTE_BYTES), event.call, { answer: { version: event.version, status: 'handed_over' } });
    case 'told':
      return remark(state, [{ of: 'note', note: event.note }]);
    case 'raised':
      return raised(state);
  }
}

/**
 * What the dialogue owes. `as`: the role in which the agent works, when it is not its own: it has no other tools.
 * `handOver` says what a call of `transfer_to` becomes; without it that tool is not offered.
 */
export function owes(state: Dialogue, as?: Casting, handOver?: (call: CallRef, to: Casting | null) => OwedStep): readonly OwedStep[] {
  if (state.closing === 'owed')
    return [{ kind: 'llm', promptBytes: state.promptBytes, messages: state.messages, part: { name: 'closing' } }];
  if (state.asking || state.failure !== undefined || answerOf(state) !== undefined) return [];
  const turn = lastTurn(state);
  const open = (turn?.calls ?? []).flatMap((call, index) =>
    call.step === undefined && call.child === undefined && call.answer === undefined
      ? [{ call, ref: { version: turn?.version ?? 0, index } }]
      : [],
  );
  if (open.length > 0) {
    let heirs = open.filter(({ call }) => call.ask?.kind === 'delegate').length + 1;
    let consults = state.consults;
    return open.map(({ call, ref }): OwedStep => {
      if (call.ask === undefined) return isOffered(call.tool, as) ? { kind: 'tool', tool: call.tool, call: ref } : notOffered(ref);
      if (call.ask.kind === 'delegate') return errand(call.ask, ref, heirs--, as);
      if (call.ask.kind === 'consult') return consult(call, call.ask.to, ref, call.ask.to === null ? consults : consults++);
      if (call.ask.kind === 'transfer' && handOver !== undefined) return handOver(ref, call.ask.to);
      if (call.ask.kind === 'invalid') return { kind: 'refuse', call: ref, code: 'ToolArgumentsInvalid', message: call.ask.problem };
      return notOffered(ref);
    });
  }
  const waiting = turn?.calls.some((call) => call.answer === undefined) ?? false;
  return waiting ? [] : [{ kind: 'llm', promptBytes: state.promptBytes, messages: state.messages }];
}

/** What is no tool of ours at all is refused for that. */
const isOffered = (tool: string | null, as: Casting | undefined): boolean => tool === null || as === undefined || as.tools.includes(tool);
const notOffered = (call: CallRef): OwedStep => ({
  kind: 'refuse',
  call,
  code: 'ToolNotAllowed',
  message: 'This tool is not offered at this point.',
});

/** The last turn, when it is an answer. */
export function answerOf(state: Dialogue): Turn | undefined {
  const last = state.lines.at(-1);
  return last !== undefined && 'calls' in last && last.calls.length === 0 && last.closing === undefined ? last : undefined;
}

/** The latest text of the model, an answer or not. */
export const latestOf = (state: Dialogue): number | null => lastTurn(state)?.version ?? null;

export function outcomeOf(state: Dialogue): PatternOutcome | undefined {
  if (state.failure !== undefined && !isClosing(state)) {
    return { kind: 'failed', ...state.failure, partialAt: latestOf(state) };
  }
  const answer = answerOf(state);
  if (answer === undefined) return undefined;
  const { version, textBytes, fingerprint } = answer;
  return { kind: 'answered', version, bytes: textBytes, ...(fingerprint === undefined ? {} : { fingerprint }) };
}

const isClosing = ({ closing }: Dialogue): boolean => closing === 'owed' || closing === 'asked' || closing === 'overtaken';

/** What the model is asked in the next turn, in the closing turn, or in a consult. */
export function promptOf(state: Dialogue, part: Part | undefined, own: readonly OwnTool[], as?: Casting): Prompt {
  if (part?.name === 'consult') {
    return { as: part.to, lines: [user({ of: 'argument', call: part.call, name: 'question' })], own: [], tools: 'none' };
  }
  const lines: readonly Line[] = [
    user({ of: 'task' }),
    ...state.lines.map((line): Line => ('calls' in line ? { by: 'turn', turn: line } : { by: 'user', words: line.words })),
  ];
  if (part?.name !== 'closing') return { as, lines, own, tools: as === undefined ? 'granted' : 'of the casting' };
  const note = user({ of: 'note', note: { name: 'closing', code: state.failure?.code ?? '' } });
  return { as, lines: [...lines, note], own: [], tools: 'none', cutTo: 12_000 };
}

/** Whoever speaks next has a longer instruction than was reckoned with. */
export const widened = (state: Dialogue, bytes: number): Dialogue => ({ ...state, promptBytes: state.promptBytes + bytes });

/** Goes on after an answer: the model is told something and asked again. */
export const remark = (state: Dialogue, words: readonly Words[], bytes = NOTE_BYTES): Dialogue => ({
  ...grow(state, bytes),
  lines: [...state.lines, { words }],
});

export const user = (...words: readonly Words[]): Line => ({ by: 'user', words });
export const ours = (note: Note): Words => ({ of: 'note', note });

function asked(state: Dialogue, { step, owed }: Extract<StepEvent, { kind: 'asked' }>): Dialogue {
  if (owed.kind === 'tool') return updateCall(state, owed.call, { step });
  if (owed.part === undefined) return { ...state, asking: true };
  if (owed.part.name === 'closing') return { ...state, closing: 'asked' };
  return owed.part.name === 'consult' ? { ...updateCall(state, owed.part.call, { step }), consults: state.consults + 1 } : state;
}

function answered(state: Dialogue, event: Extract<StepEvent, { kind: 'model_answered' }>): Dialogue {
  const { part, version, textBytes, calls, fingerprint } = event;
  if (part?.name === 'consult') {
    return updateCall(grow(state, Math.min(SUMMARY_BYTES, textBytes) + NOTE_BYTES), part.call, {
      answer: { version, status: 'consulted' },
    });
  }
  if (part !== undefined && part.name !== 'closing') return state;
  const argsBytes = calls.reduce((sum, call) => sum + call.argsBytes, 0);
  const turn: Turn = {
    version,
    textBytes,
    calls: part === undefined ? calls : [],
    ...(fingerprint === undefined ? {} : { fingerprint }),
    ...(part === undefined ? {} : { closing: true }),
  };
  const heard = {
    ...state,
    lines: [...state.lines, turn],
    promptBytes: state.promptBytes + textBytes + argsBytes,
    messages: state.messages + 1 + calls.length,
  };
  return part === undefined ? { ...heard, asking: false } : closed(heard);
}

/** After its closing turn it has failed, unless it was given more in the meantime. */
function closed(state: Dialogue): Dialogue {
  return state.closing === 'overtaken' ? goOn(state) : { ...state, closing: 'given' };
}

function goOn(state: Dialogue): Dialogue {
  const { failure: _, ...open } = state;
  const rest: Dialogue = { ...open, closing: state.closing === 'none' ? 'none' : 'kept' };
  const last = state.lines.at(-1);
  // Told only where something was said last: a closing turn must not stand as the answer.
  return last !== undefined && 'calls' in last && last.calls.length === 0 ? remark(rest, [ours({ name: 'raised' })]) : rest;
}

function failed(state: Dialogue, part: Part | undefined, why: { readonly code: string; readonly version: number }): Dialogue {
  if (part?.name === 'consult') {
    return updateCall(grow(state, NOTE_BYTES), part.call, { answer: { version: why.version, status: 'failed', code: why.code } });
  }
  // Without its closing turn it has still failed for what it ran out of.
  if (part?.name === 'closing') return closed(state);
  return part === undefined ? { ...state, asking: false, failure: { code: why.code } } : state;
}

function refused(state: Dialogue, event: Extract<StepEvent, { kind: 'refused' }>): Dialogue {
  const { code, message, part } = event;
  const call = event.call ?? (part?.name === 'consult' ? part.call : null);
  if (call !== null) {
    return updateCall(grow(state, NOTE_BYTES), call, { answer: { version: event.version, status: 'refused', code, message } });
  }
  if (part?.name === 'closing') return closed(state);
  if (part !== undefined) return state;
  const landing = state.closing === 'kept' && LANDS.has(code);
  return { ...state, asking: false, failure: { code, message }, ...(landing ? { closing: 'owed' } : {}) };
}

function raised(state: Dialogue): Dialogue {
  if (state.failure === undefined || state.closing === 'overtaken') return state;
  // A closing turn that is on its way is waited for: what it is asked must not change.
  return state.closing === 'asked' ? { ...state, closing: 'overtaken' } : goOn(state);
}

const errand = (ask: Extract<Ask, { kind: 'delegate' }>, call: CallRef, of: number, as: Casting | undefined): OwedStep => ({
  kind: 'child',
  slot: { call },
  to: ask.to,
  task: { of: 'call', call },
  taskBytes: ask.taskBytes,
  after: [],
  pattern: ask.pattern ?? 'direct',
  of,
  fingerprint: ask.fingerprint,
  asked: true,
  ...(ask.tools === undefined ? {} : { tools: ask.tools }),
  ...(as === undefined ? {} : { scope: as.tools }),
  ...(ask.sharePercent === undefined ? {} : { sharePercent: ask.sharePercent }),
  ...(ask.moneyMicroUsd === undefined ? {} : { moneyMicroUsd: ask.moneyMicroUsd }),
  ...(ask.estimateTokens === undefined ? {} : { estimateTokens: ask.estimateTokens }),
});

function consult(call: Call, to: Casting | null, ref: CallRef, before: number): OwedStep {
  if (to === null) return { kind: 'refuse', call: ref, code: 'RoleUnknown', message: 'There is no such role to ask.' };
  if (before >= MAX_CONSULTS)
    return { kind: 'refuse', call: ref, code: 'TooManyConsults', message: `An agent may ask other roles ${MAX_CONSULTS} times.` };
  return { kind: 'llm', promptBytes: to.baseBytes + call.argsBytes + NOTE_BYTES, messages: 2, part: { name: 'consult', call: ref, to } };
}

const grow = (state: Dialogue, bytes: number): Dialogue => ({
  ...state,
  promptBytes: state.promptBytes + bytes,
  messages: state.messages + 1,
});

function lastTurn(state: Dialogue): Turn | undefined {
  return state.lines.findLast((line): line is Turn => 'calls' in line);
}

/** Only the latest turn can have open calls. */
function updateCall(state: Dialogue, at: CallRef, change: Partial<Call>): Dialogue {
  const place = state.lines.findLastIndex((line) => 'calls' in line);
  const turn = state.lines[place];
  if (turn === undefined || !('calls' in turn) || turn.version !== at.version) return state;
  const lines = [...state.lines];
  lines[place] = { ...turn, calls: turn.calls.map((call, index) => (index === at.index ? { ...call, ...change } : call)) };
  return { ...state, lines };
}
