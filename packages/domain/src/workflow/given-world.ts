import { type AgentId, type AttemptId, ROOT_AGENT, type RequestId } from '../ids.ts';
import { type Figures, NONE, plus } from '../mandate/mandate.ts';
import { promptOfWork } from '../patterns/patterns.ts';
import { decide } from './decide.ts';
import type { WorkflowEvent } from './events.ts';
import { modelSays, toolSays } from './given.ts';
import type { WorkflowInput } from './inputs.ts';
import { pending } from './pending.ts';
import type { RecordedDecision } from './replay.ts';
import type { AnalysisFacts, Answer, CallFacts, Casting, OpenAttempt } from './steps.ts';
import { ABSENT, type Agent, evolve, isOpen, rootOf, stopOf, type Workflow } from './workflow.ts';

/**
 * A whole world in miniature, for the simulations: a log with versions, owners that come and go and may believe too long
 * that they own, a bus that repeats, reorders and forgets, workers that claim and die. It keeps its own bill, and looks
 * after every event whether what is always true still is.
 */
export class World {
  readonly log: RecordedDecision[] = [];
  version = 0;
  now = 1_000;
  bus = 1;
  frozen = false;
  /** Messages on the bus; delivered in any order, some twice. */
  inbox: WorkflowInput[] = [];
  commands: OpenAttempt[] = [];
  readonly claims = new Map<string, number>();
  readonly admitted = new Set<string>();
  /** What was really billed, by the world's own count: the oracle. */
  billed = NONE;
  /** What the events say was settled. */
  settled = NONE;
  /** What the account has leased; without an account there is no end to it. */
  leased = Infinity;
  /** How often a call was really made; of what must not be repeated, by step. */
  readonly effects = new Map<string, number>();
  owner: Owner = { state: ABSENT, epoch: 1 };
  stale: Owner | undefined;
  epoch = 1;
  readonly #released = new Set<AgentId>();
  /** What the model was asked when its attempt was reserved. */
  readonly #asked = new Map<string, string>();
  readonly analysis: AnalysisFacts;
  readonly team: readonly Casting[];

  constructor(analysis: AnalysisFacts = plainAnalysis, team: readonly Casting[] = []) {
    this.analysis = analysis;
    this.team = team;
  }

  deliver(owner: Owner, input: WorkflowInput): void {
    const decision = decide(input, owner.state, { now: this.now, bus: `bus-${this.bus}`, frozen: this.frozen });
    if (decision.kind !== 'events') return;
    const at = Math.max(owner.state.at, this.now);
    // The fence and the expected version: a stale owner's decision is void.
    if (owner.epoch !== this.epoch || owner.state.version !== this.version) return;
    this.log.push({ at, events: decision.events });
    this.version += decision.events.length;
    for (const event of decision.events) {
      const before = owner.state;
      owner.state = evolve(before, event, at);
      this.#book(before, event);
      lawful(before, event, owner.state);
      this.#balanced(owner.state, event);
    }
    this.#stable(owner.state);
    alive(owner.state);
    const fresh = new Set(decision.events.map((event) => (event.type === 'attempt.reserved' ? event.data.attempt : undefined)));
    this.commands.push(...pending(owner.state).dispatch.filter(({ id }) => fresh.has(id)));
  }

  /** Everything that is owed again, as after a takeover. */
  dispatch(state: Workflow): void {
    this.commands.push(...pending(state).dispatch);
  }

  /** A new process owns the partition: it knows only the log. */
  takeOver(keepStale: boolean): void {
    this.epoch += 1;
    this.stale = keepStale ? this.owner : undefined;
    const state = this.log.reduce((folded, { at, events }) => events.reduce((next, event) => evolve(next, event, at), folded), ABSENT);
    this.owner = { state, epoch: this.epoch };
    this.dispatch(state);
  }

  wipeBus(): void {
    this.bus += 1;
    this.claims.clear();
    this.commands = [];
    this.inbox = [];
    this.deliver(this.owner, { kind: 'bus_reset', incarnation: `bus-${this.bus}` });
    this.dispatch(this.owner.state);
  }

