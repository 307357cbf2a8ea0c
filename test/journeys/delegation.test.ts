import type { StoredEvent } from '@mandate/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startWorld, type World } from '../world.ts';

/** Agents that send agents, over the real services: the model says what the task's own text tells it to. */
let world: World;
beforeAll(async () => {
  world = await startWorld();
}, 120_000);
afterAll(() => world.stop());

const call = (tool: string, args: object): string => `tool ${tool} ${JSON.stringify(args)}`;
/** A task whose model takes these turns. */
const plan = (...turns: readonly string[]): string => `[[plan: ${turns.join('; ')}]]`;
const say = (text: string): string => `say ${text}`;
const delegate = (task: string, more: object = {}): string => call('delegate', { agent: 'researcher', task, ...more });

const of = <T extends StoredEvent['type']>(history: readonly StoredEvent[], type: T): Extract<StoredEvent, { type: T }>[] =>
  history.filter((event): event is Extract<StoredEvent, { type: T }> => event.type === type);

async function run(
  task: string,
  options: object = { pattern: 'direct' },
): Promise<{ workflow: string; history: readonly StoredEvent[]; answer: string | null; status: string }> {
  const workflow = await world.submit(task, options);
  const { answer, status } = await world.ended(workflow);
  return { workflow, history: await world.history(workflow), answer, status };
}

describe('delegation', () => {
  it('goes from 0 to 1 to 2, is refused at 3 with the exact words, and every answer comes back up', async () => {
    const grandchild = plan(delegate('too deep'), say('grandchild is done'));
    const child = plan(delegate(grandchild, { agent: 'analyst' }), say('child is done'));
    const { history, status, answer } = await run(plan(delegate(child), say('root is done')));
    expect([status, answer]).toEqual(['completed', 'root is done']);
    expect(of(history, 'mandate.granted').map(({ data }) => [data.agent, data.depth, data.role.split('@')[0]])).toEqual([
      ['a0', 0, 'generalist'],
      ['a0-1', 1, 'researcher'],
      ['a0-1-1', 2, 'analyst'],
    ]);
    expect(of(history, 'step.refused').map(({ data }) => [data.agent, data.code, data.message])).toEqual([
      ['a0-1-1', 'DelegationDepthExceeded', 'Delegation depth limit (2) reached. Cannot delegate further.'],
    ]);
    expect(of(history, 'agent.ended').map(({ data }) => [data.agent, data.end.kind])).toEqual([
      ['a0-1-1', 'answered'],
      ['a0-1', 'answered'],
    ]);
  });

  it('books the whole tree once: what the root spent is what the model billed', async () => {
    const before = world.model.bill().costMicroUsd;
    const child = plan(call('counter__read', {}), say('counted'));
    const { history } = await run(plan([delegate(child), delegate(child), delegate(child)].join(' & '), say('all counted')));
    const [ended] = of(history, 'task.completed');
    expect(ended?.data.spent.moneyMicroUsd).toBe(world.model.bill().costMicroUsd - before);
    expect(ended?.data.spent).toMatchObject({ modelCalls: 8, toolCalls: 3 });
  });

  it('refuses children that would cost more than is left, and the others still work', async () => {
    const asks = [1, 2, 3, 4].map((n) => delegate(plan(say(`part ${n}`)), { budget_micro_usd: 400_000 }));
    const { history, status } = await run(plan(asks.join(' & '), say('joined')));
    expect(status).toBe('completed');
    expect(of(history, 'mandate.granted').filter(({ data }) => data.depth === 1)).toHaveLength(2);
    expect(of(history, 'step.refused').map(({ data }) => data.code)).toEqual(['DelegationBudgetExceeded', 'DelegationBudgetExceeded']);
  });
});
