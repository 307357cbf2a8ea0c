import type { AgentId, StepId } from '../ids.ts';
import type { AgentEnd, Ask, CallFacts, Casting, Part, PlannedStep } from '../workflow/steps.ts';
import type { RefusalCode } from '../refusals.ts';
import type { Brief, OwedStep, Pattern, PatternOutcome, StepEvent } from './pattern.ts';

/** The words of the patterns' tests: a pattern whose every wish is taken up, and that hears what came of it. */
export class AtWork<State> {
  state: State;
  readonly #pattern: Pattern<State>;
  #version = 0;
  /** Version of the last answer of a model. */
  #answered = 0;
  #steps = 0;
  #children = 0;
  #part: Part | undefined;
  /** Everything that was taken up so far. */
  readonly taken: OwedStep[] = [];
  /** Children that were to be stopped. */
  readonly stopped: string[] = [];

  constructor(pattern: Pattern<State>, brief: Partial<Brief> = {}) {
    this.#pattern = pattern;
    this.state = pattern.initial({ ...plainBrief, ...brief });
  }

  get owed(): readonly OwedStep[] {
    return this.#pattern.pending(this.state);
  }

  get outcome(): PatternOutcome | undefined {
    return this.#pattern.outcome(this.state);
  }

  /** What the model is asked in the part that was taken up last. */
  get prompt(): ReturnType<Pattern<State>['prompt']> {
    return this.#pattern.prompt(this.state, this.#part);
  }

  /** Takes up all that is owed. @returns what it was, in words */
  takeUp(): readonly string[] {
    const { owed } = this;
    this.taken.push(...owed);
    for (const step of owed) this.#take(step);
    return owed.map(inWords);
  }

  /** The model that was asked last answers. @returns what is owed then, taken up */
  model(...calls: readonly (string | Ask)[]): readonly string[] {
    return this.modelSays({ calls: calls.map(callOf) });
  }

  modelSays({
    calls = [],
    textBytes = 20,
    fingerprint,
  }: {
    calls?: readonly CallFacts[];
    textBytes?: number;
    fingerprint?: string;
  }): readonly string[] {
    this.#answered = this.#next();
    this.hear({
      kind: 'model_answered',
      ...this.#ofPart,
      version: this.#answered,
      textBytes,
      calls,
      ...(fingerprint === undefined ? {} : { fingerprint }),
    });
    return this.takeUp();
  }

