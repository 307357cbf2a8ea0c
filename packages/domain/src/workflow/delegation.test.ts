import { describe, expect, it } from 'vitest';
import { MAX_CONSULTS } from '../patterns/dialogue.ts';
import { available } from '../mandate/mandate.ts';
import { refuseContext } from './delegate.ts';
import { casting, costing, delegating, environment, modelAsks, modelSays, submission, Telling, toolSays } from './given.ts';
import type { Environment } from './inputs.ts';
import type { Ask, Errand } from './steps.ts';

const researcher = casting('researcher@1');
const creator = casting('creator@1', ['files__read', 'mail__send']);

const running = (options = {}, world: Partial<Environment> = {}): Telling => {
  const told = new Telling();
  told.tell({ ...submission({ pattern: 'direct', ...options }), environment: { ...environment, ...world } });
  return told;
};
const terms = (over: Partial<Environment['delegation']>): Partial<Environment> => ({ delegation: { ...environment.delegation, ...over } });
/** Root, child and grandchild, each with another task. */
const threeDeep = (options = {}, world: Partial<Environment> = {}): Telling => {
  const told = running(options, world);
  told.model('a0', modelAsks(delegating(researcher, { fingerprint: 'f1' })));
  told.model('a0-1', modelAsks(delegating(creator, { fingerprint: 'f2' })));
  return told;
};

describe('depth', () => {
  it('0, 1 and 2 work; from 2 nobody delegates any further, and the model hears the exact words', () => {
    const told = threeDeep();
    expect([...told.workflow.agents.values()].map(({ id, depth, parent }) => [id, depth, parent])).toEqual([
      ['a0', 0, null],
      ['a0-1', 1, 'a0'],
      ['a0-1-1', 2, 'a0-1'],
    ]);
    expect(told.model('a0-1-1', modelAsks(delegating(researcher, { fingerprint: 'f3' })))).toEqual([
      'attempt.settled',
      'step.refused',
      'attempt.reserved',
    ]);
    expect(told.last('step.refused')?.data).toMatchObject({
      code: 'DelegationDepthExceeded',
      message: 'Delegation depth limit (2) reached. Cannot delegate further.',
    });
    expect(told.workflow.agents.size).toBe(3);
  });
  it('is that of the stored parent: what an answer says about it changes nothing', () => {
    const told = threeDeep();
    told.model('a0-1-1', modelAsks({ ...delegating(researcher, { fingerprint: 'f3' }), ...{ depth: 0, parent: 'a0' } } as Ask));
    expect(told.last('step.refused')?.data.code).toBe('DelegationDepthExceeded');
  });
  it('is lowered by operator or client and never raised', () => {
    const told = threeDeep({}, terms({ maxDepth: 7 }));
    told.model('a0-1-1', modelAsks(delegating(researcher, { fingerprint: 'f3' })));
    expect(told.last('step.refused')?.data.message).toBe('Delegation depth limit (2) reached. Cannot delegate further.');
    for (const lowered of [running({ maxDepth: 1 }), running({}, terms({ maxDepth: 1 }))]) {
      lowered.model('a0', modelAsks(delegating(researcher)));
      lowered.model('a0-1', modelAsks(delegating(creator, { fingerprint: 'f2' })));
      expect(lowered.last('step.refused')?.data.message).toBe('Delegation depth limit (1) reached. Cannot delegate further.');
    }
  });
  it('has no door in what a tool returns: only the answer of a model can ask for something', () => {
    const told = running();
    told.model('a0', modelSays('files__read'));
    told.answer(told.open('tool')[0], { ...toolSays(), ...{ calls: [{ tool: null, argsBytes: 1, ask: delegating(researcher) }] } });
    expect(told.workflow.agents.size).toBe(1);
    expect(told.asked()).toBeDefined();
  });
});

describe('number', () => {
  const asked = (n: number, over: Partial<Errand> = {}): ReturnType<typeof modelAsks> =>
    modelAsks(...Array.from({ length: n }, (_, i) => delegating(researcher, { fingerprint: `g${i}`, ...over })));
  const refusals = (told: Telling): readonly string[] => told.all('step.refused').map(({ message }) => message);

  it('of 50 in one go on a limit of 10: exactly the first 10, with equal parts', () => {
    const told = running();
    told.model('a0', asked(50));
    const children = [...told.workflow.agents.values()].slice(1);
    expect(children).toHaveLength(10);
    expect(children.map(({ granted }) => granted.errand?.slot)).toMatchObject(
      Array.from({ length: 10 }, (_, index) => ({ call: { index } })),
    );
    expect(Math.max(...children.map(({ mandate }) => mandate.limits.moneyMicroUsd))).toBe(
      Math.min(...children.map(({ mandate }) => mandate.limits.moneyMicroUsd)) + 1,
    );
    expect(refusals(told)).toHaveLength(40);
    expect(new Set(refusals(told))).toEqual(new Set(['Too many delegations (11). Maximum: 10']));
  });
  it('is counted over the whole life of an agent, and is 5 at depth 1 and 0 at depth 2', () => {
    const told = running({ maxModelCalls: 300 });
    told.model('a0', asked(1, { sharePercent: 50 }));
    told.model('a0-1', asked(7, { to: creator }));
    expect(told.agent('a0-1')).toMatchObject({ children: 5, mandate: { limits: { children: 5 } } });
    expect(new Set(refusals(told))).toEqual(new Set(['Too many delegations (6). Maximum: 5']));
    expect(told.agent('a0-1-5').mandate.limits.children).toBe(0);
    for (const n of [1, 2, 3, 4, 5]) told.model(`a0-1-${n}`);
    told.model('a0-1', asked(1, { to: creator, fingerprint: 'h' }));
    expect(told.agent('a0-1').children).toBe(5);
  });
  it('has a limit for the whole workflow', () => {
    const told = running({ maxAgents: 3 });
    told.model('a0', asked(2));
    told.model('a0-1', asked(2, { fingerprint: 'h' }));
    expect(told.workflow.agents.size).toBe(4);
    expect(refusals(told)).toEqual(['Too many delegations (4). Maximum: 3']);
  });
  it('is nothing for a task that may not delegate', () => {
    const told = running({ maxDepth: 0 });
    told.model('a0', asked(1));
    expect(refusals(told)).toEqual(['Delegation depth limit (0) reached. Cannot delegate further.']);
  });
});

