import { decisionsOf, type StoredEvent, type TaskDetail } from '@mandate/contracts';
import { replay } from '@mandate/domain';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { COUNTING_TASK } from '../faults/crash-trial.ts';
import { startWorld, until, type World } from '../world.ts';

/** Forks over real services: what is reused costs nothing and happens to nobody, what comes after it is live and behind the firewall. */
let world: World;
beforeAll(async () => {
  world = await startWorld();
}, 120_000);
afterAll(() => world?.stop());

interface Fork {
  readonly version: number;
  readonly options: object;
  readonly task?: string;
  readonly allowEffects?: readonly string[];
}
const MANDATE = { maxCostMicroUsd: 400_000 };

async function fork(origin: string, body: Fork, key: string = crypto.randomUUID()): Promise<Response> {
  return world.api(`/api/v1/tasks/${origin}/fork`, { method: 'POST', headers: { 'idempotency-key': key }, body: JSON.stringify(body) });
}
async function forked(origin: string, body: Fork, key?: string): Promise<string> {
  const answer = await fork(origin, body, key);
  expect(answer.status, await answer.clone().text()).toBe(202);
  return ((await answer.json()) as { data: { workflowId: string } }).data.workflowId;
}
const codeOf = async (answer: Response): Promise<readonly [number, string]> => [
  answer.status,
  ((await answer.json()) as { code: string }).code,
];
const of = <T extends StoredEvent['type']>(history: readonly StoredEvent[], type: T): Extract<StoredEvent, { type: T }>[] =>
  history.filter((event): event is Extract<StoredEvent, { type: T }> => event.type === type);
const isSame = (history: readonly StoredEvent[]): string => replay(decisionsOf(history)).kind;

/** Counted once, and the version at which the model asked to count. */
async function counted(): Promise<{
  readonly workflow: string;
  readonly task: TaskDetail;
  readonly history: readonly StoredEvent[];
  readonly asked: number;
}> {
  const workflow = await world.submit(COUNTING_TASK);
  const task = await world.ended(workflow);
  const history = await world.history(workflow);
  const asked = of(history, 'attempt.settled').filter(({ data }) => data.answer?.kind === 'llm')[1]?.version ?? 0;
  return { workflow, task, history, asked };
}

