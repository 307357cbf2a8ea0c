import type { StoredEvent } from '@mandate/contracts';
import type { StubReply, StubRequest } from '@mandate/test-kit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startWorld, type World } from '../world.ts';

/** Every pattern over the real services: a model behind real HTTP plays the roles that it is asked in. */
let world: World;
beforeAll(async () => {
  world = await startWorld();
}, 120_000);
afterAll(() => world.stop());

type Role = 'researcher' | 'analyst' | 'creator' | 'reviewer' | 'developer' | 'generalist';
interface Asked {
  readonly role: string;
  /** Everything that stands in the prompt beside the system text. */
  readonly text: string;
  /** Which of our own tools is the only one that is offered. */
  readonly part: 'choose' | 'plan' | 'rate' | 'turn' | 'plain';
  readonly turn: number;
}

function asked(request: StubRequest): Asked {
  const [system, ...rest] = (request.body as { messages: { role: string; content: unknown }[] }).messages;
  const part = (['choose', 'plan', 'rate'] as const).find((name) => request.tools.length === 1 && request.tools[0] === name);
  return {
    role: /You are an? ([a-z ]+?)[,:.\n]/.exec(String(system?.content))?.[1] ?? 'generalist',
    text: JSON.stringify(rest),
    part: part ?? (request.tools.length === 0 ? 'plain' : 'turn'),
    turn: request.assistantMessages,
  };
}

/** Runs a task whose model answers as `play` says. @returns how it ended, its history and what the model was asked */
async function run(
  options: object,
  play: (about: Asked) => StubReply,
  task = 'Write about the sea',
): Promise<{
  readonly status: string;
  readonly answer: string | null;
  readonly code: string | null;
  readonly history: readonly StoredEvent[];
  readonly seen: readonly Asked[];
}> {
  const seen: Asked[] = [];
  world.model.script((request) => {
    const about = asked(request);
    seen.push(about);
    return play(about);
  });
  const workflow = await world.submit(task, options);
  const { status, answer, code } = await world.ended(workflow);
  return { status, answer, code, history: await world.history(workflow), seen };
}

const of = <T extends StoredEvent['type']>(history: readonly StoredEvent[], type: T): Extract<StoredEvent, { type: T }>[] =>
  history.filter((event): event is Extract<StoredEvent, { type: T }> => event.type === type);
const roles = (history: readonly StoredEvent[]): string[] =>
  of(history, 'mandate.granted').map(({ data }) => data.role.split('@')[0] ?? '');
const say = (text: string): StubReply => ({ text });
const use = (tool: string, args: object): StubReply => ({ toolCalls: [{ tool, args }] });
const team = (...names: Role[]): { roles: Role[] } => ({ roles: names });

describe('sequential', () => {
  it('lets each of the team go on with the result of the one before; the last one answers', async () => {
    const { answer, history, seen } = await run({ pattern: 'sequential', tuning: team('researcher', 'analyst') }, ({ role }) =>
      say(role === 'researcher' ? 'the sea is deep' : 'so it is dark'),
    );
    expect(answer).toBe('so it is dark');
    expect(seen[1]?.text).toContain('the sea is deep');
    expect(roles(history)).toEqual(['generalist', 'researcher', 'analyst']);
  });
});

describe('parallel', () => {
  it('asks all sections at once and joins what they bring', async () => {
    let open = 0;
    let most = 0;
    const { answer, seen } = await run({ pattern: 'parallel', tuning: team('researcher', 'analyst', 'creator') }, ({ part, role }) => {
      if (part === 'plain') return say('joined');
      most = Math.max(most, ++open);
      return { delayMs: 300, reply: say(`from the ${role}`) };
    });
    expect(most).toBe(3);
    expect(answer).toBe('joined');
    for (const role of ['researcher', 'analyst']) expect(seen.at(-1)?.text).toContain(`from the ${role}`);
  });

  it('takes the answer that most votes agree on', async () => {
    let vote = 0;
    const { answer } = await run({ pattern: 'parallel', tuning: { mode: 'votes', votes: 3 } }, () =>
      say(['Blue!', 'green', 'blue'][vote++] ?? ''),
    );
    expect(answer?.toLowerCase()).toContain('blue');
  });

  it('fails under the policy all when one section fails, and falls back to one agent', async () => {
    const { status, answer, history } = await run(
      { pattern: 'parallel', tuning: { ...team('researcher', 'analyst'), policy: 'all' } },
      ({ role }) => (role === 'analyst' ? { status: 400, body: '{}' } : say(`from the ${role}`)),
    );
    expect(status).toBe('completed');
    expect(
      of(history, 'decision.made')
        .map(({ data }) => [data.agent, data.pattern, data.chosenBy])
        .filter(([agent]) => agent === 'a0'),
    ).toEqual([
      ['a0', 'parallel', 'client'],
      ['a0', 'direct', 'fallback'],
    ]);
    expect(answer).toContain('from the');
  });
});

describe('router', () => {
  it('lets one of the team be chosen, and only that one works, at the same depth', async () => {
    const { answer, history, seen } = await run(
      { pattern: 'router', tuning: team('researcher', 'analyst', 'creator') },
      ({ part, role }) => (part === 'choose' ? use('choose', { agent: 'analyst' }) : say(`from the ${role}`)),
    );
    expect(answer).toBe('from the analyst');
    expect(seen.filter(({ part }) => part !== 'choose').map(({ role }) => role)).toEqual(['analyst']);
    expect(of(history, 'mandate.granted')).toHaveLength(1);
  });
});