  /** A worker takes a command. `fate` decides whether it dies and what it answers. */
  work(attempt: OpenAttempt, fate: Fate): void {
    const nonIdempotent = attempt.owes.kind === 'tool' && attempt.owes.effect === 'non_idempotent';
    if (nonIdempotent) {
      const runner = `runner-${fate.runner}`;
      this.deliver(this.owner, { kind: 'start', attempt: attempt.id, runner });
      if (this.owner.state.attempts.get(attempt.id)?.runner !== runner) return;
      // A process runs an attempt once; one that was started again has another name.
      if (this.admitted.has(`${attempt.id}/${runner}`)) return;
      this.admitted.add(`${attempt.id}/${runner}`);
    } else {
      if (attempt.bus !== `bus-${this.bus}`) return this.say(attempt, { outcome: 'lost' });
      if (this.claims.has(attempt.id)) return this.say(attempt, { outcome: 'lost' });
      this.claims.set(attempt.id, fate.runner);
    }
    if (this.now > attempt.expiresAt)
      return this.say(attempt, { outcome: 'expired', failure: { code: 'expired', retryable: true, billed: 'no' } });
    if (fate.dies === 'before the call') return;
    if (fate.heeds && pending(this.owner.state).stop.some(({ id }) => id === attempt.id))
      return this.say(attempt, { outcome: 'cancelled', failure: { code: 'cancelled', retryable: false, billed: 'no' } });
    if (fate.fails === 'unbilled') {
      const { retryAfterMs } = fate;
      return this.say(attempt, { outcome: 'failed', failure: { code: 'rate_limit', retryable: true, billed: 'no', retryAfterMs } });
    }
    const place = nonIdempotent ? attempt.step : attempt.id;
    this.effects.set(place, (this.effects.get(place) ?? 0) + 1);
    const answer = this.answerOf(attempt, fate);
    this.billed = plus(this.billed, billOf(answer));
    if (fate.dies === 'after the call') return;
    if (fate.fails === 'with a bill')
      return this.say(attempt, { outcome: 'failed', answer, failure: { code: 'bad_answer', retryable: true, billed: 'yes' } });
    if (fate.fails === 'for good')
      return this.say(attempt, { outcome: 'failed', failure: { code: 'bad_request', retryable: false, billed: 'yes' } });
    this.say(attempt, { outcome: 'succeeded', answer });
  }

  answerOf({ agent, owes, reservation }: OpenAttempt, fate: Fate): Answer {
    if (owes.kind === 'analyze') return { kind: 'analyze', analysis: this.analysis };
    if (owes.kind === 'tool') return toolSays(fate.bytes);
    const share = (figure: number): number => Math.floor((figure * fate.percent) / 100);
    const tokens = share(reservation.tokens);
    const part = fate.heeds ? owes.part?.name : undefined;
    const mayPass = owes.part === undefined && this.owner.state.agents.get(agent)?.work?.pattern === 'swarm';
    const calls = mayPass ? (fate.passing ?? fate.calls) : fate.calls;
    return {
      ...modelSays(),
      usage: { inputTokens: tokens, outputTokens: 0, cachedInputTokens: 0, reasoningTokens: 0 },
      costMicroUsd: share(reservation.moneyMicroUsd),
      textBytes: fate.bytes,
      fingerprint: fate.words,
      calls: part === 'plan' ? fate.plan : part === 'choose' ? fate.choice : part === 'rate' ? fate.rating : calls,
    } as Answer;
  }

  say(attempt: OpenAttempt, result: Omit<Extract<WorkflowInput, { kind: 'result' }>, 'kind' | 'attempt'>): void {
    const team = attempt.owes.kind === 'analyze' ? { team: this.team } : {};
    this.inbox.push({ kind: 'result', attempt: attempt.id, ...result, ...team });
  }

  /** The account answers what it was asked last. */
  answerAllowance(granted: boolean): void {
    const asked = pending(this.owner.state).allowance;
    if (asked !== undefined) this.inbox.push({ kind: 'allowance', number: asked.number, granted });
  }

