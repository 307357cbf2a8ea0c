import type { AgentId } from '../ids.ts';
import type { CallRef, PlannedStep } from '../workflow/steps.ts';
import { answeredOf, atWork, type Crew, failedOf, failedWith, hearCrew } from './crew.ts';
import { begin, ours, promptOf, user } from './dialogue.ts';
import type { Brief, OwedChild, OwedStep, Pattern, PatternOutcome, StepEvent } from './pattern.ts';
import { type Line, NOTE_BYTES, type Note, SUMMARY_BYTES, type Words } from './prompt.ts';

/**
 * A plan, workers, one answer. The model plans steps with dependencies; each is a child, and all that depend on nothing
 * open work at the same time; one more call joins what they brought. Full: one plan. Iterative: a new plan after every
 * round, until the model says that it is complete. A plan that cannot be carried out is sent back with its problem.
 */
export interface OrchestratorState extends Crew {
  readonly brief: Brief;
  readonly phase: 'planning' | 'working' | 'joining';
  /** The call for this phase was asked for and has not ended. */
  readonly asking: boolean;
  /** By place: the planned step of each member. */
  readonly planned: readonly (PlannedStep & { readonly call: CallRef; readonly item: number })[];
  readonly rounds: number;
  readonly replans: number;
  readonly problem?: string;
  readonly end?: PatternOutcome;
}

export const MAX_PLAN_STEPS = 10;
export const MAX_ROUNDS = 30;
const MAX_REPLANS = 2;

export const orchestratorWorkers: Pattern<OrchestratorState> = {
  initial: (brief) => ({ brief, members: [], phase: 'planning', asking: false, planned: [], rounds: 0, replans: 0 }),
  evolve,
  pending,
  outcome: (state) => state.end,
  prompt: (state, part) => {
    if (part?.name !== 'plan' && part?.name !== 'join') return promptOf(begin(state.brief), part, []);
    const lines: readonly Line[] = [
      user({ of: 'task' }, ours({ name: 'roster', roles: state.brief.team.map(({ role }) => role) })),
      ...resultLines(state),
    ];
    const note: Note = part.name === 'join' ? { name: 'join' } : planNote(state);
    return { as: undefined, lines: [...lines, user(ours(note))], own: part.name === 'plan' ? ['plan'] : [], tools: 'none' };
  },
};

/** What is wrong with a plan, in our own words; undefined when it can be carried out. `done`: ids of steps that brought a result. */
export function planProblem(steps: readonly PlannedStep[], done: readonly string[]): string | undefined {
  if (steps.length === 0) return 'it has no steps';
  if (steps.length > MAX_PLAN_STEPS) return `it has ${steps.length} steps; at most ${MAX_PLAN_STEPS} are carried out`;
  const ids = new Set<string>(done);
  for (const [index, step] of steps.entries()) {
    if (step.to === null) return `step ${index + 1} names an agent that is not known`;
    if (step.taskBytes === 0) return `step ${index + 1} has no task`;
    if (ids.has(step.id)) return `step ${index + 1} has an id that is already used`;
    ids.add(step.id);
  }
  const unknown = steps.findIndex((step) => step.after.some((id) => !ids.has(id)));
  if (unknown >= 0) return `step ${unknown + 1} depends on a step that is not in the plan and has no result`;
  return isCircular(steps, done) ? 'its steps depend on each other in a circle' : undefined;
}

function isCircular(steps: readonly PlannedStep[], before: readonly string[]): boolean {
  const done = new Set(before);
  let open = steps;
  for (;;) {
    const ready = open.filter((step) => step.after.every((id) => done.has(id)));
    if (ready.length === 0) return open.length > 0;
    for (const { id } of ready) done.add(id);
    open = open.filter((step) => !done.has(step.id));
  }
}

function evolve(state: OrchestratorState, event: StepEvent): OrchestratorState {
  if (event.kind === 'asked' && event.owed.kind === 'llm' && event.owed.part !== undefined) return { ...state, asking: true };
  if (event.kind === 'raised') return raised(state);
  if ('part' in event && event.part !== undefined) {
    const heard = { ...state, asking: false };
    if (event.kind === 'model_failed' || event.kind === 'refused') {
      return {
        ...heard,
        end: failedWith(state, event.code, event.kind === 'refused' ? event.message : `The ${event.part.name} could not be made.`),
      };
    }
    if (event.kind === 'model_answered' && event.part.name === 'plan') return adopt(heard, event);
    if (event.kind === 'model_answered') return { ...heard, end: { kind: 'answered', version: event.version, bytes: event.textBytes } };
  }
  return afterWork(hearCrew(state, event));
}

function adopt(state: OrchestratorState, event: Extract<StepEvent, { kind: 'model_answered' }>): OrchestratorState {
  const index = event.calls.findIndex((call) => call.ask?.kind === 'plan' || call.ask?.kind === 'invalid');
  const ask = event.calls[index]?.ask;
  const rounds = state.rounds + 1;
  if (ask?.kind !== 'plan')
    return planAgain({ ...state, rounds }, ask?.kind === 'invalid' ? ask.problem : 'there was no call of the tool plan');
  if (ask.complete && state.members.length > 0) return { ...state, rounds, phase: 'joining' };
  const problem = planProblem(ask.steps, [...answeredIds(state)]);
  if (problem !== undefined) return planAgain({ ...state, rounds }, problem);
  const { problem: _, ...rest } = state;
  const call = { version: event.version, index };
  return {
    ...rest,
    rounds,
    phase: 'working',
    planned: [...state.planned, ...ask.steps.map((step, item) => ({ ...step, call, item }))],
    members: [...state.members, ...ask.steps.map((step) => ({ to: step.to ?? state.brief.self }))],
  };
}