describe('orchestrator-workers', () => {
  it('plans, lets workers carry the plan out in the order of its dependencies, and joins', async () => {
    const steps = [
      { id: 'find', agent: 'researcher', task: 'find facts' },
      { id: 'weigh', agent: 'analyst', task: 'weigh them', after: ['find'] },
    ];
    const { answer, history, seen } = await run({ pattern: 'orchestrator-workers' }, ({ part, role }) =>
      part === 'plan' ? use('plan', { steps }) : part === 'plain' ? say('the whole') : say(`from the ${role}`),
    );
    expect(answer).toBe('the whole');
    expect(roles(history)).toEqual(['generalist', 'researcher', 'analyst']);
    expect(seen.find(({ role }) => role === 'analyst')?.text).toContain('from the researcher');
  });

  it('sends a plan back that goes round in a circle, and says why', async () => {
    const circle = [
      { id: 'a', agent: 'researcher', task: 'one', after: ['b'] },
      { id: 'b', agent: 'analyst', task: 'two', after: ['a'] },
    ];
    let plans = 0;
    const { status, seen } = await run({ pattern: 'orchestrator-workers' }, ({ part }) =>
      part === 'plan' ? use('plan', { steps: plans++ === 0 ? circle : [{ id: 'c', agent: 'creator', task: 'all' }] }) : say('well'),
    );
    expect(status).toBe('completed');
    expect(seen[1]?.text).toContain('depend on each other in a circle');
  });
});

describe('swarm', () => {
  it('hands the work over with everything that was said', async () => {
    const { answer, history, seen } = await run({ pattern: 'swarm', tuning: team('researcher', 'creator') }, ({ role }) =>
      role === 'researcher' ? use('transfer_to', { agent: 'creator', note: 'it is about salt' }) : say('a poem'),
    );
    expect(answer).toBe('a poem');
    expect(of(history, 'agent.handed_over').map(({ data }) => [data.from, data.to.role])).toEqual([['researcher@1', 'creator@1']]);
    expect(seen[1]?.text).toContain('it is about salt');
  });

  it('stops work that is passed to and fro, and one agent does it', async () => {
    let turns = 0;
    const { history } = await run({ pattern: 'swarm', tuning: team('researcher', 'creator') }, ({ part, role }) =>
      turns++ > 6 || part === 'plain' ? say('enough') : use('transfer_to', { agent: role === 'researcher' ? 'creator' : 'researcher' }),
    );
    expect(of(history, 'decision.made').at(-1)?.data).toMatchObject({
      chosenBy: 'fallback',
      pattern: 'direct',
      reasons: ['failed.swarm.HandoverLoop'],
    });
  });
});

describe('evaluator-optimizer', () => {
  it('improves until it is good enough, and returns the best that was seen', async () => {
    const ratings = ['fair', 'poor', 'fair', 'poor'];
    let answers = 0;
    const { answer, seen } = await run(
      { pattern: 'evaluator-optimizer', tuning: { ...team('creator', 'reviewer'), refinements: 3 } },
      ({ part }) => (part === 'rate' ? use('rate', { rating: ratings.shift(), feedback: 'more salt' }) : say(`draft ${++answers}`)),
    );
    expect(answer).toBe('draft 3');
    expect(answers).toBe(4);
    expect(seen[2]?.text).toContain('more salt');
  });
});

describe('consults', () => {
  it('asks another role one question without an agent, and goes on with its words', async () => {
    const { answer, history } = await run({ pattern: 'direct' }, ({ role, turn }) =>
      role === 'analyst' ? say('forty-two') : turn === 0 ? say('I wonder.\n@Analyst: how deep is it?') : say('it is deep'),
    );
    expect(answer).toBe('it is deep');
    expect(of(history, 'mandate.granted')).toHaveLength(1);
    expect(of(history, 'attempt.reserved').some(({ data }) => data.owes.kind === 'llm' && data.owes.part?.name === 'consult')).toBe(true);
  });
});

describe('landing', () => {
  it('gives one closing turn from what was put aside, and a top-up goes on exactly there', async () => {
    let allowed = false;
    const { status, code, answer, history } = await run({ pattern: 'direct', maxModelCalls: 6 }, ({ part }) =>
      part === 'plain' ? say('so far') : allowed ? say('whole') : use('counter__read', {}),
    );
    expect([status, code, answer]).toEqual(['failed', 'ModelCallBudgetExceeded', 'so far']);
    expect(of(history, 'mandate.warned')[0]?.data.dimensions).toContain('modelCalls');
    const workflow = history[0]?.stream ?? '';
    const calls = of(history, 'attempt.reserved').length;
    allowed = true;
    const response = await world.api(`/api/v1/tasks/${workflow}/top-up`, { method: 'POST', body: JSON.stringify({ modelCalls: 2 }) });
    expect(response.status).toBe(202);
    await expect.poll(async () => of(await world.history(workflow), 'task.completed').length, { timeout: 10_000 }).toBe(1);
    expect(of(await world.history(workflow), 'attempt.reserved')).toHaveLength(calls + 1);
  });
});
