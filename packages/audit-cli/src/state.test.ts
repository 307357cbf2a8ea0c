import { decisionsOf, type StoredEvent } from '@mandate/contracts';
import { ABSENT, type Change, decide, evolve, redecide, stateOf, type Workflow, type WorkflowState } from '@mandate/domain';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type History, readHistory, Unreadable } from './history.ts';
import { replayed } from './replay.ts';
import { diffOf, momentIn, stateAt } from './state.ts';

const folder = join(import.meta.dirname, '../../../test/histories/runs');
const runs = readdirSync(folder).filter((name) => name.endsWith('.json'));
const storedRun = (name: string): StoredEvent[] => JSON.parse(readFileSync(join(folder, name), 'utf8')) as StoredEvent[];
const run = (name: string): History => readHistory(storedRun(name));

/** The states as the orchestrator had them: after every event that `decide` gave it, not after those that were stored. */
function livedThrough(name: string): readonly WorkflowState[] {
  const states: WorkflowState[] = [];
  let live: Workflow = ABSENT;
  redecide(decisionsOf(storedRun(name)), (input, before, circumstances) => {
    expect(stateOf(before)).toEqual(stateOf(live));
    const decision = decide(input, before, circumstances);
    for (const event of decision.kind === 'events' ? decision.events : []) {
      live = evolve(live, event, Math.max(before.at, circumstances.now));
      states.push(stateOf(live));
    }
    return decision;
  });
  return states;
}

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

/** What somebody who holds a state and a diff gets. */
function moved(state: unknown, all: readonly Change[]): unknown {
  const whole = { root: plain(state) as Record<string, unknown> };
  for (const change of all.toReversed()) {
    const keys = [
      'root',
      ...change.path
        .split('/')
        .slice(1)
        .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~')),
    ];
    const last = keys.pop() ?? '';
    const holder = keys.reduce<Record<string, unknown>>((node, key) => node[key] as Record<string, unknown>, whole);
    if ('to' in change) holder[last] = plain(change.to);
    else if (Array.isArray(holder)) holder.splice(Number(last), 1);
    else delete holder[last];
  }
  return whole.root;
}

describe.each(runs)('of the recorded run %s', (name) => {
  const history = run(name);
  const count = history.events.length;
  const at = (version: number): WorkflowState => stateAt(history, { version });

  it('the state after each of its events is the one that was lived through', () => {
    const lived = livedThrough(name);
    expect(lived).toHaveLength(count);
    for (const [index, state] of lived.entries()) expect(at(index + 1)).toEqual(state);
  });

  it('every mandate is what is reserved, spent and left of it, at any time', () => {
    for (let version = 1; version <= count; version++) {
      for (const { mandate } of Object.values(at(version).agents)) {
        for (const figure of ['moneyMicroUsd', 'tokens', 'modelCalls', 'toolCalls'] as const)
          expect(mandate.reserved[figure] + mandate.spent[figure] + mandate.left[figure]).toBe(mandate.granted[figure]);
      }
    }
  });

  it('a diff leads from the one state to the other, and diffs compose', () => {
    for (let from = 1; from <= count; from++) {
      const to = Math.min(count, from + 1 + (from % 7));
      const between = Math.ceil((from + to) / 2);
      const whole = diffOf(history, { version: from }, { version: to }).changes;
      expect(moved(at(from), whole)).toEqual(plain(at(to)));
      const parts = [diffOf(history, { version: from }, { version: between }), diffOf(history, { version: between }, { version: to })];
      expect(parts.reduce<unknown>((state, { changes }) => moved(state, changes), at(from))).toEqual(plain(at(to)));
      expect(moved(at(to), diffOf(history, { version: to }, { version: from }).changes)).toEqual(plain(at(from)));
    }
  });

  it('nothing in a state is not JSON', () => {
    expect(plain(at(count))).toEqual(at(count));
  });
});

describe('a moment', () => {
  const history = run('delegated-to-depth-two.json');

  it('is a version, or an instant: then all that was decided by then counts', () => {
    for (const { at } of history.events) {
      const version = history.events.filter((event) => event.at <= at).length;
      expect(stateAt(history, momentIn(new Date(at).toISOString(), 'at')).version).toBe(version);
    }
    expect(stateAt(history, undefined).version).toBe(history.events.length);
    expect(momentIn('2026-11-21T14:00:00+02:00', 'at')).toEqual({ at: Date.UTC(2026, 10, 21, 12) });
  });

  it('that is none, or none of this workflow, is refused with what there is', () => {
    expect(() => momentIn('yesterday', '--at')).toThrow('--at is "yesterday": an instant looks like');
    expect(() => stateAt(history, { version: 0 })).toThrow(`it has events 1 to ${history.events.length}`);
    expect(() => stateAt(history, { version: 999 })).toThrow('has no version 999');
    expect(() => stateAt(history, { at: 1 })).toThrow('did not exist then');
  });
});

describe('a history from outside', () => {
  const stored = storedRun('completed-with-tools.json');

  it('is read when it is whole, and decided again to the same', () => {
    expect(replayed(readHistory(stored))).toMatchObject({ result: 'identical', events: stored.length });
  });

  it.each([
    ['without events', [], 'holds no events'],
    ['with a gap', stored.toSpliced(2, 1), 'event 3 of .* is missing: version 4 stands there'],
    ['of two streams', [...stored.slice(0, 2), { ...stored[2], stream: 'wf_01_aaaaaaaaaaaaaaaaaaaaaaaaaa' }], 'event 3 is of wf_01'],
    ['that is newer than this code', stored.map((event, i) => (i === 1 ? { ...event, schema: 99 } : event)), 'Run a newer build'],
    ['with another shape', stored.map((event, i) => (i === 0 ? { ...event, data: { request: 1 } } : event)), 'is no task.submitted: '],
    ['with something else in it', [...stored, 'hello'], 'is no stored event'],
  ])('%s is refused', (_, events, message) => {
    expect(() => readHistory(events)).toThrow(Unreadable);
    expect(() => readHistory(events)).toThrow(new RegExp(message));
  });

  it.each([
    ['a figure', 'attempt.reserved', (data: Record<string, unknown>) => ({ ...data, timeoutMs: 7 }), '/data/timeoutMs'],
    ['a reason', 'task.completed', (data: Record<string, unknown>) => ({ ...data, steps: 77 }), '/data/steps'],
  ])('with %s that was not decided so is named: event and field', (_, type, change, path) => {
    const version = stored.findIndex((event) => event.type === type) + 1;
    const altered = stored.map((event, i) => (i === version - 1 ? { ...event, data: change(event.data as never) } : event));
    const again = replayed(readHistory(altered));
    expect(again.result === 'diverged' ? again.divergences[0] : again).toMatchObject({ version, type, path });
  });
});
