import { execFile } from 'node:child_process';
import { join } from 'node:path';
import type { StoredEvent } from '@mandate/contracts';
import { ABSENT, evolve, stateOf, type WorkflowState } from '@mandate/domain';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { COUNTING_TASK, DELEGATED_TASK } from '../faults/crash-trial.ts';
import { startWorld, type World } from '../world.ts';

/** An engineer and an auditor look at what a real stack has done: any moment of it, and that today's code would do it again. */
let world: World;
let workflows: readonly string[];

beforeAll(async () => {
  world = await startWorld();
  workflows = await Promise.all([COUNTING_TASK, DELEGATED_TASK, 'hello [[plan: say hello]]'].map((task) => world.submit(task)));
  await Promise.all(workflows.map((workflow) => world.ended(workflow)));
}, 90_000);
afterAll(() => world?.stop());

const get = async (path: string): Promise<{ readonly status: number; readonly data: never }> => {
  const answer = await world.api(path);
  return { status: answer.status, ...((await answer.json()) as { data: never }) };
};
const folded = (events: readonly StoredEvent[]): WorkflowState =>
  stateOf(events.reduce((state, event) => evolve(state, event, event.at), ABSENT));

interface Ended {
  readonly code: number;
  readonly out: string;
}

/** On the log of the stack that runs. */
function audit(...args: readonly string[]): Promise<Ended> {
  const env = { PATH: process.env['PATH'], DATABASE_URL: world.stack.postgres.url('mandate') };
  const main = join(import.meta.dirname, '../../packages/audit-cli/src/main.ts');
  return new Promise((done) => {
    execFile(process.execPath, [main, ...args], { env }, (error, out, err) =>
      done({ code: error === null ? 0 : Number(error.code), out: out + err }),
    );
  });
}

it('shows the state at every version, with what was left of each mandate then', async () => {
  const [, delegated = ''] = workflows;
  const events = await world.history(delegated);
  for (const { version } of events) {
    const { data } = await get(`/api/v1/tasks/${delegated}/state?version=${version}`);
    expect(data).toEqual({ workflowId: delegated, newest: events.length, state: folded(events.slice(0, version)) });
  }
  const { data } = (await get(`/api/v1/tasks/${delegated}/state`)) as { data: { state: WorkflowState } };
  expect(data.state).toMatchObject({ phase: 'completed', agents: { a0: { state: 'answered' }, 'a0-1': { depth: 1 } } });
});

it('shows what changed between two instants', async () => {
  const [counting = ''] = workflows;
  const events = await world.history(counting);
  const at = (index: number) => new Date(events.at(index)?.at ?? 0).toISOString();
  const { data } = (await get(`/api/v1/tasks/${counting}/state-diff?from=1&to=${at(-1)}`)) as { data: { to: number; changes: unknown[] } };
  expect(data.to).toBe(events.length);
  expect(data.changes).toContainEqual({ path: '/phase', from: 'running', to: 'completed' });
  expect((await get(`/api/v1/tasks/${counting}/state?version=${events.length + 1}`)).status).toBe(404);
});

it('is decided again to the same, while the stack runs, without a trace in the log', async () => {
  const stand = () => world.sql('select sum(next_pos)::int as events from es.partition');
  const before = await stand();
  expect(await audit('replay', '--all')).toMatchObject({ code: 0, out: expect.stringContaining('OK: all of them identical.') });
  expect(await audit('replay', workflows[1] ?? '')).toMatchObject({ code: 0, out: expect.stringContaining('identical') });
  const shadow = JSON.parse((await audit('shadow', '--last', '3', '--json')).out) as object;
  expect(shadow).toMatchObject({ streams: 3, identical: 3, undeclared: [] });
  expect(await stand()).toEqual(before);
});
