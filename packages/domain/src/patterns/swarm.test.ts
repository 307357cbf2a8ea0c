import { describe, expect, it } from 'vitest';
import type { Ask, Casting } from '../workflow/steps.ts';
import { analyst, AtWork, creator, plainBrief, researcher, team } from './given-pattern.ts';
import { MAX_HANDOVERS, type SwarmState, swarm } from './swarm.ts';

const passing = (to: Casting | null): Ask => ({ kind: 'transfer', to });
const atWork = (): AtWork<SwarmState> => {
  const work = new AtWork(swarm, { team: team(3) });
  expect(work.takeUp()).toEqual(['model']);
  return work;
};
/** Somebody that is new to the team. */
const other = (n: number): Casting => ({ ...researcher, role: `role${n}@1` });

describe('swarm', () => {
  it('begins with the first of the team, and whoever does not pass the work on answers', () => {
    const work = atWork();
    expect(work.prompt).toMatchObject({ as: researcher, own: ['transfer_to', 'delegate', 'consult'], tools: 'of the casting' });
    work.model();
    expect(work.outcome).toMatchObject({ kind: 'answered', version: 1 });
  });
  it('hands everything that was said so far to the next one', () => {
    const work = atWork();
    work.model('files__read');
    work.tool();
    expect(work.model(passing(analyst))).toEqual(['hand over to analyst@1']);
    expect(work.takeUp()).toEqual(['model']);
    expect(work.prompt.as).toEqual(analyst);
    expect(work.prompt.lines.map((line) => line.by)).toEqual(['user', 'turn', 'turn']);
    work.model();
    expect(work.outcome).toMatchObject({ kind: 'answered' });
  });
  it('reckons every prompt with the longest instruction of the team', () => {
    const wide = { ...analyst, baseBytes: 9_000 };
    const work = new AtWork(swarm, { team: [researcher, wide] });
    expect(work.owed).toMatchObject([{ promptBytes: 9_000 + plainBrief.taskBytes }]);
  });
  it('works in its own role without a team', () => {
    const work = new AtWork(swarm, { team: [] });
    expect(work.prompt.as?.role).toBe('generalist@1');
  });
});

describe('whoever has the work', () => {
  const blind: Casting = { ...researcher, role: 'blind@1', tools: [] };
  it('uses the tools of its own role only, also those that it has seen somebody else use', () => {
    const work = new AtWork(swarm, { team: [researcher, blind] });
    work.takeUp();
    expect(work.model('files__read')).toEqual(['tool files__read']);
    work.tool();
    work.model(passing(blind));
    work.takeUp();
    expect(work.model('files__read')).toEqual(['refuse: ToolNotAllowed']);
  });
  it('delegates no tool that it may not use itself', () => {
    const work = new AtWork(swarm, { team: [blind] });
    work.takeUp();
    work.model({ kind: 'delegate', to: researcher, taskBytes: 10, fingerprint: 'f1' });
    expect(work.taken.at(-1)).toMatchObject({ kind: 'child', scope: [] });
  });
  it('is reckoned with its own instruction, also when it is of no team', () => {
    const wide = { ...analyst, baseBytes: 9_000 };
    const work = atWork();
    work.model(passing(wide));
    expect(work.owed).toMatchObject([{ promptBytes: expect.toSatisfy((bytes: number) => bytes >= 9_000 + plainBrief.taskBytes) }]);
  });
});

describe('handing over', () => {
  it('to and fro is stopped with its reason: A, B, A, B', () => {
    const work = atWork();
    for (const to of [analyst, researcher]) {
      work.model(passing(to));
      expect(work.takeUp()).toEqual(['model']);
    }
    work.model(passing(analyst));
    expect(work.takeUp()).toEqual([]);
    expect(work.outcome).toMatchObject({
      kind: 'failed',
      code: 'HandoverLoop',
      message: 'researcher@1 and analyst@1 pass the work to and fro.',
      partialAt: 5,
    });
  });
  it('in a round is not to and fro: A, B, C, A', () => {
    const work = atWork();
    for (const to of [analyst, creator, researcher]) {
      work.model(passing(to));
      expect(work.takeUp()).toEqual(['model']);
    }
    expect(work.outcome).toBeUndefined();
  });
  it(`is possible ${MAX_HANDOVERS} times; then whoever has the work must finish it`, () => {
    const work = atWork();
    for (let n = 0; n < MAX_HANDOVERS; n++) {
      expect(work.model(passing(other(n)))).toEqual([`hand over to role${n}@1`]);
      work.takeUp();
    }
    expect(work.model(passing(other(99)))).toEqual(['refuse: TooManyHandovers']);
    expect(work.takeUp()).toEqual(['model']);
    expect(work.prompt.as?.role).toBe(`role${MAX_HANDOVERS - 1}@1`);
  });
  it('happens once in a turn, however many are named', () => {
    const work = atWork();
    expect(work.model(passing(null), passing(analyst), passing(analyst), passing(creator))).toEqual([
      'refuse: RoleUnknown',
      'hand over to analyst@1',
      'refuse: TooManyHandovers',
      'refuse: TooManyHandovers',
    ]);
    expect(work.state.held.map(({ role }) => role)).toEqual(['researcher@1', 'analyst@1']);
    const many = atWork();
    many.model(...Array.from({ length: 20 }, (_, n) => passing(other(n))));
    expect(many.state.held).toHaveLength(2);
  });
  it('to whoever has the work already is refused', () => {
    const work = atWork();
    expect(work.model(passing(researcher))).toEqual(['refuse: RoleUnknown']);
  });
  it('goes on after a loop was stopped when more is given', () => {
    const work = atWork();
    for (const to of [analyst, researcher, analyst]) {
      work.model(passing(to));
      work.takeUp();
    }
    work.hear({ kind: 'raised' });
    expect(work.takeUp()).toEqual(['model']);
    work.model();
    expect(work.outcome).toMatchObject({ kind: 'answered' });
  });
});