describe('a run that is forked', () => {
  it('at its end comes to the same answer, for nothing, and nobody is asked', async () => {
    const { workflow, task, history } = await counted();
    const before = { requests: world.model.bill().requests, counted: world.counted() };
    const id = await forked(workflow, { version: history.length, options: MANDATE }, 'whole');
    const again = await world.ended(id);
    expect(again).toMatchObject({ status: 'completed', answer: task.answer, costMicroUsd: 0, tokens: 0, steps: task.steps });
    expect(again.forkedFrom).toEqual({ workflow, version: history.length, hops: 1 });
    expect(again.mandate?.moneyMicroUsd).toBe(MANDATE.maxCostMicroUsd);
    expect({ requests: world.model.bill().requests, counted: world.counted() }).toEqual(before);
    const story = await world.history(id);
    expect(story[0]).toMatchObject({ type: 'task.forked', data: { changed: ['mandate'], origin: { workflow, version: history.length } } });
    expect(of(story, 'reuse.ended').map(({ data }) => data.why)).toEqual(['fork_point']);
    expect(isSame(story)).toBe('same');
    // The same request is the same fork; with another body it is refused.
    expect(await forked(workflow, { version: history.length, options: MANDATE }, 'whole')).toBe(id);
    expect(await codeOf(await fork(workflow, { version: 1, options: MANDATE }, 'whole'))).toEqual([409, 'IdempotencyConflict']);
    // What it was answered is its own now: facts of the origin's words are not among its own.
    const mine = of(story, 'mandate.granted')[0]?.data.fingerprint;
    expect(mine).not.toBe(of(history, 'mandate.granted')[0]?.data.fingerprint);
  });

  it('at its first event has no past, and names no change but those that were made', async () => {
    const { workflow } = await counted();
    const id = await forked(workflow, { version: 1, options: MANDATE });
    const story = await world.history(id);
    expect(story[0]).toMatchObject({ type: 'task.forked', data: { changed: ['mandate'], reuse: { steps: [], until: 'fork_point' } } });
    const other = await forked(workflow, { version: 1, options: { ...MANDATE, model: 'stub-model' } });
    expect((await world.history(other))[0]).toMatchObject({ data: { changed: ['model', 'mandate'] } });
  });

  it('before an effect does not repeat it, and the model is told; it pays from there on', async () => {
    const { workflow, task, asked } = await counted();
    const before = world.counted();
    const id = await forked(workflow, { version: asked, options: MANDATE });
    const ended = await world.ended(id);
    expect(world.counted()).toBe(before);
    const story = await world.history(id);
    expect(of(story, 'step.refused').map(({ data }) => data.code)).toEqual(['EffectNotAllowedInFork']);
    expect(of(story, 'attempt.reused').map(({ data }) => data.step)).toEqual(['a0_s1', 'a0_s2', 'a0_s3', 'a0_s4']);
    expect(ended.status).toBe('completed');
    expect(ended.costMicroUsd).toBeGreaterThan(0);
    expect(ended.costMicroUsd).toBeLessThan(task.costMicroUsd);
    expect(isSame(story)).toBe('same');
  });

  it('with that effect allowed and another model named does it once more', async () => {
    const { workflow, asked } = await counted();
    const before = world.counted();
    const id = await forked(workflow, {
      version: asked,
      options: { ...MANDATE, model: 'stub-model' },
      allowEffects: ['counter__increment'],
    });
    expect((await world.ended(id)).status).toBe('completed');
    expect(world.counted()).toBe(before + 1);
    const story = await world.history(id);
    expect(story[0]).toMatchObject({ data: { changed: ['model', 'mandate'], firewall: { allowed: ['counter__increment'] } } });
    expect(of(story, 'mandate.granted')[0]?.data.model.model).toBe('stub-model');
    expect(isSame(story)).toBe('same');
  });

  it('with another task reuses nothing, and a tool that is not in scope any more ends what is reused', async () => {
    const { workflow, history } = await counted();
    const other = await forked(workflow, { version: history.length, task: 'hello [[plan: say other]]', options: MANDATE });
    expect(await world.ended(other)).toMatchObject({ status: 'completed', answer: 'other' });
    expect(of(await world.history(other), 'reuse.ended').map(({ data }) => data)).toEqual([{ why: 'task_changed', reused: 0 }]);
    const before = world.counted();
    const less = await forked(workflow, { version: history.length, options: { ...MANDATE, tools: ['counter__increment'] } });
    expect((await world.ended(less)).status).toBe('completed');
    const story = await world.history(less);
    expect(of(story, 'reuse.ended')[0]?.data.why).toBe('diverged');
    expect(world.counted()).toBe(before);
    expect(isSame(story)).toBe('same');
  });

  it('of a whole tree has the same agents again, for nothing', async () => {
    const child = '[[plan: tool counter__read {}; say read]]';
    const delegate = `tool delegate ${JSON.stringify({ agent: 'analyst', task: child, tools: ['counter__read'] })}`;
    const workflow = await world.submit(`far away [[plan: ${delegate}; say told]]`, { pattern: 'direct' });
    const task = await world.ended(workflow);
    const history = await world.history(workflow);
    expect(of(history, 'mandate.granted')).toHaveLength(2);
    const id = await forked(workflow, { version: history.length, options: MANDATE });
    expect(await world.ended(id)).toMatchObject({ status: 'completed', answer: task.answer, costMicroUsd: 0 });
    const story = await world.history(id);
    expect(of(story, 'reuse.ended').map(({ data }) => data.why)).toEqual(['fork_point']);
    const [, mine] = of(story, 'mandate.granted');
    const [, theirs] = of(history, 'mandate.granted');
    expect({ ...mine?.data, limits: 0, fingerprint: '', closing: 0, errand: 0 }).toEqual({
      ...theirs?.data,
      limits: 0,
      fingerprint: '',
      closing: 0,
      errand: 0,
    });
    expect(mine?.data.fingerprint).not.toBe(theirs?.data.fingerprint);
    expect(isSame(story)).toBe('same');
  });

  it('three times in a row may not be forked again', async () => {
    const { workflow, history } = await counted();
    let last = workflow;
    for (const hops of [1, 2, 3]) {
      last = await forked(last, { version: hops === 1 ? history.length : (await world.history(last)).length, options: MANDATE });
      expect((await world.ended(last)).forkedFrom?.hops).toBe(hops);
    }
    expect(await world.ended(last)).toMatchObject({ status: 'completed', costMicroUsd: 0 });
    expect(await codeOf(await fork(last, { version: 1, options: MANDATE }))).toEqual([422, 'ForkTooDeep']);
  });

  it('is refused when there is no such run, event or word of it, or no mandate', async () => {
    const { workflow, history } = await counted();
    expect(await codeOf(await fork(`wf_11_${'a'.repeat(26)}`, { version: 1, options: MANDATE }))).toEqual([404, 'WorkflowUnknown']);
    const foreign = await world.api(`/api/v1/tasks/${workflow}/fork`, {
      method: 'POST',
      headers: { authorization: `Bearer ${world.stack.apiKey('globex')}` },
      body: JSON.stringify({ version: 1, options: MANDATE }),
    });
    expect(await codeOf(foreign)).toEqual([404, 'WorkflowUnknown']);
    expect(await codeOf(await fork(workflow, { version: history.length + 1, options: MANDATE }))).toEqual([404, 'VersionUnknown']);
    expect((await fork(workflow, { version: 1, options: {} })).status).toBe(400);
    await world.api(`/api/v1/tasks/${workflow}/erase`, { method: 'POST' });
    expect(await codeOf(await fork(workflow, { version: 1, options: MANDATE }))).toEqual([410, 'OriginErased']);
  });

  it('goes on where it stopped when its owner dies in between', async () => {
    const { workflow, task, history } = await counted();
    await world.armCrash('orchestrator:after-commit:reuse', 3);
    const id = await forked(workflow, { version: history.length, options: MANDATE });
    expect(await world.ended(id, 60_000)).toMatchObject({ status: 'completed', answer: task.answer, costMicroUsd: 0 });
    expect(world.crashHappened()).toBe(true);
    expect(isSame(await world.history(id))).toBe('same');
  });

  it('is about whom its origin is about, and is erased with it', async () => {
    const workflow = await world.submit('hello [[plan: say hello]]', { pattern: 'direct', dataSubject: 'maria' });
    await world.ended(workflow);
    const id = await forked(workflow, { version: (await world.history(workflow)).length, options: MANDATE });
    expect((await world.ended(id)).answer).toBe('hello');
    const answer = await world.api('/api/v1/data-subjects/erase', { method: 'POST', body: JSON.stringify({ dataSubject: 'maria' }) });
    const { data } = (await answer.json()) as { data: { workflows: string[] } };
    expect(new Set(data.workflows)).toEqual(new Set([workflow, id]));
    const gone = await until(10_000, async () =>
      (await world.history(id)).some(({ type }) => type === 'content.erased') ? true : undefined,
    );
    expect(gone).toBe(true);
  });

  // The last: from here on the tenant has limits.
  it('spends from the account of its tenant, and only what comes after its past', async () => {
    const { workflow, history, asked } = await counted();
    const limit = (limitMicroUsd: number): Promise<Response> =>
      world.api('/api/v1/account/budgets?tenant=acme', {
        method: 'PUT',
        headers: { authorization: `Bearer ${world.stack.secrets.operatorKey}` },
        body: JSON.stringify({ budgets: [{ scope: 'tenant', period: 'total', limitMicroUsd }], slots: null }),
      });
    const spent = async (): Promise<number> => {
      const { data } = (await (await world.api('/api/v1/account')).json()) as { data: { budgets: { spentMicroUsd: number }[] } };
      return data.budgets[0]?.spentMicroUsd ?? 0;
    };
    expect((await limit(1_000_000_000)).status).toBe(200);
    const before = await spent();
    const id = await forked(workflow, { version: asked, options: MANDATE });
    const { costMicroUsd } = await world.ended(id);
    expect(of(await world.history(id), 'allowance.answered').map(({ data }) => data.granted)).toEqual([true]);
    expect(await until(10_000, async () => ((await spent()) - before === costMicroUsd ? true : undefined))).toBe(true);
    expect((await limit((await spent()) + 100)).status).toBe(200);
    const none = await forked(workflow, { version: history.length, options: MANDATE });
    expect(await world.ended(none)).toMatchObject({ status: 'failed', code: 'QuotaExceeded', costMicroUsd: 0 });
  });
});
