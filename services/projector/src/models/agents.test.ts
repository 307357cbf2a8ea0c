import type { StoredEvent } from '@mandate/contracts';
import { type Figures, isOpen, NONE, plus, rootOf, type Workflow } from '@mandate/domain';
import { describe, expect, test } from 'vitest';
import { delegatedStory, delegateTo, ExampleStory, modelSays, reading, toolSays, type Wish } from '../example-story.ts';
import { exampleWorkflow } from '../example-log.ts';
import { agentTree } from '../queries/agent-tree.ts';
import { type AgentRow, ownOf } from './agents.ts';
import { type Known, projectBatch } from './project-batch.ts';

const stream = exampleWorkflow(1);

/** One event after the other, as they come in. */
function folded(events: readonly StoredEvent[], look: (known: Known, event: StoredEvent) => void = () => undefined): Known {
  let known: Known | undefined;
  for (const [position, envelope] of events.entries()) {
    const changes = projectBatch(
      0,
      [{ position, envelope }],
      () => known,
      () => false,
    );
    expect(changes.parked).toEqual([]);
    known = changes.workflows.get(envelope.stream);
    if (known !== undefined) look(known, envelope);
  }
  if (known === undefined) throw new Error('no events');
  return known;
}

const agentOf = (known: Known, id: string): AgentRow => {
  const agent = known.agents.get(id);
  if (agent === undefined) throw new Error(`no agent ${id}`);
  return agent;
};
const treeOf = (known: Known) => agentTree([...known.agents.values()]);

describe('a delegated workflow', () => {
  const story = delegatedStory(stream);
  const known = folded(story.events);

  test('ended as it was told', () => {
    expect(story.workflow.phase).toBe('completed');
    expect(story.open()).toEqual([]);
  });

  test('costs what all of its agents spent, each call once', () => {
    expect(known.task).toMatchObject({
      status: 'completed',
      pattern: 'direct',
      agents: 4,
      cost_micro_usd: 785,
      tokens: 300,
      model_calls: 6,
      tool_calls: 1,
      reserved_micro_usd: 0,
      held_mandates: 0,
      closed: true,
    });
  });

  test('adds up the tree, grandchildren included', () => {
    expect(treeOf(known).map(({ agent, own_micro_usd, spent }) => [agent, own_micro_usd, spent.moneyMicroUsd])).toEqual([
      ['a0', 110, 785],
      ['a0-1', 225, 675],
      ['a0-1-1', 450, 450],
      ['a0-2', 0, 0],
    ]);
  });

  test('says of each agent how it stands, and what it was refused', () => {
    expect(agentOf(known, 'a0')).toMatchObject({
      parent: null,
      depth: 0,
      role: 'generalist@1',
      chosen_by: 'analysis',
      state: 'answered',
      children: 2,
      refused_children: { RoleUnknown: 1 },
      answer_at: story.workflow.answerAt,
      code: null,
    });
    expect(agentOf(known, 'a0-1')).toMatchObject({ parent: 'a0', depth: 1, role: 'researcher@1', chosen_by: 'parent', children: 1 });
    expect(agentOf(known, 'a0-1-1')).toMatchObject({
      parent: 'a0-1',
      depth: 2,
      max_children: 0,
      refused_children: { DelegationDepthExceeded: 1 },
    });
    expect(agentOf(known, 'a0-2')).toMatchObject({ state: 'failed', code: 'content_filter', steps: 1, own_model_calls: 0 });
    for (const agent of known.agents.values()) expect(agent.ended_version).toBeGreaterThan(agent.granted_version);
  });

  test('shows while they run what agents have reserved', () => {
    const upTo = story.events.findIndex((event) => event.type === 'attempt.reserved' && event.data.agent === 'a0-2') + 1;
    const now = folded(story.events.slice(0, upTo));
    const reserved = [...now.agents.values()].map((agent) => agent.own_reserved_micro_usd);
    expect(reserved.every((figure) => figure >= 0)).toBe(true);
    expect(agentOf(now, 'a0-2').own_reserved_micro_usd).toBeGreaterThan(0);
    expect(now.task.reserved_micro_usd).toBe(reserved.reduce((sum, figure) => sum + figure, 0));
    expect(treeOf(now)[0]?.reserved_micro_usd).toBe(now.task.reserved_micro_usd);
  });

  test('makes the same rows in batches of any size', () => {
    for (const size of [2, 5, story.events.length]) {
      const held = new Map<string, Known>();
      const rows = new Map<string, AgentRow>();
      for (let from = 0; from < story.events.length; from += size) {
        const batch = story.events.slice(from, from + size).map((envelope, index) => ({ position: from + index, envelope }));
        const changes = projectBatch(
          0,
          batch,
          (workflow) => held.get(workflow),
          () => false,
        );
        for (const [workflow, each] of changes.workflows) held.set(workflow, each);
        for (const agent of changes.agents) rows.set(agent.agent, agent);
      }
      expect(held.get(stream)).toEqual(known);
      expect(rows).toEqual(known.agents);
    }
  });
});

