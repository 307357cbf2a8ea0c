import { describe, expect, it } from 'vitest';
import type { Ask } from '../workflow/steps.ts';
import { type EvaluatorOptimizerState, evaluatorOptimizer } from './evaluator-optimizer.ts';
import { analyst, AtWork, researcher, reviewer } from './given-pattern.ts';
import type { Rating, Tuning } from './pattern.ts';

const rating = (rated: Rating): Ask => ({ kind: 'rate', rating: rated });
const atWork = (tuning: Tuning = {}, team = [researcher, analyst, reviewer]): AtWork<EvaluatorOptimizerState> => {
  const work = new AtWork(evaluatorOptimizer, { team, tuning });
  expect(work.takeUp()).toEqual(['model']);
  return work;
};
/** Answers and ratings in turn: the n-th answer stands at version 2n - 1. */
function rated(work: AtWork<EvaluatorOptimizerState>, ...ratings: readonly Rating[]): AtWork<EvaluatorOptimizerState> {
  for (const one of ratings) {
    expect(work.model()).toEqual(['model: rate']);
    work.model(rating(one));
  }
  return work;
}

describe('evaluator-optimizer', () => {
  it('is done with the first answer that is rated good', () => {
    expect(rated(atWork(), 'good').outcome).toEqual({ kind: 'answered', version: 1, bytes: 20 });
  });
  it('improves with the feedback until the rating is good enough', () => {
    const work = rated(atWork(), 'poor');
    expect(work.prompt.lines.at(-1)).toEqual({
      by: 'user',
      words: [
        { of: 'note', note: { name: 'improve' } },
        { of: 'argument', call: { version: 2, index: 0 }, name: 'feedback' },
      ],
    });
    expect(rated(work, 'excellent').outcome).toMatchObject({ kind: 'answered', version: 3 });
  });
  it('asks another role to rate: the reviewer, else the second of the team, else itself', () => {
    for (const [team, rater] of [
      [[researcher, analyst, reviewer], 'reviewer@1'],
      [[researcher, analyst], 'analyst@1'],
      [[researcher], 'generalist@1'],
    ] as const) {
      const work = atWork({}, [...team]);
      work.model();
      expect(work.prompt).toMatchObject({ as: { role: rater }, own: ['rate'], tools: 'none' });
      expect(work.prompt.lines[1]).toMatchObject({ words: [{ of: 'answer', version: 1 }, { of: 'note' }] });
    }
  });
  it('may use tools before it answers', () => {
    const work = atWork();
    expect(work.model('files__read')).toEqual(['tool files__read']);
    expect(work.tool()).toEqual(['model']);
    expect(work.model()).toEqual(['model: rate']);
  });
});

describe('refinements', () => {
  it('are three at most', () => {
    const work = rated(atWork(), 'fair', 'fair', 'fair', 'fair');
    expect(work.outcome).toMatchObject({ kind: 'answered', version: 7 });
    expect(work.taken.filter((step) => step.kind === 'llm' && step.part === undefined)).toHaveLength(4);
  });
  it('are as many as the client says, with the least rating that it takes', () => {
    expect(rated(atWork({ refinements: 0 }), 'poor').outcome).toMatchObject({ version: 1 });
    expect(rated(atWork({ minimumRating: 'fair' }), 'fair').outcome).toMatchObject({ version: 1 });
    expect(rated(atWork({ minimumRating: 'excellent' }), 'good').outcome).toBeUndefined();
  });
  it('that make it worse do not count: the best one seen is the answer', () => {
    expect(rated(atWork({ minimumRating: 'excellent' }), 'fair', 'good', 'poor', 'fair').outcome).toMatchObject({ version: 3 });
  });
  it('of equal rating: the later one', () => {
    expect(rated(atWork({ refinements: 2 }), 'fair', 'poor', 'fair').outcome).toMatchObject({ version: 5 });
  });
});

describe('a rating that is of no use', () => {
  it.each([
    ['words alone', []],
    ['arguments that cannot be read', [{ kind: 'invalid', problem: 'rating is missing' } as const]],
  ])('%s: the answer stands as it is', (_, calls) => {
    const work = atWork();
    work.model();
    expect(work.model(...calls)).toEqual([]);
    expect(work.outcome).toMatchObject({ kind: 'answered', version: 1 });
  });
  it('that cannot be paid or made: the best rated one is the answer', () => {
    for (const how of ['refused', 'modelFails'] as const) {
      const work = rated(atWork(), 'fair');
      work.model();
      work[how]();
      expect(work.outcome).toMatchObject({ kind: 'answered', version: 1 });
    }
  });
});

describe('an improvement that fails', () => {
  it('for want of mandate fails the task honestly, with the best one as the partial answer', () => {
    const work = rated(atWork(), 'fair', 'poor');
    expect(work.refused('CostBudgetExceeded')).toEqual(['model: closing']);
    work.model();
    expect(work.outcome).toMatchObject({ kind: 'failed', code: 'CostBudgetExceeded', partialAt: 1 });
  });
  it('goes on where it stopped when more is given', () => {
    const work = rated(atWork(), 'fair');
    work.refused('CostBudgetExceeded');
    work.model();
    work.hear({ kind: 'raised' });
    expect(work.takeUp()).toEqual(['model']);
    expect(rated(work, 'good').outcome).toMatchObject({ kind: 'answered' });
  });
});
