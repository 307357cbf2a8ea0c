import { describe, expect, it } from 'vitest';
import { AtWork, team } from './given-pattern.ts';
import { type ParallelState, parallel } from './parallel.ts';
import type { Tuning } from './pattern.ts';
import { NOTE_BYTES, SUMMARY_BYTES } from './prompt.ts';

const sections = (n: number, tuning: Tuning = {}): AtWork<ParallelState> => {
  const work = new AtWork(parallel, { team: team(n), tuning });
  expect(work.takeUp()).toHaveLength(n);
  return work;
};
const voters = (tuning: Tuning = {}): AtWork<ParallelState> => {
  const work = new AtWork(parallel, { tuning: { mode: 'votes', ...tuning } });
  work.takeUp();
  return work;
};

describe('parallel sections', () => {
  it('sends the whole team at once, each with an equal part, one part being kept for the joining', () => {
    const work = new AtWork(parallel, { team: team(3) });
    expect(work.owed.map((step) => (step.kind === 'child' ? [step.to?.role, step.of] : []))).toEqual([
      ['researcher@1', 4],
      ['analyst@1', 3],
      ['creator@1', 2],
    ]);
  });
  it('joins what all of them brought with one more call, in any order', () => {
    const work = sections(3);
    expect(work.childAnswers(2)).toEqual([]);
    expect(work.childAnswers(0)).toEqual([]);
    expect(work.childAnswers(1)).toEqual(['model: join']);
    expect(work.prompt.lines[1]).toMatchObject({ words: [{ agent: 'a0-1' }, { agent: 'a0-2' }, { agent: 'a0-3' }, { of: 'note' }] });
    work.model();
    expect(work.outcome).toMatchObject({ kind: 'answered', bytes: 20 });
  });
  it('reckons the joining with a summary of each result', () => {
    const work = sections(2);
    work.childAnswers(0, { bytes: 1_000_000 });
    work.hear({ kind: 'child_ended', slot: { part: 1 }, child: 'a0-2' as never, end: { kind: 'answered', answerAt: 101, bytes: 10 } });
    expect(work.owed).toMatchObject([{ kind: 'llm', promptBytes: 150 + NOTE_BYTES + (SUMMARY_BYTES + NOTE_BYTES) + (10 + NOTE_BYTES) }]);
  });
  it('needs no joining when only one has answered', () => {
    const work = sections(2);
    work.childFails(0);
    expect(work.childAnswers(1)).toEqual([]);
    expect(work.outcome).toMatchObject({ kind: 'answered', version: 101 });
  });
  it('fails with the last result when the joining fails, and joins again when more is given', () => {
    const work = sections(2);
    work.childAnswers(0);
    work.childAnswers(1);
    work.modelFails('cancelled');
    expect(work.outcome).toEqual({ kind: 'failed', code: 'cancelled', message: 'The results could not be joined.', partialAt: 101 });
    work.hear({ kind: 'raised' });
    expect(work.takeUp()).toEqual(['model: join']);
    work.refused('CostBudgetExceeded');
    expect(work.outcome).toMatchObject({ kind: 'failed', code: 'CostBudgetExceeded' });
  });
});

describe('one of five fails', () => {
  const oneFails = (tuning: Tuning): AtWork<ParallelState> => {
    const work = sections(5, tuning);
    work.childAnswers(0);
    work.childFails(1);
    return work;
  };
  it('all: the others are stopped and it fails with what there is', () => {
    const work = oneFails({ policy: 'all' });
    expect(work.stopped).toEqual(['a0-3', 'a0-4', 'a0-5']);
    expect(work.outcome).toEqual({
      kind: 'failed',
      code: 'SectionsFailed',
      message: '1 of 5 parts succeeded; 5 were needed.',
      partialAt: 100,
    });
  });
  it('quorum: the majority is enough', () => {
    const work = oneFails({ policy: 'quorum' });
    work.childAnswers(2);
    expect(work.childAnswers(3)).toEqual(['stop a0-5']);
    expect(work.childFails(4, 'NotNeeded')).toEqual(['model: join']);
  });
  it('best_effort: all others are waited for, then joined', () => {
    const work = oneFails({});
    work.childAnswers(2);
    work.childAnswers(3);
    expect(work.outcome).toBeUndefined();
    expect(work.childAnswers(4)).toEqual(['model: join']);
  });
});

