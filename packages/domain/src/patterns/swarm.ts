import type { CallRef, Casting } from '../workflow/steps.ts';
import { begin, type Dialogue, hear, outcomeOf, owes, promptOf, widened } from './dialogue.ts';
import type { Brief, OwedStep, Pattern, StepEvent } from './pattern.ts';

/**
 * Hand-overs: whoever works may pass the work on with everything that was said so far; who does not pass it on answers.
 * All of them are one agent under one mandate. Passing it to and fro ends it.
 */
export interface SwarmState {
  readonly brief: Brief;
  readonly talk: Dialogue;
  /** Who had the work, in order; the last one has it. */
  readonly held: readonly Casting[];
  readonly failure?: { readonly code: string; readonly message: string };
}

export const MAX_HANDOVERS = 8;

export const swarm: Pattern<SwarmState> = {
  initial: (brief) => {
    const first = brief.team[0] ?? brief.self;
    return { brief, held: [first], talk: begin({ ...brief, promptBaseBytes: widest(brief) }) };
  },
  evolve,
  pending: (state) => (state.failure === undefined ? owes(state.talk, state.held.at(-1), handOvers(state)) : []),
  outcome: (state) => {
    const outcome = outcomeOf(state.talk);
    if (state.failure === undefined) return outcome;
    return { kind: 'failed', ...state.failure, partialAt: state.talk.lines.findLast((line) => 'calls' in line)?.version ?? null };
  },
  prompt: (state, part) => promptOf(state.talk, part, ['transfer_to', 'delegate', 'consult'], state.held.at(-1)),
};

/** Any of them may speak next: prompts are reckoned with the longest. */
const widest = (brief: Brief, held: readonly Casting[] = []): number =>
  Math.max(brief.promptBaseBytes, ...[...brief.team, ...held].map(({ baseBytes }) => baseBytes));

function evolve(state: SwarmState, event: StepEvent): SwarmState {
  const talk = event.kind === 'handed_over' ? widened(hear(state.talk, event), widening(state, event.to)) : hear(state.talk, event);
  if (event.kind === 'raised' && state.failure !== undefined) {
    const { failure: _, ...rest } = state;
    return { ...rest, talk };
  }
  if (event.kind !== 'handed_over') return { ...state, talk };
  const held = [...state.held, event.to];
  return isToAndFro(held)
    ? {
        ...state,
        talk,
        held,
        failure: { code: 'HandoverLoop', message: `${roleOf(held.at(-2))} and ${roleOf(held.at(-1))} pass the work to and fro.` },
      }
    : { ...state, talk, held };
}

/** By how much somebody of no team is longer than all before. */
const widening = ({ brief, held }: SwarmState, to: Casting): number => widest(brief, [...held, to]) - widest(brief, held);

/** A, B, A, B. */
function isToAndFro(held: readonly Casting[]): boolean {
  const [a, b, c, d] = held.slice(-4).map(({ role }) => role);
  return held.length >= 4 && a === c && b === d;
}

const roleOf = (casting: Casting | undefined): string => casting?.role ?? '';

/** Only one of a turn: who has passed the work on has nothing left to pass. */
function handOvers(state: SwarmState): (call: CallRef, to: Casting | null) => OwedStep {
  let passed = false;
  return (call, to) => {
    if (passed) return { kind: 'refuse', call, code: 'TooManyHandovers', message: 'The work was handed over in this turn already.' };
    const owed = handOver(state, call, to);
    passed = owed.kind === 'hand_over';
    return owed;
  };
}

function handOver(state: SwarmState, call: CallRef, to: Casting | null): OwedStep {
  if (to === null) return { kind: 'refuse', call, code: 'RoleUnknown', message: 'There is no such role to hand over to.' };
  if (state.held.length > MAX_HANDOVERS)
    return { kind: 'refuse', call, code: 'TooManyHandovers', message: `The work was handed over ${MAX_HANDOVERS} times already.` };
  if (to.role === state.held.at(-1)?.role) return { kind: 'refuse', call, code: 'RoleUnknown', message: 'That role has the work already.' };
  return { kind: 'hand_over', call, to };
}