test('only agents that changed are written', () => {
  const { events } = delegatedStory(stream);
  const last = events.findLastIndex((event) => event.type === 'attempt.reserved');
  const known = folded(events.slice(0, last));
  const { agents } = projectBatch(
    0,
    [{ position: 0, envelope: events[last] as StoredEvent }],
    () => known,
    () => false,
  );
  expect(agents.map(({ agent }) => agent)).toEqual(['a0']);
});

describe('a task that ran out and is topped up', () => {
  const short = (): ExampleStory =>
    new ExampleStory(stream)
      .submit({ pattern: 'direct', maxModelCalls: 1 })
      .answer('a0', modelSays(100, 'files__read'))
      .answer('a0', toolSays);

  test('failed, can be resumed, and kept what was said last', () => {
    const story = short();
    const known = folded(story.events);
    expect(known.task).toMatchObject({
      status: 'failed',
      code: 'ModelCallBudgetExceeded',
      resumable: true,
      closed: true,
      held_mandates: 0,
    });
    expect(agentOf(known, 'a0')).toMatchObject({ state: 'failed', code: 'ModelCallBudgetExceeded', answer_at: known.task.answer_at });
    expect(known.task.answer_at).not.toBeNull();
  });

  test('runs again under more, and nothing of the failure is left', () => {
    const story = short().topUp({ modelCalls: 5, moneyMicroUsd: 1_000 });
    const known = folded(story.events);
    const none = { code: null, message: null, ended_at: null, answer_at: null };
    expect(known.task).toMatchObject({ ...none, status: 'running', closed: false, resumable: false, held_mandates: 1, model_calls: 1 });
    expect(known.task.mandate).toMatchObject({ modelCalls: 6, moneyMicroUsd: 1_001_000 });
    expect(known.task.reserved_micro_usd).toBeGreaterThan(0);
    expect(agentOf(known, 'a0')).toMatchObject({ ...none, state: 'running', granted_model_calls: 6, ended_version: null, warned: [] });
  });

  test('ends again, and is closed again', () => {
    const known = folded(short().topUp({ modelCalls: 5 }).answer('a0', modelSays(40)).events);
    expect(known.task).toMatchObject({ status: 'completed', closed: true, held_mandates: 0, cost_micro_usd: 140, code: null });
    expect(agentOf(known, 'a0')).toMatchObject({ state: 'answered', own_micro_usd: 140 });
  });

  test('a top-up while it runs holds no second mandate', () => {
    const story = new ExampleStory(stream).submit({ pattern: 'direct' }).topUp({ tokens: 500 });
    expect(folded(story.events).task).toMatchObject({ status: 'running', held_mandates: 1, mandate: { tokens: 1_000_500 } });
    expect(folded(story.answer('a0', modelSays(1)).events).task).toMatchObject({ status: 'completed', closed: true, held_mandates: 0 });
  });

  test('money that the account did not lease is not granted', () => {
    const story = new ExampleStory(stream)
      .submit({ pattern: 'direct', maxCostMicroUsd: 500_000 }, { lease: true })
      .tell({ kind: 'allowance', number: 1, granted: true })
      .topUp({ moneyMicroUsd: 70_000 });
    expect(folded(story.events).task.mandate?.moneyMicroUsd).toBe(570_000);
    const known = folded(story.tell({ kind: 'allowance', number: 2, granted: false, code: 'QuotaExceeded' }).events);
    expect(known.task.mandate?.moneyMicroUsd).toBe(500_000);
    expect(agentOf(known, 'a0').granted_micro_usd).toBe(500_000);
    expect(rootOf(story.workflow)?.mandate.limits.moneyMicroUsd).toBe(500_000);
  });
});

