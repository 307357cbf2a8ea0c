import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import pg from 'pg';
import { startWorld, until, type World } from '../world.ts';

/** The servers below the services die under load. Oracles: the stub model's own bill and the counter tool's own file. */
let world: World;
beforeAll(async () => {
  world = await startWorld();
}, 60_000);
afterAll(() => world?.stop());

const TASK = 'count once [[plan: tool counter__read {}; tool counter__increment {}; say counted]] [[delay:60]]';

/** Many tasks at work, with a good part of their steps still ahead. */
async function underWay(count: number, task = TASK): Promise<readonly string[]> {
  const workflows = await Promise.all(Array.from({ length: count }, () => world.submit(task)));
  return workflows;
}

async function allComplete(workflows: readonly string[], before: { readonly counted: number }): Promise<void> {
  const ended = await Promise.all(workflows.map((workflow) => world.ended(workflow, 60_000)));
  expect(
    ended.filter((task) => task.status !== 'completed').map(({ workflow, status, code, message }) => ({ workflow, status, code, message })),
  ).toEqual([]);
  const histories = await Promise.all(workflows.map((workflow) => world.history(workflow)));
  const settledCounting = histories.flatMap((history) =>
    history.filter((event) => event.type === 'attempt.settled' && event.data.final && event.data.step === 'a0_s5'),
  );
  const succeeded = settledCounting.filter((event) => event.type === 'attempt.settled' && event.data.outcome === 'succeeded').length;
  const unknown = settledCounting.filter((event) => event.type === 'attempt.settled' && event.data.outcome === 'unknown').length;
  // Every count that is said to have happened did, once; an unknown one did or did not; nothing was counted twice.
  const counted = world.counted() - before.counted;
  expect(succeeded + unknown).toBe(workflows.length);
  expect(counted).toBeGreaterThanOrEqual(succeeded);
  expect(counted).toBeLessThanOrEqual(succeeded + unknown);
  // Everything that was ever billed is on the record, calls whose answer came too late to matter included.
  const [row] = await world.sql<{ calls: number }>(
    "select sum((envelope->'data'->'spent'->>'modelCalls')::int)::int as calls from es.event where type = 'attempt.settled'",
  );
  expect(row?.calls).toBeGreaterThanOrEqual(world.model.bill().billedRequests);
}

const oracles = (): { readonly counted: number } => ({ counted: world.counted() });
const settledAtLeast = async (workflows: readonly string[], steps: number): Promise<void> => {
  await until(20_000, async () => {
    const [row] = await world.sql<{ n: number }>(
      "select count(*)::int as n from es.event where stream_id = any ($1) and type = 'attempt.settled'",
      [workflows],
    );
    return (row?.n ?? 0) >= steps ? true : undefined;
  });
};

describe('under load', () => {
  it('NATS killed and restarted: every task completes, nothing is doubled', async () => {
    const before = oracles();
    const workflows = await underWay(30);
    await settledAtLeast(workflows, 40);
    await world.stack.nats.kill();
    await world.stack.nats.restart();
    await allComplete(workflows, before);
  });

  it('JetStream’s storage wiped: the streams come back and the work is healed from Postgres', async () => {
    const before = oracles();
    const workflows = await underWay(30);
    await settledAtLeast(workflows, 40);
    await world.stack.nats.wipe();
    await allComplete(workflows, before);
  });

  it('every Postgres process killed: every task completes, nothing is doubled', async () => {
    const before = oracles();
    const workflows = await underWay(30);
    await settledAtLeast(workflows, 40);
    await world.stack.postgres.killAll();
    await world.stack.postgres.restart();
    await allComplete(workflows, before);
  });

  it('an orchestrator killed with 200 results delivered and not acknowledged: its successor takes each of them once', async () => {
    const before = world.model.bill().billedRequests;
    const workflows = await underWay(200, 'wait [[plan: say waited]] [[delay:1500]]');
    await until(20_000, async () => (world.model.requests.length - before >= 200 ? true : undefined));
    // Nothing can be committed while somebody holds the partitions: the answers pile up, delivered and unacknowledged.
    const blocker = new pg.Client({ connectionString: world.stack.postgres.url('mandate') });
    await blocker.connect();
    await blocker.query('begin; select 1 from es.partition for update');
    await until(20_000, async () => (world.model.bill().billedRequests - before >= 200 ? true : undefined));
    await world.stack.service('orchestrator').kill();
    await blocker.query('rollback');
    await blocker.end();
    await world.stack.service('orchestrator').restart();
    const ended = await Promise.all(workflows.map((workflow) => world.ended(workflow, 60_000)));
    expect(ended.filter((task) => task.status === 'completed')).toHaveLength(200);
    expect(world.model.bill().billedRequests - before).toBe(200);
    const [row] = await world.sql<{ n: number }>(
      "select count(*)::int as n from es.event where stream_id = any ($1) and type = 'task.completed'",
      [workflows],
    );
    expect(row?.n).toBe(200);
  });
});