  modelFails(code = 'server_error'): readonly string[] {
    this.hear({ kind: 'model_failed', ...this.#ofPart, code, version: this.#next() });
    return this.takeUp();
  }

  /** The model call that was asked for is not granted. */
  refused(code: RefusalCode = 'CostBudgetExceeded'): readonly string[] {
    this.hear({ kind: 'refused', call: null, ...this.#ofPart, version: this.#next(), code, message: 'not granted' });
    return this.takeUp();
  }

  tool(index = 0, outcome: 'succeeded' | 'failed' | 'unknown' = 'succeeded', resultBytes = 200): readonly string[] {
    this.hear({ kind: 'tool_ended', call: { version: this.#answered, index }, version: this.#next(), outcome, resultBytes });
    return this.takeUp();
  }

  /** The child that a call of the last answer has sent comes to its end. */
  callEnds(index: number, end: AgentEnd): readonly string[] {
    const slot = { call: { version: this.#answered, index } };
    this.hear({ kind: 'child_ended', slot, child: `a0-${index + 1}` as AgentId, end });
    return this.takeUp();
  }

  /** The child at a place of the crew answers. Its answer stands at version 100 + place. */
  childAnswers(place: number, { bytes = 50, fingerprint }: { bytes?: number; fingerprint?: string } = {}): readonly string[] {
    return this.#childEnds(place, {
      kind: 'answered',
      answerAt: 100 + place,
      bytes,
      ...(fingerprint === undefined ? {} : { fingerprint }),
    });
  }

  childFails(place: number, code = 'server_error', partialAt: number | null = null): readonly string[] {
    return this.#childEnds(place, { kind: 'failed', code, message: 'it failed', partialAt });
  }

  childNotGranted(place: number): readonly string[] {
    const slot = { part: place };
    this.hear({ kind: 'refused', call: null, slot, version: this.#next(), code: 'TooManyDelegations', message: 'too many' });
    return this.takeUp();
  }

  hear(event: StepEvent): void {
    this.state = this.#pattern.evolve(this.state, event);
  }

  #childEnds(part: number, end: AgentEnd): readonly string[] {
    this.hear({ kind: 'child_ended', slot: { part }, child: `a0-${part + 1}` as AgentId, end });
    return this.takeUp();
  }

  #take(step: OwedStep): void {
    switch (step.kind) {
      case 'llm':
        this.#part = step.part;
        return this.hear({ kind: 'asked', step: `a0_s${++this.#steps}` as StepId, owed: step });
      case 'tool':
        return this.hear({ kind: 'asked', step: `a0_s${++this.#steps}` as StepId, owed: step });
      case 'child':
        return this.hear({ kind: 'child_sent', slot: step.slot, child: `a0-${++this.#children}` as AgentId, role: step.to?.role ?? '' });
      case 'refuse':
        return this.hear({ ...step, kind: 'refused', version: this.#next() });
      case 'hand_over':
        return this.hear({ kind: 'handed_over', call: step.call, to: step.to, version: this.#next() });
      case 'stop':
        this.stopped.push(step.child);
    }
  }

  get #ofPart(): { readonly part?: Part } {
    return this.#part === undefined ? {} : { part: this.#part };
  }

  #next(): number {
    this.#version += 1;
    return this.#version;
  }
}

const castings = ['researcher@1', 'analyst@1', 'creator@1', 'reviewer@1', 'developer@1'].map(
  (role): Casting => ({ role, tools: ['files__read'], baseBytes: 300, tier: 'medium' }),
);
/** The first `n` of five. */
export const team = (n: number): readonly Casting[] => castings.slice(0, n);
export const [researcher, analyst, creator, reviewer] = castings as [Casting, Casting, Casting, Casting];
/** Nobody that any team knows. */
export const stranger: Casting = { role: 'stranger@1', tools: [], baseBytes: 300, tier: 'cheap' };

export const plainBrief: Brief = {
  taskBytes: 50,
  promptBaseBytes: 100,
  self: { role: 'generalist@1', tools: ['files__read'], baseBytes: 100, tier: 'medium' },
  team: team(3),
  tuning: {},
  closing: true,
};

/** A planned step: `after` names the ids that it waits for. */
export const planned = (id: string, to: Casting | null = researcher, ...after: readonly string[]): PlannedStep => ({
  id,
  to,
  taskBytes: 40,
  fingerprint: `f-${id}`,
  after,
});
export const plan = (...steps: readonly PlannedStep[]): Ask => ({ kind: 'plan', complete: false, steps });
export const complete: Ask = { kind: 'plan', complete: true, steps: [] };

const callOf = (call: string | Ask): CallFacts =>
  typeof call === 'string' ? { tool: call, argsBytes: 10 } : { tool: null, argsBytes: 10, ask: call };

function inWords(step: OwedStep): string {
  switch (step.kind) {
    case 'llm':
      return step.part === undefined ? 'model' : `model: ${step.part.name}`;
    case 'tool':
      return `tool ${step.tool}`;
    case 'child': {
      const after = step.after.length === 0 ? '' : ` after ${step.after.join(', ')}`;
      return `child ${step.to?.role ?? 'nobody'}${after}`;
    }
    case 'refuse':
      return `refuse: ${step.code}`;
    case 'hand_over':
      return `hand over to ${step.to.role}`;
    case 'stop':
      return `stop ${step.child}`;
  }
}
