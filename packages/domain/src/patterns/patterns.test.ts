import { describe, expect, it } from 'vitest';
import type { AgentId, StepId } from '../ids.ts';
import { PATTERN_NAMES, type PatternName } from '../workflow/steps.ts';
import { analyst, plainBrief, plan, planned, team } from './given-pattern.ts';
import type { StepEvent } from './pattern.ts';
import {
  goOn,
  latestOfWork,
  NEEDS_CHILDREN,
  outcomeOfWork,
  owedBy,
  promptBytesOfWork,
  promptOfWork,
  startWork,
  type Work,
} from './patterns.ts';

const begun = (pattern: PatternName): Work => startWork(pattern, { ...plainBrief, team: team(3) });
const said = (version: number, part?: 'plan' | 'choose', ask?: ReturnType<typeof plan>): StepEvent => ({
  kind: 'model_answered',
  ...(part === undefined ? {} : { part: { name: part } }),
  version,
  textBytes: 70,
  calls: ask === undefined ? [{ tool: 'files__read', argsBytes: 5 }] : [{ tool: null, argsBytes: 5, ask }],
});
const childSaid = (part: number): StepEvent => ({
  kind: 'child_ended',
  slot: { part },
  child: `a0-${part + 1}` as AgentId,
  end: { kind: 'answered', answerAt: 40 + part, bytes: 9 },
});
const childSent = (part: number): StepEvent => ({
  kind: 'child_sent',
  slot: { part },
  child: `a0-${part + 1}` as AgentId,
  role: 'researcher@1',
});
const after = (pattern: PatternName, ...events: readonly StepEvent[]): Work => events.reduce(goOn, begun(pattern));

describe('every pattern', () => {
  it.each(PATTERN_NAMES)('%s owes something from the beginning, and has no outcome yet', (pattern) => {
    const work = begun(pattern);
    expect(owedBy(work).length).toBeGreaterThan(0);
    expect(outcomeOfWork(work)).toBeUndefined();
    expect(latestOfWork(work)).toBeNull();
    expect(owedBy(work).some(({ kind }) => kind === 'child')).toBe(pattern === 'sequential' || pattern === 'parallel');
  });
  it.each(PATTERN_NAMES)('%s shows the model the task first, whatever it is asked', (pattern) => {
    for (const part of [
      undefined,
      { name: 'closing' },
      { name: 'plan' },
      { name: 'choose' },
      { name: 'join' },
      { name: 'rate' },
    ] as const) {
      const [first] = promptOfWork(begun(pattern), part).lines;
      expect(first?.by === 'user' ? first.words[0] : undefined).toEqual({ of: 'task' });
    }
  });
  it.each(PATTERN_NAMES)('%s takes a step event that is not meant for it as it is', (pattern) => {
    const work = begun(pattern);
    expect(
      owedBy(
        goOn(work, {
          kind: 'child_ended',
          slot: { part: 99 },
          child: 'a0-99' as AgentId,
          end: { kind: 'answered', answerAt: 1, bytes: 1 },
        }),
      ),
    ).toEqual(owedBy(work));
    expect(
      owedBy(goOn(work, { kind: 'asked', step: 'a0_s9' as StepId, owed: { kind: 'tool', tool: 'x', call: { version: 99, index: 0 } } })),
    ).toEqual(owedBy(work));
  });
  it('needs children when it works through them alone', () => {
    expect([...NEEDS_CHILDREN]).toEqual(['sequential', 'parallel', 'orchestrator-workers']);
  });
});

describe('the latest text that stands for the work', () => {
  it.each(['direct', 'swarm', 'evaluator-optimizer'] as const)('of %s is what the model said last', (pattern) => {
    expect(latestOfWork(after(pattern, said(7)))).toBe(7);
  });
  it('of a router is what the chosen one said', () => {
    const chosen = after('router', {
      ...said(6, 'choose'),
      calls: [{ tool: null, argsBytes: 5, ask: { kind: 'choose', to: analyst } }],
    } as StepEvent);
    expect(latestOfWork(chosen)).toBeNull();
    expect(latestOfWork(goOn(chosen, said(8)))).toBe(8);
  });
  it.each(['sequential', 'parallel'] as const)('of %s is the last answer of a child', (pattern) => {
    expect(latestOfWork(after(pattern, childSent(0), childSaid(0)))).toBe(40);
  });
  it('of orchestrator-workers too', () => {
    const work = after('orchestrator-workers', said(5, 'plan', plan(planned('a'), planned('b'))), childSent(1), childSaid(1));
    expect(latestOfWork(work)).toBe(41);
  });
});

describe('the bytes that an agent has read', () => {
  const task = plainBrief.promptBaseBytes + plainBrief.taskBytes;
  it.each(['direct', 'evaluator-optimizer'] as const)('grow with the dialogue of %s', (pattern) => {
    expect(promptBytesOfWork(begun(pattern))).toBe(task);
    expect(promptBytesOfWork(after(pattern, said(7)))).toBe(task + 75);
  });
  it('are those of the role that speaks, in a router and in a swarm', () => {
    expect(promptBytesOfWork(begun('router'))).toBe(task);
    const chosen = after('router', {
      ...said(6, 'choose'),
      calls: [{ tool: null, argsBytes: 5, ask: { kind: 'choose', to: analyst } }],
    } as StepEvent);
    expect(promptBytesOfWork(chosen)).toBe(analyst.baseBytes + plainBrief.taskBytes);
    expect(promptBytesOfWork(begun('swarm'))).toBe(analyst.baseBytes + plainBrief.taskBytes);
  });
  it.each(['sequential', 'parallel', 'orchestrator-workers'] as const)('are the task alone in %s', (pattern) => {
    expect(promptBytesOfWork(begun(pattern))).toBe(task);
  });
});