test('cancelling one agent ends it and whoever works for it, and not the task', () => {
  const story = new ExampleStory(stream)
    .submit({ pattern: 'direct' })
    .answer('a0', modelSays(10, delegateTo('researcher', 'a'), delegateTo('analyst', 'b')))
    .answer('a0-1', modelSays(10, delegateTo('researcher', 'c')))
    .cancel('a0-1');
  const known = folded(story.events);
  expect(known.task).toMatchObject({ status: 'running', code: null });
  const states = (at: Known) => Object.fromEntries([...at.agents.values()].map(({ agent, state }) => [agent, state]));
  expect(states(known)).toEqual({ a0: 'running', 'a0-1': 'ending', 'a0-1-1': 'ending', 'a0-2': 'running' });
  story.end('a0-1-1', { outcome: 'cancelled', failure: { code: 'cancelled', retryable: false, billed: 'no' } });
  const after = folded(story.events);
  expect(states(after)).toEqual({ a0: 'running', 'a0-1': 'cancelled', 'a0-1-1': 'cancelled', 'a0-2': 'running' });
  expect(agentOf(after, 'a0-1')).toMatchObject({ code: 'Cancelled' });
});

test('cancelling the task ends every agent', () => {
  const story = new ExampleStory(stream)
    .submit({ pattern: 'direct' })
    .answer('a0', modelSays(10, delegateTo('researcher', 'a')))
    .cancel();
  expect([...folded(story.events).agents.values()].map(({ state }) => state)).toEqual(['ending', 'ending']);
  story.end('a0-1', { outcome: 'cancelled', failure: { code: 'cancelled', retryable: false, billed: 'no' } });
  const known = folded(story.events);
  expect(known.task).toMatchObject({ status: 'cancelled', closed: true });
  expect([...known.agents.values()].map(({ state }) => state)).toEqual(['cancelled', 'cancelled']);
});

test('a role that took over and a pattern that replaced a failed one are on the row', () => {
  const swarm = new ExampleStory(stream)
    .submit({ pattern: 'swarm' })
    .answer('a0', modelSays(10, { kind: 'transfer', to: { role: 'analyst@1', tools: [], baseBytes: 100, tier: 'medium' } }));
  expect(agentOf(folded(swarm.events), 'a0')).toMatchObject({ role: 'generalist@1', handed_over: ['analyst@1'], pattern: 'swarm' });
  const fallen = new ExampleStory(stream)
    .submit()
    .answer('a0', reading)
    .end('a0', { outcome: 'failed', failure: { code: 'bad_request', retryable: false, billed: 'no' } });
  const known = folded(fallen.events);
  expect(agentOf(known, 'a0')).toMatchObject({ tried: ['direct', 'evaluator-optimizer'], fallbacks: 1, chosen_by: 'fallback' });
  expect(known.task.pattern).toBe('evaluator-optimizer');
});

/** What the domain's own ledger says that the whole tree has spent: children's grants are reserved in their parents. */
function ledgerOf(workflow: Workflow): { readonly spent: Figures; readonly reservedMicroUsd: number } {
  const ended = new Set([...workflow.agents.values()].flatMap(({ id, end, parent }) => (end !== undefined && parent !== null ? [id] : [])));
  const spent = [...workflow.agents.values()]
    .filter(({ id }) => !ended.has(id))
    .reduce((sum, { mandate }) => plus(sum, mandate.spent), NONE);
  const reserved = [...workflow.attempts.values()].reduce((sum, { reservation }) => sum + reservation.moneyMicroUsd, 0);
  return { spent, reservedMicroUsd: reserved };
}

