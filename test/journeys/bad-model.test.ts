import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { spentOf, startWorld, type World } from '../world.ts';

/** A model that misbehaves, seen from the whole stack: every failure ends in an answer or an honest failure, on the record. */
let world: World;
beforeAll(async () => {
  world = await startWorld({ env: { orchestrator: { MANDATE_LLM_MS: '1500' } } });
}, 60_000);
afterAll(() => world?.stop());

const settledModelCalls = async (workflow: string): Promise<readonly string[]> =>
  (await world.history(workflow)).flatMap((event) =>
    event.type === 'attempt.settled' && event.data.step === 'a0_s2' ? [event.data.failure?.code ?? event.data.outcome] : [],
  );

describe('a model that', () => {
  it.each([
    [
      'answers 429 and asks for patience',
      { status: 429, headers: { 'retry-after': '1' }, body: '{"error":{"message":"slow down"}}' },
      'rate_limit',
      'nothing',
    ],
    ['answers 500', { status: 500, body: '{"error":{"message":"oops"}}' }, 'server_error', 'nothing'],
    ['answers nonsense instead of JSON', { garbage: '<html>hello</html>' }, 'bad_answer', 'worst_case'],
    ['never answers', { never: true }, 'timeout', 'worst_case'],
  ] as const)('%s is asked again, and the task completes', async (_, reply, code, settledAt) => {
    // The router itself may repeat once what was provably not billed.
    world.model.script(reply as never, reply as never);
    const workflow = await world.submit('hello [[plan: say well]]');
    const task = await world.ended(workflow, 60_000);
    expect(task).toMatchObject({ status: 'completed', answer: 'well' });
    expect((await settledModelCalls(workflow)).slice(0, 1)).toEqual([code]);
    const first = (await world.history(workflow)).find((event) => event.type === 'attempt.settled' && event.data.step === 'a0_s2');
    expect(first?.type === 'attempt.settled' && first.data.settledAt).toBe(settledAt);
  });

  it('refuses the request for good fails the task with its reason, after one try', async () => {
    world.model.script({ status: 400, body: '{"error":{"message":"no such thing"}}' } as never);
    const workflow = await world.submit('hello [[plan: say well]]');
    expect(await world.ended(workflow)).toMatchObject({ status: 'failed', code: 'bad_request' });
    expect(await settledModelCalls(workflow)).toEqual(['bad_request']);
  });

  it('would cost more than the mandate allows is not asked at all', async () => {
    const before = world.model.bill().requests;
    const workflow = await world.submit('hello [[plan: say well]]', { pattern: 'direct', maxCostMicroUsd: 10 });
    expect(await world.ended(workflow)).toMatchObject({ status: 'failed', code: 'CostBudgetExceeded', costMicroUsd: 0 });
    expect(world.model.bill().requests).toBe(before);
  });

  it('asks for tools that it was not granted, or with arguments that do not fit, is told so and goes on', async () => {
    const workflow = await world.submit('try [[plan: tool nobody__nothing {}; tool counter__slow {"ms":"soon"}; say learned]]');
    expect(await world.ended(workflow)).toMatchObject({ status: 'completed', answer: 'learned', toolCalls: 0 });
    const history = await world.history(workflow);
    expect(history.some((event) => event.type === 'step.refused' && event.data.code === 'ToolNotAllowed')).toBe(true);
    expect(history.some((event) => event.type === 'attempt.settled' && event.data.failure?.code === 'tool_arguments_invalid')).toBe(true);
    expect(spentOf(history).toolCalls).toBe(0);
  });
});
