import { describe, expect, it } from 'vitest';
import type { Ask } from '../workflow/steps.ts';
import { analyst, AtWork, stranger, team } from './given-pattern.ts';
import { type RouterState, router } from './router.ts';

const choosing = (to: typeof analyst | null): Ask => ({ kind: 'choose', to });
const atWork = (): AtWork<RouterState> => {
  const work = new AtWork(router, { team: team(3) });
  expect(work.takeUp()).toEqual(['model: choose']);
  return work;
};

describe('router', () => {
  it('asks who should do it; only the chosen one works, in its role and with its tools', () => {
    const work = atWork();
    expect(work.prompt).toMatchObject({ own: ['choose'], tools: 'none' });
    expect(work.model(choosing(analyst))).toEqual(['model']);
    expect(work.prompt).toMatchObject({ as: analyst, tools: 'of the casting' });
    work.model('files__read');
    expect(work.tool()).toEqual(['model']);
    work.model();
    expect(work.outcome).toMatchObject({ kind: 'answered' });
  });
  it('refuses the chosen one a tool that is not of its role, though the agent has it', () => {
    const blind = { ...analyst, role: 'blind@1', tools: [] };
    const work = new AtWork(router, { team: [blind, analyst] });
    work.takeUp();
    work.model(choosing(blind));
    expect(work.model('files__read')).toEqual(['refuse: ToolNotAllowed']);
  });
  it('sends no child: the chosen one is the agent itself, at the same depth', () => {
    const work = atWork();
    expect(work.model(choosing(analyst)).filter((step) => step.startsWith('child'))).toEqual([]);
  });
  it.each([
    ['nobody', [choosing(null)]],
    ['somebody who is not of the team', [choosing(stranger)]],
    ['by words alone', []],
    ['with arguments that cannot be read', [{ kind: 'invalid', problem: 'agent is missing' } as const]],
  ])('asks again when the model chooses %s', (_, calls) => {
    const work = atWork();
    expect(work.model(...calls)).toEqual(['model: choose']);
    expect(JSON.stringify(work.prompt.lines)).toContain('choose_again');
    expect(work.model(choosing(analyst))).toEqual(['model']);
  });
  it('ends after the second answer that chooses nobody', () => {
    const work = atWork();
    work.model(choosing(null));
    expect(work.model(choosing(stranger))).toEqual([]);
    expect(work.outcome).toEqual({
      kind: 'failed',
      code: 'NoCapableAgent',
      message: '2 answers chose nobody of the team.',
      partialAt: null,
    });
  });
  it('fails when the model cannot be asked, and asks again when more is given', () => {
    const work = atWork();
    work.refused('CostBudgetExceeded');
    expect(work.outcome).toMatchObject({ kind: 'failed', code: 'CostBudgetExceeded' });
    work.hear({ kind: 'raised' });
    expect(work.takeUp()).toEqual(['model: choose']);
    work.modelFails('bad_request');
    expect(work.outcome).toMatchObject({ kind: 'failed', code: 'bad_request' });
  });
  it('has nothing to choose with a team of one, or of nobody', () => {
    const one = new AtWork(router, { team: [analyst] });
    expect(one.takeUp()).toEqual(['model']);
    expect(one.prompt.as).toEqual(analyst);
    const alone = new AtWork(router, { team: [] });
    expect(alone.takeUp()).toEqual(['model']);
    expect(alone.prompt.as?.role).toBe('generalist@1');
  });
  it('lands in the role of the chosen one', () => {
    const work = atWork();
    work.model(choosing(analyst));
    expect(work.refused()).toEqual(['model: closing']);
    work.model();
    expect(work.outcome).toMatchObject({ kind: 'failed', code: 'CostBudgetExceeded', partialAt: 3 });
  });
});