describe('a quorum', () => {
  it('is as large as the client says, and stops stragglers as soon as it is reached', () => {
    const work = sections(5, { policy: 'quorum', quorum: 2 });
    work.childAnswers(4);
    expect(work.childAnswers(1)).toEqual(['stop a0-1', 'stop a0-3', 'stop a0-4']);
    expect(work.childFails(0, 'NotNeeded')).toEqual(['stop a0-3', 'stop a0-4']);
  });
  it('that cannot be reached any more stops everybody', () => {
    const work = sections(3, { policy: 'quorum', quorum: 3 });
    work.childFails(0);
    expect(work.stopped).toEqual(['a0-2', 'a0-3']);
    expect(work.outcome).toMatchObject({ kind: 'failed', code: 'SectionsFailed' });
  });
  it('larger than the team is the whole team; of nobody it is one', () => {
    const all = sections(2, { policy: 'quorum', quorum: 9 });
    all.childAnswers(0);
    expect(all.childAnswers(1)).toEqual(['model: join']);
    const none = sections(2, { policy: 'quorum', quorum: 0 });
    expect(none.outcome).toBeUndefined();
    expect(none.childAnswers(0)).toEqual(['stop a0-2']);
    expect(none.outcome).toMatchObject({ kind: 'answered', version: 100 });
  });
});

describe('best effort', () => {
  it('fails only when nobody succeeded', () => {
    const work = sections(2);
    work.childFails(0);
    work.childNotGranted(1);
    expect(work.outcome).toMatchObject({ kind: 'failed', code: 'SectionsFailed', message: '0 of 2 parts succeeded; 1 were needed.' });
  });
  it('says that it was frozen when a freeze was the reason, and sends those again after it', () => {
    const work = sections(2);
    work.childFails(0, 'SpendingFrozen');
    work.childFails(1, 'SpendingFrozen');
    expect(work.outcome).toMatchObject({ code: 'SpendingFrozen' });
    work.hear({ kind: 'raised' });
    expect(work.takeUp()).toEqual(['child researcher@1', 'child analyst@1']);
  });
});

describe('parallel votes', () => {
  it('are three of the same role, and what most of them answer is the answer, without another call', () => {
    const work = voters();
    expect(work.state.members.map(({ to }) => to.role)).toEqual(['generalist@1', 'generalist@1', 'generalist@1']);
    work.childAnswers(0, { fingerprint: 'blue' });
    work.childAnswers(1, { fingerprint: 'green' });
    expect(work.childAnswers(2, { fingerprint: 'green' })).toEqual([]);
    expect(work.outcome).toMatchObject({ kind: 'answered', version: 101 });
  });
  it('that are all different: the first counts', () => {
    const work = voters({ votes: 2 });
    work.childAnswers(1, { fingerprint: 'green' });
    work.childAnswers(0, { fingerprint: 'blue' });
    expect(work.outcome).toMatchObject({ version: 100 });
  });
  it('are as many as the client says; who fails has no vote', () => {
    const work = voters({ votes: 5 });
    expect(work.state.members).toHaveLength(5);
    work.childFails(0);
    for (const place of [1, 2]) work.childAnswers(place, { fingerprint: 'blue' });
    work.childAnswers(3, { fingerprint: 'green' });
    expect(work.outcome).toBeUndefined();
    work.childFails(4);
    expect(work.outcome).toMatchObject({ version: 101 });
  });
});
