import { describe, expect, it } from 'vitest';
import type { Ask, Casting } from '../workflow/steps.ts';
import { type Dialogue, MAX_CONSULTS } from './dialogue.ts';
import { direct } from './direct.ts';
import { AtWork, researcher } from './given-pattern.ts';
import { NOTE_BYTES, SUMMARY_BYTES } from './prompt.ts';

const atWork = (brief = {}): AtWork<Dialogue> => {
  const work = new AtWork(direct, brief);
  expect(work.takeUp()).toEqual(['model']);
  return work;
};
const delegating = (to: Casting | null = researcher): Ask => ({ kind: 'delegate', to, taskBytes: 30, fingerprint: 'f1' });
const consulting = (to: Casting | null = researcher): Ask => ({ kind: 'consult', to });

describe('direct', () => {
  it('asks the model; an answer that asks for nothing is the answer', () => {
    const work = atWork();
    expect(work.model()).toEqual([]);
    expect(work.outcome).toEqual({ kind: 'answered', version: 1, bytes: 20 });
  });
  it('does all that one turn asks for at once, and asks again when all of it is done', () => {
    const work = atWork();
    expect(work.model('files__read', delegating(), consulting())).toEqual(['tool files__read', 'child researcher@1', 'model: consult']);
    expect(work.tool(0)).toEqual([]);
    expect(work.callEnds(1, { kind: 'answered', answerAt: 9, bytes: 40 })).toEqual([]);
    expect(work.outcome).toBeUndefined();
    // The consult was the part that was asked last.
    expect(work.model()).toEqual(['model']);
  });
  it('gives each of n delegations one of n + 1 equal parts, the last one being its own', () => {
    const work = atWork();
    work.model(delegating(), 'files__read', delegating(), delegating());
    expect(work.taken.flatMap((step) => (step.kind === 'child' ? [step.of] : []))).toEqual([4, 3, 2]);
  });
  it('tells the model what became of a call: done, failed, unknown, refused', () => {
    const work = atWork();
    work.model('files__read', 'files__read', 'mail__send', { kind: 'invalid', problem: 'task is missing' });
    work.tool(0);
    work.tool(1, 'failed');
    expect(work.tool(2, 'unknown')).toEqual(['model']);
    const turn = work.state.lines[0];
    expect(turn !== undefined && 'calls' in turn ? turn.calls.map(({ answer }) => [answer?.status, answer?.message]) : []).toEqual([
      ['ok', undefined],
      ['failed', undefined],
      ['unknown', undefined],
      ['refused', 'task is missing'],
    ]);
  });
  it('refuses our own tools that are not offered to it', () => {
    const work = atWork();
    expect(work.model({ kind: 'transfer', to: researcher }, { kind: 'choose', to: researcher }, { kind: 'rate', rating: 'good' })).toEqual([
      'refuse: ToolNotAllowed',
      'refuse: ToolNotAllowed',
      'refuse: ToolNotAllowed',
    ]);
    expect(work.takeUp()).toEqual(['model']);
    expect(work.prompt.own).toEqual(['delegate', 'consult']);
  });
  it('fails when the model cannot be asked, with the last thing it said', () => {
    const work = atWork();
    work.model('files__read');
    work.tool();
    work.modelFails('bad_request');
    expect(work.outcome).toEqual({ kind: 'failed', code: 'bad_request', partialAt: 1 });
  });
});

describe('the prompt of a dialogue', () => {
  it('grows by what was said and by what the calls brought, a child by a summary at most', () => {
    const work = atWork();
    const before = work.state.promptBytes;
    work.modelSays({ calls: [{ tool: null, argsBytes: 10, ask: delegating() }], textBytes: 100 });
    expect(work.state.promptBytes).toBe(before + 110);
    work.callEnds(0, { kind: 'answered', answerAt: 9, bytes: 1_000_000 });
    expect(work.state.promptBytes).toBe(before + 110 + SUMMARY_BYTES + NOTE_BYTES);
  });
  it('names the results of a child that failed with something to show', () => {
    const work = atWork();
    work.model(delegating());
    expect(work.callEnds(0, { kind: 'failed', code: 'CostBudgetExceeded', message: 'no money', partialAt: 7 })).toEqual(['model']);
    expect(work.state.lines[0]).toMatchObject({
      calls: [{ answer: { status: 'child', end: { code: 'CostBudgetExceeded', partialAt: 7 } } }],
    });
  });
  it('shows a consulted role nothing but the question, and gives it no tools', () => {
    const work = atWork();
    work.model(consulting());
    expect(work.prompt).toEqual({
      as: researcher,
      lines: [{ by: 'user', words: [{ of: 'argument', call: { version: 1, index: 0 }, name: 'question' }] }],
      own: [],
      tools: 'none',
    });
  });
});