describe('a role that nobody knows', () => {
  it('is refused', () => {
    const told = running();
    told.model('a0', modelAsks(delegating(null)));
    expect(told.last('step.refused')?.data.code).toBe('RoleUnknown');
  });
});

describe('cycles', () => {
  const chain = (first: readonly [string, string], second: readonly [string, string]): Telling => {
    const told = running();
    told.model('a0', modelAsks(delegating(casting(first[0]), { fingerprint: first[1] })));
    if (told.workflow.agents.size > 1) told.model('a0-1', modelAsks(delegating(casting(second[0]), { fingerprint: second[1] })));
    return told;
  };
  it.each([
    ['to itself', ['generalist@1', 'f0'], ['-', '-']],
    ['to itself in another version', ['generalist@2', 'f0'], ['-', '-']],
    ['A to B to A', ['researcher@1', 'f0'], ['generalist@1', 'f0']],
    ['B to B', ['researcher@1', 'f1'], ['researcher@1', 'f1']],
    ['the same task under a third name', ['researcher@1', 'f0'], ['creator@1', 'f0']],
  ] as const)('%s is refused', (_, first, second) => {
    const told = chain(first, second);
    expect(told.last('step.refused')?.data.code).toBe('DelegationCycleDetected');
    expect(told.last('step.refused')?.data.message).toMatch(/^Delegation cycle detected\. /);
  });
  it.each([
    ['A to B to C with three tasks', ['researcher@1', 'f1'], ['creator@1', 'f2']],
    ['A to B to A with another task', ['researcher@1', 'f1'], ['generalist@1', 'f2']],
    ['a part for the same role', ['generalist@1', 'f1'], ['generalist@1', 'f2']],
  ] as const)('%s is none', (_, first, second) => {
    expect(chain(first, second).workflow.agents.size).toBe(3);
  });
  it('are none beside each other: two children may do the same', () => {
    const told = running();
    told.model('a0', modelAsks(delegating(researcher), delegating(researcher)));
    expect(told.workflow.agents.size).toBe(3);
  });
});

describe('context', () => {
  const EXACT = 'Agent context budget (100k tokens) exceeded. Simplify subtask.';
  it.each([
    [80_000, 15_000, undefined],
    [85_000, 15_000, undefined],
    [90_000, 15_000, EXACT],
    [95_000, 10_000, EXACT],
  ])('of %d tokens and a child of %d is checked before anything is granted', (parent, child, message) => {
    expect(refuseContext(parent, child, 100_000)?.message).toBe(message);
  });
  it.each([
    [80_000, 15_000, 2, []],
    [90_000, 15_000, 1, [EXACT]],
  ])('counts what the parent has read: %d and a child of %d make %d agents', (parent, estimateTokens, agents, refusals) => {
    const told = running();
    told.model('a0', modelSays('files__read'));
    told.answer(told.open('tool')[0], toolSays(parent * 3.5 - 250));
    told.model('a0', modelAsks(delegating(researcher, { estimateTokens })));
    expect(told.workflow.agents.size).toBe(agents);
    expect(told.all('step.refused').map(({ message }) => message)).toEqual(refusals);
  });
  it('reckons a child without an estimate with a quarter of its task and 5,000', () => {
    const told = running();
    told.model('a0', modelSays('files__read'));
    told.answer(told.open('tool')[0], toolSays(94_000 * 3.5));
    told.model('a0', modelAsks(delegating(researcher, { taskBytes: 4_000 }), delegating(researcher, { taskBytes: 1_000 })));
    expect(told.all('step.refused').map(({ code }) => code)).toEqual(['ContextBudgetExceeded']);
    expect(told.workflow.agents.size).toBe(2);
  });
});