test('over random trees, the rows say after every decision what the ledger says', () => {
  let delegated = 0;
  let resumed = 0;
  for (let seed = 1; seed <= 150; seed++) {
    const story = randomStory(seed, (at) => {
      const known = folded(at.events);
      const { spent, reservedMicroUsd } = ledgerOf(at.workflow);
      const { task } = known;
      expect([task.cost_micro_usd, task.tokens, task.model_calls, task.tool_calls, task.reserved_micro_usd]).toEqual([
        spent.moneyMicroUsd,
        spent.tokens,
        spent.modelCalls,
        spent.toolCalls,
        reservedMicroUsd,
      ]);
      expect([task.status, task.pattern]).toEqual([at.workflow.phase, rootOf(at.workflow)?.decision?.pattern ?? null]);
      expect(task.closed).toBe(!isOpen(at.workflow));
      expect(task.held_mandates).toBe(
        isOpen(at.workflow) ? [...at.workflow.agents.values()].filter(({ end }) => end === undefined).length : 0,
      );
      const [root] = treeOf(known);
      expect(root?.spent).toEqual(spent);
      for (const { id, children, mandate, decision } of at.workflow.agents.values())
        expect(agentOf(known, id)).toMatchObject({
          children,
          pattern: decision?.pattern ?? null,
          granted_micro_usd: mandate.limits.moneyMicroUsd,
          own_reserved_micro_usd: at.open(id).reduce((sum, { reservation }) => sum + reservation.moneyMicroUsd, 0),
        });
      const ended = [...at.workflow.agents.values()].filter(({ end, parent }) => end !== undefined && parent !== null);
      for (const { id, end, mandate } of ended)
        expect(treeOf(known).find(({ agent }) => agent === id)).toMatchObject({ state: end?.kind, spent: mandate.spent });
      expect(ownOf(agentOf(known, 'a0')).modelCalls).toBeLessThanOrEqual(task.model_calls);
    });
    if (story.workflow.agents.size > 1) delegated++;
    if (story.workflow.topUps.size > 0) resumed++;
  }
  expect(delegated).toBeGreaterThan(50);
  expect(resumed).toBeGreaterThan(10);
});

/** The same seed tells the same story. */
function randomStory(seed: number, look: (story: ExampleStory) => void): ExampleStory {
  let state = seed;
  // Park and Miller's generator: no more is asked of it than to be the same every time.
  const below = (n: number): number => (state = (state * 48_271) % 2_147_483_647) % n;
  const one = <T>(...of: readonly T[]): T => of[below(of.length)] as T;
  const story = new ExampleStory(stream).submit(
    one({}, { pattern: 'direct' }, { pattern: 'parallel' }, { pattern: 'direct', maxModelCalls: 3 + below(4) }, { pattern: 'sequential' }),
  );
  look(story);
  for (let turn = 0; turn < 40; turn++) {
    const attempt = one(...story.open());
    const before = story.events.length;
    if (below(15) === 0) story.topUp({ modelCalls: 4, moneyMicroUsd: 5_000 }, `more-${turn}`);
    else if (below(40) === 0) story.cancel();
    else if (attempt === undefined) story.topUp({ modelCalls: 4 }, `more-${turn}`);
    else if (below(12) === 0) story.cancel(attempt.agent);
    else if (below(10) === 0)
      story.end(attempt.agent, { outcome: 'failed', failure: { code: 'timeout', retryable: below(2) === 0, billed: one('no', 'maybe') } });
    else if (attempt.owes.kind === 'analyze') story.answer(attempt.agent, reading);
    else if (attempt.owes.kind === 'tool') story.tell({ kind: 'result', attempt: attempt.id, outcome: 'succeeded', answer: toolSays });
    else {
      const wishes = Array.from({ length: below(3) }, () =>
        one<Wish>('files__read', delegateTo('researcher', `${turn}`), delegateTo('analyst', 'same')),
      );
      story.tell({ kind: 'result', attempt: attempt.id, outcome: 'succeeded', answer: modelSays(below(90), ...wishes) });
    }
    if (story.events.length > before) look(story);
    if (!isOpen(story.workflow) && story.workflow.phase !== 'failed') break;
  }
  return story;
}