function planAgain(state: OrchestratorState, problem: string): OrchestratorState {
  if (state.replans < MAX_REPLANS) return { ...state, replans: state.replans + 1, problem, phase: 'planning' };
  // What was brought is not thrown away: the answer says what is missing.
  if (answeredOf(state).length > 0) return { ...state, phase: 'joining' };
  return { ...state, end: failedWith(state, 'PlanInvalid', `No plan could be carried out: ${problem}.`) };
}

/** Once everybody of this round is back. */
function afterWork(state: OrchestratorState): OrchestratorState {
  if (state.phase !== 'working' || state.end !== undefined || !isRoundOver(state)) return state;
  if (answeredOf(state).length === 0) return planAgain(state, 'none of its steps succeeded');
  if (state.brief.tuning.planning === 'iterative') {
    if (!hasLastRoundBrought(state)) return planAgain(state, 'none of its steps succeeded');
    if (state.rounds >= MAX_ROUNDS)
      return { ...state, end: failedWith(state, 'PlanNeverComplete', `The plan was not complete after ${MAX_ROUNDS} rounds.`) };
    return { ...state, phase: 'planning' };
  }
  const failed = failedOf(state).length;
  // What failed is planned anew once; then the answer says what is missing.
  return failed > 0 && state.replans === 0
    ? { ...state, replans: 1, phase: 'planning', problem: `${failed} of its steps failed; plan only what is still missing` }
    : { ...state, phase: 'joining' };
}

/** Whether a place belongs to the latest plan: what was left unsent of an earlier one is given up. */
const isLatest = ({ planned }: OrchestratorState, place: number): boolean => planned[place]?.call.version === planned.at(-1)?.call.version;

const hasLastRoundBrought = (state: OrchestratorState): boolean =>
  state.members.some(({ end }, place) => end?.kind === 'answered' && isLatest(state, place));

const answeredIds = ({ planned, members }: OrchestratorState): ReadonlySet<string> =>
  new Set(planned.filter((_, place) => members[place]?.end?.kind === 'answered').map(({ id }) => id));

/** Nobody works, and whoever was not sent waits for somebody that failed. */
const isRoundOver = (state: OrchestratorState): boolean => atWork(state).length === 0 && ready(state).length === 0;

/** Places of steps whose turn it is. */
function ready(state: OrchestratorState): readonly number[] {
  const answered = answeredIds(state);
  return state.planned.flatMap((step, place) => {
    const member = state.members[place];
    const isOpen = member?.child === undefined && member?.end === undefined && isLatest(state, place);
    return isOpen && step.after.every((id) => answered.has(id)) ? [place] : [];
  });
}

function pending(state: OrchestratorState): readonly OwedStep[] {
  if (state.end !== undefined || state.asking) return [];
  if (state.phase === 'working') {
    const places = ready(state);
    return places.map((place, index) => worker(state, place, places.length - index + 1));
  }
  const part = { name: state.phase === 'planning' ? 'plan' : 'join' } as const;
  const results = answeredOf(state).reduce((sum, { end }) => sum + Math.min(SUMMARY_BYTES, end.bytes) + NOTE_BYTES, 0);
  const promptBytes = state.brief.promptBaseBytes + state.brief.taskBytes + results + failedOf(state).length * NOTE_BYTES + 2 * NOTE_BYTES;
  return [{ kind: 'llm', promptBytes, messages: 4, part }];
}

function worker(state: OrchestratorState, place: number, of: number): OwedChild {
  const step = state.planned[place];
  const member = state.members[place];
  if (step === undefined || member === undefined) throw new Error(`no planned step at ${place}`);
  const after = state.planned.flatMap(({ id }, other): AgentId[] => {
    const { child, end } = state.members[other] ?? {};
    return child !== undefined && end?.kind === 'answered' && step.after.includes(id) ? [child] : [];
  });
  return {
    kind: 'child',
    slot: { part: place },
    to: step.to,
    task: { of: 'call', call: step.call, item: step.item },
    taskBytes: step.taskBytes,
    after,
    pattern: step.pattern ?? 'direct',
    of,
    fingerprint: step.fingerprint,
    asked: true,
    ...(step.tools === undefined ? {} : { tools: step.tools }),
    ...(step.sharePercent === undefined ? {} : { sharePercent: step.sharePercent }),
    ...(step.moneyMicroUsd === undefined ? {} : { moneyMicroUsd: step.moneyMicroUsd }),
    ...(step.estimateTokens === undefined ? {} : { estimateTokens: step.estimateTokens }),
  };
}

/** What every member brought, and why those that could not even be sent brought nothing. */
function resultLines(state: OrchestratorState): readonly Line[] {
  const words = state.members.flatMap((member, place): Words[] => {
    if (member.end === undefined) return [];
    if (member.child !== undefined) return [{ of: 'result', agent: member.child }];
    const problem = member.end.kind === 'failed' ? `${member.end.code}: ${member.end.message}` : '';
    return [ours({ name: 'not_sent', step: state.planned[place]?.id ?? '', problem })];
  });
  return words.length === 0 ? [] : [user(...words)];
}

function planNote(state: OrchestratorState): Note {
  if (state.problem !== undefined) return { name: 'plan_again', problem: state.problem };
  return { name: state.rounds === 0 ? 'plan' : 'plan_on' };
}

function raised(state: OrchestratorState): OrchestratorState {
  if (state.end?.kind !== 'failed') return state;
  const { end: _, ...rest } = state;
  // A round that the deadline has ended is over: there is nothing to wait for in it.
  return { ...rest, asking: false, replans: 0, phase: state.phase === 'working' ? 'planning' : state.phase };
}