describe('tools', () => {
  const scope = (told: Telling, id: string): readonly string[] => told.agent(id).granted.tools.map(({ name }) => name);
  it('are those of the role that the parent has too', () => {
    const told = running();
    told.model('a0', modelAsks(delegating(casting('developer@1', ['files__read', 'shell__run']))));
    expect(scope(told, 'a0-1')).toEqual(['files__read']);
    expect(told.agent('a0-1').granted.catalogHash).toBe(environment.catalogHash);
  });
  it('may be fewer still: only those that were named', () => {
    const told = running();
    told.model('a0', modelAsks(delegating(creator, { tools: ['mail__send'] }), delegating(creator, { tools: [] })));
    expect(scope(told, 'a0-1')).toEqual(['mail__send']);
    expect(told.agent('a0-2').granted).toMatchObject({ tools: [], catalogHash: null });
  });
  it.each([[['shell__run']], [[null]], [['files__read', 'shell__run']]])('%j of another scope are refused', (tools) => {
    const told = running();
    told.model('a0', modelAsks(delegating(creator, { tools })));
    expect(told.last('step.refused')?.data).toMatchObject({ code: 'ToolNotAllowed' });
    expect(told.workflow.agents.size).toBe(1);
  });
  it('never grow on the way down, whatever the role could use', () => {
    const told = running({ tools: ['files__read'] }, terms({ deepest: 'any' }));
    told.model('a0', modelAsks(delegating(creator)));
    told.model('a0-1', modelAsks(delegating(creator, { fingerprint: 'f2', tools: ['mail__send'] })));
    expect(told.last('step.refused')?.data.code).toBe('ToolNotAllowed');
  });
  it('only read at depth 2, unless the operator says otherwise', () => {
    const told = running();
    told.model('a0', modelAsks(delegating(creator)));
    expect(scope(told, 'a0-1')).toEqual(['files__read', 'mail__send']);
    told.model(
      'a0-1',
      modelAsks(delegating(creator, { fingerprint: 'f2' }), delegating(creator, { fingerprint: 'f3', tools: ['mail__send'] })),
    );
    expect(scope(told, 'a0-1-1')).toEqual(['files__read']);
    expect(told.last('step.refused')?.data.message).toBe('Agents at depth 2 may only read; a tool was asked for that does more.');
    const trusting = running({}, terms({ deepest: 'any' }));
    trusting.model('a0', modelAsks(delegating(creator)));
    trusting.model('a0-1', modelAsks(delegating(creator, { fingerprint: 'f2' })));
    expect(scope(trusting, 'a0-1-1')).toEqual(['files__read', 'mail__send']);
  });
  it('are no more than those of the role that delegates, when the agent works in another role', () => {
    const told = running({ pattern: 'router' }, { team: [researcher] });
    told.model('a0', modelAsks(delegating(creator), delegating(creator, { fingerprint: 'f2', tools: ['mail__send'] })));
    expect(scope(told, 'a0-1')).toEqual(['files__read']);
    expect(told.last('step.refused')?.data.code).toBe('ToolNotAllowed');
  });
  it('that are not in the scope of a child are refused to it, though its parent has them', () => {
    const told = running();
    told.model('a0', modelAsks(delegating(researcher)));
    expect(told.model('a0-1', modelSays('mail__send'))).toEqual(['attempt.settled', 'step.refused', 'attempt.reserved']);
    expect(told.last('step.refused')?.data).toMatchObject({ agent: 'a0-1', code: 'ToolNotAllowed' });
  });
});

describe('consults', () => {
  const question: Ask = { kind: 'consult', to: researcher };
  it('are one call without tools in the name of the asker, who pays for it', () => {
    const told = running();
    expect(told.model('a0', modelAsks(question))).toEqual(['attempt.settled', 'attempt.reserved']);
    expect(told.asked()?.owes).toMatchObject({ kind: 'llm', part: { name: 'consult', to: researcher } });
    expect(told.model('a0', costing(500))).toEqual(['attempt.settled', 'attempt.reserved']);
    expect(told.agent().mandate.spent).toMatchObject({ moneyMicroUsd: 560, modelCalls: 2 });
    expect(told.workflow.agents.size).toBe(1);
  });
  it(`are ${MAX_CONSULTS} at most, so that nobody asks for ever; an unknown role is refused`, () => {
    const told = running();
    for (let n = 0; n < MAX_CONSULTS; n++) {
      told.model('a0', modelAsks(question));
      told.model('a0');
    }
    told.model('a0', modelAsks(question));
    expect(told.last('step.refused')?.data.code).toBe('TooManyConsults');
    told.model('a0', modelAsks({ kind: 'consult', to: null }));
    expect(told.last('step.refused')?.data.code).toBe('RoleUnknown');
    expect(available(told.agent().mandate).modelCalls).toBe(150 - 2 * MAX_CONSULTS - 3);
  });
  it('that cannot be paid are refused, and the agent goes on', () => {
    const told = running({ maxCostMicroUsd: 100_000 });
    told.model('a0', modelAsks({ kind: 'consult', to: { ...researcher, baseBytes: 200_000 } }));
    expect(told.all('step.refused')).toMatchObject([{ code: 'CostBudgetExceeded', part: { name: 'consult' } }]);
    expect(told.asked()?.owes).not.toHaveProperty('part');
  });
});