  fireTimers(): void {
    for (const { fire } of pending(this.owner.state).timers.filter(({ at }) => at <= this.now)) {
      if (fire.timer === 'attempt') this.#overdue(fire.attempt);
      else if (fire.timer === 'retry') this.deliver(this.owner, { kind: 'retry_timer', step: fire.step, attempt: fire.attempt });
      else if (fire.timer === 'agent') this.deliver(this.owner, { kind: 'agent_timer', agent: fire.agent });
      else this.deliver(this.owner, { kind: 'workflow_timer' });
    }
  }

  /** The owner takes the claim itself: won, it proves that the attempt never ran and never will. */
  #overdue(id: AttemptId): void {
    const attempt = this.owner.state.attempts.get(id);
    if (attempt === undefined) return;
    const claimable = attempt.owes.kind === 'llm' || (attempt.owes.kind === 'tool' && attempt.owes.effect !== 'non_idempotent');
    if (!claimable || attempt.bus !== `bus-${this.bus}` || this.claims.has(id))
      return this.deliver(this.owner, { kind: 'attempt_timer', attempt: id });
    this.claims.set(id, OWNER);
    this.deliver(this.owner, {
      kind: 'result',
      attempt: id,
      outcome: 'expired',
      failure: { code: 'expired', retryable: true, billed: 'no' },
    });
  }

  cancel(agent?: AgentId): void {
    this.deliver(this.owner, { kind: 'cancel', request: 'c1' as RequestId, ...(agent === undefined ? {} : { agent }) });
  }

  /** Whatever happened, from here on all goes well: the work must come to an end. */
  finishQuietly(quiet: Fate): void {
    for (let round = 0; round < 400 && isOpen(this.owner.state); round++) {
      this.dispatch(this.owner.state);
      for (const attempt of this.commands.splice(0)) this.work(attempt, quiet);
      this.answerAllowance(true);
      for (const input of this.inbox.splice(0)) this.deliver(this.owner, input);
      this.now += 30_000;
      this.fireTimers();
    }
  }

  #book(before: Workflow, event: WorkflowEvent): void {
    const { allowance } = before;
    if (event.type === 'allowance.asked' && event.data.number === 1) this.leased = 0;
    // What it had before there was an account is no lease, and may be spent all the same.
    if (event.type === 'allowance.asked' && event.data.number > 1 && allowance === undefined)
      this.leased = (rootOf(before)?.mandate.limits.moneyMicroUsd ?? 0) - event.data.moneyMicroUsd;
    // What has ended was settled with the account, and what it refused was never leased.
    if (event.type === 'mandate.topped_up' && allowance !== undefined && (!isOpen(before) || rootOf(before)?.stopped !== undefined))
      this.leased = this.settled.moneyMicroUsd;
    if (event.type === 'allowance.answered' && event.data.granted) this.leased += allowance?.asked.moneyMicroUsd ?? 0;
    if (event.type === 'attempt.settled') this.settled = plus(this.settled, event.data.spent);
    if (event.type === 'mandate.released') this.#released.add(event.data.agent);
  }

  /** Holds after every single event: what is reserved is exactly what is open, and the bill is never above the ledger. */
  #balanced(state: Workflow, event: WorkflowEvent): void {
    const owed = new Map<AgentId, Figures>([...state.agents.keys()].map((id) => [id, NONE]));
    const hold = (id: AgentId, figures: Figures): unknown => owed.set(id, plus(owed.get(id) ?? NONE, figures));
    for (const attempt of state.attempts.values()) hold(attempt.agent, attempt.reservation);
    for (const { id, parent, mandate } of state.agents.values())
      if (parent !== null && !this.#released.has(id)) hold(parent, mandate.limits);
    for (const { id, mandate } of state.agents.values()) {
      for (const name of DIMENSIONS) {
        law(
          mandate.reserved[name] === owed.get(id)?.[name],
          event,
          `${id}: reserved ${name} is ${mandate.reserved[name]}, open is ${owed.get(id)?.[name]}`,
        );
        law(mandate.reserved[name] + mandate.spent[name] <= mandate.limits[name], event, `${id}: ${name} passes the mandate`);
      }
    }
    const root = rootOf(state);
    if (root === undefined) return;
    let open = NONE;
    for (const attempt of state.attempts.values()) open = plus(open, attempt.reservation);
    law(this.settled.moneyMicroUsd + open.moneyMicroUsd <= this.leased, event, 'more is spent than the account has leased');
    for (const name of DIMENSIONS) {
      law(this.settled[name] + open[name] <= root.mandate.limits[name], event, `the tree passes the root's ${name}`);
      law(this.billed[name] <= this.settled[name] + open[name], event, `${name} was billed that no ledger knows`);
    }
  }

  /** What a model is asked does not change while it is asked: its command may be composed again at any time. */
  #stable(state: Workflow): void {
    for (const { id, agent, owes } of state.attempts.values()) {
      const work = state.agents.get(agent)?.work;
      if (owes.kind !== 'llm' || work === undefined) continue;
      const prompt = JSON.stringify(promptOfWork(work, owes.part));
      const before = this.#asked.get(id) ?? prompt;
      if (before !== prompt) throw new Error(`${id}: its prompt changed while it was asked\n${before}\n${prompt}`);
      this.#asked.set(id, prompt);
    }
  }
}

