import type { AgentDetail, AgentTree, Contribution, DecisionView, DelegationStats, TaskDetail } from '@mandate/contracts';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startWorld, until, type World } from '../world.ts';

/** Who worked on a task, as its users see it: the tree, the contributions, the decision; more for a task, less of one agent. */
let world: World;
beforeAll(async () => {
  world = await startWorld();
}, 120_000);
afterAll(() => world?.stop());

const call = (tool: string, args: object): string => `tool ${tool} ${JSON.stringify(args)}`;
const plan = (...turns: readonly string[]): string => `[[plan: ${turns.join('; ')}]]`;
const delegate = (task: string, agent = 'researcher'): string => call('delegate', { agent, task });

type Node = AgentTree['agents'][number] & { readonly agents: readonly Node[] };
const get = async <T>(path: string): Promise<T> => ((await (await world.api(`/api/v1/${path}`)).json()) as { data: T }).data;
const post = (path: string, body: object, headers: Record<string, string> = {}): Promise<Response> =>
  world.api(`/api/v1/${path}`, { method: 'POST', body: JSON.stringify(body), headers });
const rootOf = async (workflow: string): Promise<Node | null> => (await get<{ root: Node | null }>(`tasks/${workflow}/agents`)).root;

it('shows the tree with its money, which is what the model billed', async () => {
  const before = world.model.bill().costMicroUsd;
  const grandchild = plan('say the archive has it');
  const child = plan(delegate(grandchild, 'analyst'), 'say found');
  const workflow = await world.submit(plan([delegate(child), delegate(plan('say counted'), 'analyst')].join(' & '), 'say all of it'), {
    pattern: 'direct',
  });
  const task = await world.ended(workflow);
  const billed = world.model.bill().costMicroUsd - before;
  const root = await rootOf(workflow);
  expect(task).toMatchObject({ status: 'completed', agents: 4, costMicroUsd: billed });
  expect(root).toMatchObject({
    agent: 'a0',
    spent: { moneyMicroUsd: billed },
    agents: [{ agent: 'a0-1', agents: [{ agent: 'a0-1-1' }] }, { agent: 'a0-2' }],
  });
  const all = (node: Node): Node[] => [node, ...node.agents.flatMap(all)];
  const own = root === null ? [] : all(root).map(({ ownSpent }) => ownSpent.moneyMicroUsd);
  expect(own.every((figure) => figure > 0)).toBe(true);
  expect(own.reduce((sum, figure) => sum + figure, 0)).toBe(billed);
  const text = await (await world.api(`/api/v1/tasks/${workflow}/agents`, { headers: { accept: 'text/plain' } })).text();
  expect(text.split('\n').map((line) => /^[|` -]*(a0[-\d]*) /.exec(line)?.[1])).toEqual([
    undefined,
    'a0',
    'a0-1',
    'a0-1-1',
    'a0-2',
    undefined,
  ]);
  const diagram = await (await world.api(`/api/v1/tasks/${workflow}/agents?format=mermaid`)).text();
  expect(diagram).toContain('a0_1 --> a0_1_1');

  const one = await get<AgentDetail>(`tasks/${workflow}/agents/a0-1-1`);
  expect(one).toMatchObject({ task: grandchild, answerText: 'the archive has it', depth: 2, parent: 'a0-1' });
  const contributions = await get<Contribution[]>(`tasks/${workflow}/contributions`);
  expect(contributions.map(({ agent, text: said }) => [agent, said])).toEqual([
    ['a0', 'all of it'],
    ['a0-1', 'found'],
    ['a0-1-1', 'the archive has it'],
    ['a0-2', 'counted'],
  ]);
  const stats = await get<DelegationStats>('delegation-stats');
  expect(stats.tasksByDepth).toContainEqual({ depth: 2, tasks: 1 });
});

it('says how a task is worked on and why not otherwise', async () => {
  const workflow = await world.submit('How many files are there? [[plan: say none]]');
  await world.ended(workflow);
  const { decision, analysis } = await get<DecisionView>(`tasks/${workflow}/decision`);
  expect(decision?.chosenBy).toBe('analysis');
  expect(decision?.weighed).toHaveLength(7);
  expect(decision?.weighed.filter(({ verdict }) => verdict === 'chosen').map(({ pattern }) => pattern)).toEqual([decision?.pattern]);
  expect(decision?.weighed.every(({ why }) => why !== '')).toBe(true);
  expect(analysis?.facts.fit?.scores).toHaveLength(7);
});

it('goes on after a top-up, before the eyes of whoever stayed', async () => {
  const workflow = await world.submit(plan(call('counter__read', {}), 'say done'), { pattern: 'direct', maxModelCalls: 1 });
  const watching = world
    .api(`/api/v1/tasks/${workflow}/events?stay=true`, { headers: { accept: 'text/event-stream' } })
    .then((answer) => answer.text());
  expect(await world.ended(workflow)).toMatchObject({ status: 'failed', code: 'ModelCallBudgetExceeded', resumable: true });
  const more = () => post(`tasks/${workflow}/top-up`, { modelCalls: 4 }, { 'idempotency-key': `more-${workflow}` });
  const given = await more();
  expect(given.status).toBe(202);
  const task = await until(15_000, async () => {
    const detail = await get<TaskDetail>(`tasks/${workflow}`);
    return detail.status === 'completed' ? detail : undefined;
  });
  expect(task).toMatchObject({ answer: 'done', modelCalls: 2, mandate: { modelCalls: 5 }, code: null });
  const types = [...(await watching).matchAll(/^event: (.+)$/gm)].map(([, type]) => type);
  expect(types.filter((type) => /^task\.|topped_up/.test(type ?? ''))).toEqual([
    'task.submitted',
    'task.failed',
    'mandate.topped_up',
    'task.completed',
  ]);
  expect(types).toHaveLength((await world.history(workflow)).length);
  expect(await (await more()).json()).toMatchObject({ data: { duplicate: true } });
  const late = await post(`tasks/${workflow}/top-up`, { modelCalls: 4 });
  expect([late.status, ((await late.json()) as { code: string }).code]).toEqual([409, 'NotResumable']);
});

it('ends one agent, and whoever sent it goes on', async () => {
  const slow = plan(call('counter__slow', { ms: 20_000 }), 'say late');
  const workflow = await world.submit(
    plan([delegate(slow, 'generalist'), delegate(plan('say quick'), 'analyst')].join(' & '), 'say without it'),
    { pattern: 'direct' },
  );
  const atWork = await until(15_000, async () => {
    const agent = (await rootOf(workflow))?.agents[0];
    return agent !== undefined && agent.spent.modelCalls > 0 ? agent : undefined;
  });
  expect(atWork?.state).toBe('running');
  expect((await post(`tasks/${workflow}/cancel`, { agent: 'a0-1' })).status).toBe(202);
  expect(await world.ended(workflow)).toMatchObject({ status: 'completed', answer: 'without it' });
  const root = await rootOf(workflow);
  expect(root?.agents.map(({ agent, state, code }) => [agent, state, code])).toEqual([
    ['a0-1', 'cancelled', 'Cancelled'],
    ['a0-2', 'answered', null],
  ]);
  expect((await post(`tasks/${workflow}/cancel`, { agent: 'a0-9' })).status).toBe(409);
});
