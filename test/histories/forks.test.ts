import { decisionsOf, type StoredEvent } from '@mandate/contracts';
import {
  ABSENT,
  type Casting,
  decide,
  type Environment,
  evolve,
  isOpen,
  NONE,
  pending,
  reusableSteps,
  rootOf,
  type Workflow,
  type WorkflowEvent,
  type WorkflowInput,
} from '@mandate/domain';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

/** Recorded runs, forked at every version with nothing changed: the past comes out as it was, for nothing. */
const folder = new URL('./runs/', import.meta.url);
const runs = readdirSync(folder)
  .filter((name) => name.endsWith('.json'))
  .map((name) => ({ name, decisions: decisionsOf(JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as StoredEvent[]) }))
  .filter(({ decisions }) => decisions[0]?.events.some(({ type }) => type === 'mandate.granted'));

const teamIn = (events: readonly WorkflowEvent[]): readonly Casting[] =>
  events.flatMap((event) => (event.type === 'decision.made' && event.data.agent === 'a0' ? event.data.team : []));

/** Tells a fork everything that the origin was answered; what it comes to is in the events. */
function forked(
  decisions: (typeof runs)[number]['decisions'],
  upTo: number,
): { readonly events: readonly WorkflowEvent[]; readonly workflow: Workflow } {
  const past = decisions.flatMap((decision) => decision.events);
  const at = decisions[0]?.at ?? 0;
  const [first] = past;
  const granted = past.find((event) => event.type === 'mandate.granted');
  if ((first?.type !== 'task.submitted' && first?.type !== 'task.forked') || granted?.type !== 'mandate.granted') throw new Error('no run');
  const environment: Environment = {
    ...granted.data,
    team: teamIn(decisions[0]?.events ?? []),
    lease: decisions[0]?.events.some(({ type }) => type === 'allowance.asked') ?? false,
  };
  let workflow = ABSENT;
  const events: WorkflowEvent[] = [];
  const tell = (input: WorkflowInput): void => {
    const decision = decide(input, workflow, { now: at, bus: 'bus' });
    if (decision.kind !== 'events') throw new Error(`${input.kind} led to ${decision.kind}`);
    events.push(...decision.events);
    workflow = decision.events.reduce((state, event) => evolve(state, event, at), workflow);
  };
  tell({
    kind: 'fork',
    ...first.data,
    environment,
    origin: { workflow: `wf_11_${'a'.repeat(26)}`, version: upTo, hash: '0'.repeat(64) },
    hops: 1,
    firewall: { allowed: [] },
    changed: [],
    reuse: reusableSteps(past, upTo),
  });
  for (;;) {
    const { reuse, allowance } = pending(workflow);
    if (reuse === undefined && allowance === undefined) return { events, workflow };
    if (reuse === undefined) {
      tell({ kind: 'allowance', number: allowance?.number ?? 0, granted: true });
      continue;
    }
    const event = past[reuse.at - 1];
    if (event?.type !== 'attempt.settled' && event?.type !== 'attempt.reused') throw new Error(`nothing was answered at ${reuse.at}`);
    const { outcome, answer, failure } = event.data;
    tell({
      kind: 'reuse',
      attempt: reuse.attempt.id,
      from: { version: reuse.at, hash: '0'.repeat(64) },
      outcome,
      ...(answer === undefined ? {} : { answer }),
      ...(failure === undefined ? {} : { failure }),
      team: teamIn(decisions.find((decision) => decision.events.includes(event))?.events ?? []),
    });
  }
}

/** What a run decided, without versions, times and figures. */
const story = (events: readonly WorkflowEvent[]): readonly string[] =>
  events.flatMap((event) => {
    switch (event.type) {
      case 'mandate.granted':
        return [`${event.data.agent} is ${event.data.role}`];
      case 'decision.made':
        return [`${event.data.agent} works ${event.data.pattern} (${event.data.chosenBy}: ${event.data.reasons.join()})`];
      case 'attempt.reserved':
        return event.data.number === 1
          ? [`${event.data.step} ${event.data.owes.kind === 'tool' ? event.data.owes.tool : event.data.owes.kind}`]
          : [];
      case 'agent.handed_over':
        return [`${event.data.agent} hands over to ${event.data.to.role}`];
      case 'agent.ended':
        return [`${event.data.agent} ends ${event.data.end.kind}`];
      case 'step.refused':
        return [`${event.data.step} ${event.data.code}`];
      case 'task.completed':
        return ['completed'];
      default:
        return [];
    }
  });

const untilLive = (events: readonly WorkflowEvent[]): readonly WorkflowEvent[] => {
  const end = events.findIndex(({ type }) => type === 'reuse.ended');
  return end < 0 ? events : events.slice(0, end);
};

/** What a client did to a run meanwhile is no answer, and not done again; nor does a mandate of which nothing is spent run out. */
const isNoAnswer = (event: WorkflowEvent): boolean =>
  event.type === 'cancel.requested' ||
  event.type === 'mandate.topped_up' ||
  (event.type === 'step.refused' && event.data.code.endsWith('BudgetExceeded'));

describe('a recorded run that is forked', () => {
  it.each(runs)('$name at every version relives its past for nothing', ({ decisions }) => {
    const past = decisions.flatMap((decision) => decision.events);
    for (let upTo = 1; upTo <= past.length; upTo++) {
      const { events, workflow } = forked(decisions, upTo);
      const all = story(past);
      const told = story(untilLive(events));
      const { steps } = reusableSteps(past, upTo);
      const reused = events.filter(({ type }) => type === 'attempt.reused').length;
      const diverged = events.some((event) => event.type === 'reuse.ended' && event.data.why === 'diverged');
      const isFaithful = told.every((line) => all.includes(line)) && reused === steps.length;
      expect(diverged ? past.slice(0, upTo).some(isNoAnswer) : isFaithful, `version ${upTo}`).toBe(true);
      expect(rootOf(workflow)?.mandate.spent, `version ${upTo}`).toEqual(NONE);
      for (const { owes } of pending(workflow).dispatch) expect(owes.kind !== 'tool' || owes.effect === 'read_only').toBe(true);
    }
  });

  it('comes to its end again wherever nothing but answers led to it', () => {
    const all = runs
      .map(({ name, decisions }) => ({ name, decisions, past: decisions.flatMap((decision) => decision.events) }))
      .filter(({ past }) => past.some(({ type }) => type === 'task.completed'))
      .map(({ name, decisions, past }) => ({ name, past, ...forked(decisions, past.length) }));
    expect(all.filter(({ workflow }) => isOpen(workflow)).map(({ name }) => name)).toEqual([
      'completed-after-unknown-counting.json',
      'one-agent-cancelled.json',
      'topped-up-after-landing.json',
    ]);
    const same = all.filter(({ workflow }) => !isOpen(workflow));
    expect(same.length).toBeGreaterThan(10);
    for (const { name, past, events } of same) expect(story(events), name).toEqual(story(past));
  });
});