/** Who holds a claim that the owner took. */
const OWNER = -1;

export interface Owner {
  state: Workflow;
  readonly epoch: number;
}

/** What a worker does with a command. */
export interface Fate {
  readonly runner: number;
  readonly dies: 'no' | 'before the call' | 'after the call';
  readonly fails: 'no' | 'unbilled' | 'with a bill' | 'for good';
  /** What a provider that was not asked for money says it needs. */
  readonly retryAfterMs: number;
  /** Does as it is told: stops when it is to stop, plans, chooses or rates when it is asked to. */
  readonly heeds: boolean;
  readonly bytes: number;
  /** Fingerprint of the answer. */
  readonly words: string;
  /** Percent of the reservation that it costs. */
  readonly percent: number;
  readonly calls: readonly CallFacts[];
  readonly plan: readonly CallFacts[];
  readonly choice: readonly CallFacts[];
  readonly rating: readonly CallFacts[];
  /** What it says instead where it may hand the work over. */
  readonly passing: readonly CallFacts[] | undefined;
}

export const plainAnalysis: AnalysisFacts = {
  analyzerVersion: '1',
  intent: 'analysis',
  taskType: 'reasoning',
  complexityScore: 1,
  tier: 'simple',
  capabilities: [],
  estimatedSteps: 1,
  confidence: 0.5,
  language: 'en',
  reasons: [],
};

const DIMENSIONS = ['moneyMicroUsd', 'tokens', 'modelCalls', 'toolCalls'] as const;

function billOf(answer: Answer): Figures {
  if (answer.kind === 'analyze') return NONE;
  if (answer.kind === 'tool') return { ...NONE, toolCalls: 1 };
  return { ...NONE, moneyMicroUsd: answer.costMicroUsd, tokens: answer.usage.inputTokens + answer.usage.outputTokens, modelCalls: 1 };
}

function law(holds: boolean, event: WorkflowEvent, what: string): void {
  if (!holds) throw new Error(`after ${event.type}: ${what}`);
}

/** Whoever has not ended waits for something that will come, and not for the deadline. */
function alive(state: Workflow): void {
  if (state.phase === 'ending' && state.attempts.size === 0) throw new Error('it is ending and waits for nothing');
  if (state.phase !== 'running' || state.allowance?.waiting === true) return;
  const busy = new Set<AgentId | null>([...state.steps.values()].map(({ agent }) => agent));
  for (const { id, parent, end } of [...state.agents.values()].toReversed()) {
    if (end !== undefined) continue;
    if (!busy.has(id)) throw new Error(`${id} waits for nothing`);
    busy.add(parent);
  }
}

