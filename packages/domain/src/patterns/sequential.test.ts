import { describe, expect, it } from 'vitest';
import { AtWork, plainBrief, team } from './given-pattern.ts';
import { type SequentialState, sequential } from './sequential.ts';

const atWork = (brief = {}): AtWork<SequentialState> => new AtWork(sequential, { team: team(3), ...brief });

describe('sequential', () => {
  it('sends one after the other, each with the result of the one before, and the last one answers', () => {
    const work = atWork();
    expect(work.takeUp()).toEqual(['child researcher@1']);
    expect(work.takeUp()).toEqual([]);
    expect(work.childAnswers(0)).toEqual(['child analyst@1 after a0-1']);
    expect(work.childAnswers(1)).toEqual(['child creator@1 after a0-2']);
    expect(work.outcome).toBeUndefined();
    expect(work.childAnswers(2)).toEqual([]);
    expect(work.outcome).toEqual({ kind: 'answered', version: 102, bytes: 50 });
  });
  it('gives each stage an equal part of what is left: the last one all of it', () => {
    const work = atWork();
    work.takeUp();
    work.childAnswers(0);
    work.childAnswers(1);
    expect(work.taken).toMatchObject([{ of: 3 }, { of: 2 }, { of: 1 }]);
    expect(work.taken[0]).toMatchObject({ task: { of: 'parent' }, taskBytes: plainBrief.taskBytes, pattern: 'direct', asked: false });
  });
  it('ends with the stage that failed: who comes after it is never sent', () => {
    const work = atWork();
    work.takeUp();
    work.childAnswers(0);
    expect(work.childFails(1, 'rate_limit')).toEqual([]);
    expect(work.outcome).toEqual({
      kind: 'failed',
      code: 'StageFailed',
      message: 'Stage 2 of 3 (analyst@1) failed: rate_limit.',
      partialAt: 100,
    });
  });
  it('fails with what the failed stage left when nobody answered before', () => {
    const work = atWork();
    work.takeUp();
    work.childFails(0, 'CostBudgetExceeded', 77);
    expect(work.outcome).toMatchObject({ kind: 'failed', code: 'StageFailed', partialAt: 77 });
  });
  it('fails when a stage is not granted', () => {
    const work = atWork();
    work.takeUp();
    work.childNotGranted(0);
    expect(work.outcome).toMatchObject({ kind: 'failed', message: 'Stage 1 of 3 (researcher@1) failed: TooManyDelegations.' });
  });
  it('says that it was frozen when a freeze has stopped a stage, and sends that stage again after it', () => {
    const work = atWork();
    work.takeUp();
    work.childAnswers(0);
    work.childFails(1, 'SpendingFrozen');
    expect(work.outcome).toMatchObject({ kind: 'failed', code: 'SpendingFrozen' });
    work.hear({ kind: 'raised' });
    expect(work.outcome).toBeUndefined();
    expect(work.takeUp()).toEqual(['child analyst@1 after a0-1']);
  });
  it('works alone in its own role when there is no team', () => {
    const work = atWork({ team: [] });
    expect(work.takeUp()).toEqual(['child generalist@1']);
    work.childAnswers(0);
    expect(work.outcome).toMatchObject({ kind: 'answered', version: 100 });
  });
});