describe('consults', () => {
  it(`are ${MAX_CONSULTS} per agent at most; a role that does not exist is refused and not counted`, () => {
    const work = atWork();
    expect(work.model(...Array.from({ length: MAX_CONSULTS }, () => consulting(null)), consulting())).toEqual([
      ...Array.from({ length: MAX_CONSULTS }, () => 'refuse: RoleUnknown'),
      'model: consult',
    ]);
    expect(work.model()).toEqual(['model']);
    expect(work.state.consults).toBe(1);
    const again = atWork();
    expect(again.model(...Array.from({ length: MAX_CONSULTS + 2 }, () => consulting()))).toEqual([
      ...Array.from({ length: MAX_CONSULTS }, () => 'model: consult'),
      'refuse: TooManyConsults',
      'refuse: TooManyConsults',
    ]);
  });
  it('that fail are told, and the agent goes on', () => {
    const work = atWork();
    work.model(consulting());
    expect(work.modelFails('server_error')).toEqual(['model']);
    expect(work.state.lines[0]).toMatchObject({ calls: [{ answer: { status: 'failed', code: 'server_error' } }] });
  });
});

describe('landing', () => {
  it('has one closing turn without tools when the mandate is used up, and then fails with what it said', () => {
    const work = atWork();
    work.model('files__read');
    work.tool();
    expect(work.refused('CostBudgetExceeded')).toEqual(['model: closing']);
    expect(work.outcome).toBeUndefined();
    expect(work.prompt).toMatchObject({ tools: 'none', own: [], cutTo: 12_000 });
    expect(work.model('files__read')).toEqual([]);
    expect(work.outcome).toMatchObject({ kind: 'failed', code: 'CostBudgetExceeded', message: 'not granted', partialAt: 4 });
  });
  it('has none when nothing was put aside, or when spending is frozen', () => {
    const poor = atWork({ closing: false });
    expect(poor.refused()).toEqual([]);
    expect(poor.outcome).toMatchObject({ kind: 'failed', code: 'CostBudgetExceeded' });
    const frozen = atWork();
    expect(frozen.refused('SpendingFrozen')).toEqual([]);
    expect(frozen.outcome).toMatchObject({ kind: 'failed', code: 'SpendingFrozen' });
  });
  it('keeps the reason when the closing turn itself is refused or fails', () => {
    for (const how of ['refused', 'modelFails'] as const) {
      const work = atWork();
      work.refused('ContextBudgetExceeded');
      work[how]();
      expect(work.outcome).toMatchObject({ kind: 'failed', code: 'ContextBudgetExceeded', partialAt: null });
    }
  });
});

describe('more of the mandate', () => {
  const raised = { kind: 'raised' } as const;
  it('asks the same turn again; a closing turn before it never stands as the answer', () => {
    const work = atWork();
    work.refused();
    work.model();
    expect(work.outcome).toMatchObject({ kind: 'failed', partialAt: 2 });
    work.hear(raised);
    expect(work.takeUp()).toEqual(['model']);
    expect(work.prompt.lines.at(-1)).toEqual({ by: 'user', words: [{ of: 'note', note: { name: 'raised' } }] });
    work.model();
    expect(work.outcome).toMatchObject({ kind: 'answered', version: 3 });
  });
  it('lets a closing turn that is on its way come back first: its prompt does not change', () => {
    const work = atWork();
    work.refused();
    const before = work.prompt;
    work.hear(raised);
    expect(work.takeUp()).toEqual([]);
    expect(work.prompt).toEqual(before);
    expect(work.outcome).toBeUndefined();
    work.hear(raised);
    expect(work.model()).toEqual(['model']);
    work.model();
    expect(work.outcome).toMatchObject({ kind: 'answered', version: 3 });
  });
  it('goes on without it when that closing turn never came back', () => {
    const work = atWork();
    work.refused();
    work.hear(raised);
    expect(work.modelFails('lost')).toEqual(['model']);
    work.model();
    expect(work.outcome).toMatchObject({ kind: 'answered' });
  });
  it('lands a second time when that is used up too', () => {
    const work = atWork();
    work.refused();
    work.model();
    work.hear(raised);
    work.takeUp();
    expect(work.refused('TokenBudgetExceeded')).toEqual(['model: closing']);
    work.model();
    expect(work.outcome).toMatchObject({ kind: 'failed', code: 'TokenBudgetExceeded' });
  });
  it('changes nothing for whoever has not failed', () => {
    const work = atWork();
    const before = work.state;
    work.hear(raised);
    expect(work.state).toEqual(before);
  });
});