/** What one event may do, given what was before it. */
function lawful(before: Workflow, event: WorkflowEvent, after: Workflow): void {
  switch (event.type) {
    case 'mandate.granted':
      return lawfulGrant(before, event, after);
    case 'attempt.reserved': {
      const agent = after.agents.get(event.data.agent);
      law(before.phase === 'running', event, 'something new starts in a task that is not running');
      law(
        agent !== undefined && agent.end === undefined && stopOf(before, agent) === undefined,
        event,
        'an agent that was stopped starts something',
      );
      const billable = event.data.owes.kind !== 'analyze';
      law(
        !billable || event.data.number > 1 || before.allowance?.waiting !== true,
        event,
        'something billable starts before the allowance',
      );
      return;
    }
    case 'attempt.started': {
      const agent = before.agents.get(before.attempts.get(event.data.attempt)?.agent ?? ROOT_AGENT) as Agent;
      return law(before.phase === 'running' && stopOf(before, agent) === undefined, event, 'a call starts that is to be stopped');
    }
    case 'agent.ended': {
      const live = [...before.agents.values()].filter((agent) => agent.parent === event.data.agent && agent.end === undefined);
      law(live.length === 0, event, 'an agent ends before its children');
      return law(
        ![...before.attempts.values()].some((attempt) => attempt.agent === event.data.agent),
        event,
        'an agent ends with open attempts',
      );
    }
    case 'task.completed':
    case 'task.failed':
    case 'task.cancelled': {
      law(before.attempts.size === 0, event, 'the task ends with open attempts');
      law(isOpen(before), event, 'the task ends twice');
      return law(
        [...before.agents.values()].every((agent) => agent.parent === null || agent.end !== undefined),
        event,
        'a child is left behind',
      );
    }
    default:
      // A task that has ended is only told of late answers and of more money.
      law(
        isOpen(after) || ['attempt.answered_late', 'mandate.released', 'task.rejected'].includes(event.type),
        event,
        'it follows the end of the task',
      );
  }
}

function lawfulGrant(before: Workflow, event: Extract<WorkflowEvent, { type: 'mandate.granted' }>, after: Workflow): void {
  const { data } = event;
  if (data.parent === null) return;
  const parent = before.agents.get(data.parent) as Agent;
  const { maxDepth, maxAgents, deepest } = parent.granted.delegation;
  law(data.depth === parent.depth + 1 && data.depth <= Math.min(2, maxDepth), event, `depth ${data.depth}`);
  law((after.agents.get(parent.id)?.children ?? 0) <= ([10, 5, 0][parent.depth] ?? 0), event, 'too many children');
  law(after.agents.size - 1 <= maxAgents, event, 'too many agents');
  law(data.limits.deadlineAt <= parent.mandate.limits.deadlineAt, event, 'a child may work longer than its parent');
  for (const name of DIMENSIONS) law(data.limits[name] >= 0, event, `${name} of a child is negative`);
  for (const tool of data.tools) {
    law(
      parent.granted.tools.some(({ name, effect }) => name === tool.name && effect === tool.effect),
      event,
      `a child gets ${tool.name}`,
    );
    law(data.depth < 2 || deepest === 'any' || tool.effect === 'read_only', event, `at depth 2 ${tool.name} may do more than read`);
  }
}

/** Every way in which a finished world may be wrong; empty when nothing is. */
export function faultsAtTheEnd({ owner, effects, billed, settled }: World): readonly string[] {
  const { state } = owner;
  const root = rootOf(state);
  return [
    ...(isOpen(state) ? [`it is still ${state.phase}`] : []),
    ...(state.attempts.size > 0 || (state.phase !== 'rejected' && state.steps.size > 0) ? ['steps are left open'] : []),
    ...[...state.agents.values()].flatMap(({ id, end, mandate }) => [
      ...(end === undefined && id !== ROOT_AGENT ? [`${id} has not ended`] : []),
      ...DIMENSIONS.filter((name) => mandate.reserved[name] !== 0).map((name) => `${id} still reserves ${name}`),
    ]),
    ...DIMENSIONS.flatMap((name) => {
      const spent = root?.mandate.spent[name] ?? 0;
      return [
        ...(spent < billed[name] ? [`${billed[name]} ${name} were billed and only ${spent} are booked`] : []),
        ...(spent !== settled[name] ? [`the root has ${spent} ${name}; all attempts together ${settled[name]}`] : []),
      ];
    }),
    ...[...effects].filter(([, count]) => count > 1).map(([place, count]) => `${place} was done ${count} times`),
  ];
}
