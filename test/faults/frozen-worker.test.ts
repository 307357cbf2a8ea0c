import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startWorld, until, type World } from '../world.ts';

/** A worker that neither dies nor answers: stopped by SIGSTOP with commands in its hands, and woken up later. */
let world: World;
beforeAll(async () => {
  world = await startWorld({ instances: { 'llm-router': 2 } });
}, 60_000);
afterAll(() => world?.stop());

describe('a frozen worker', () => {
  it('loses its attempts to its fellow; what it says when it wakes up is recorded and changes nothing', async () => {
    const workflows = await Promise.all(Array.from({ length: 20 }, () => world.submit('wait [[plan: say waited]] [[delay:1500]]')));
    await world.model.arrived(20);
    const frozen = world.stack.service('llm-router', 1).pid();
    process.kill(frozen, 'SIGSTOP');
    const ended = await Promise.all(workflows.map((workflow) => world.ended(workflow, 60_000))).finally(() =>
      process.kill(frozen, 'SIGCONT'),
    );
    expect(ended.map((task) => task.status)).toEqual(workflows.map(() => 'completed'));
    const count = async (where: string): Promise<number> =>
      (await world.sql<{ n: number }>(`select count(*)::int as n from es.event where ${where}`))[0]?.n ?? 0;
    const lost = await count(`type = 'attempt.settled' and envelope->'data'->>'outcome' = 'lost'`);
    expect(lost).toBeGreaterThan(0);
    // Each lost attempt was billed by the model, and each is answered late, once.
    const late = await until(20_000, async () => ((await count(`type = 'attempt.answered_late'`)) === lost ? lost : undefined));
    expect(late).toBe(lost);
    expect(await count(`type = 'task.completed'`)).toBe(20);
    expect(world.model.bill().billedRequests).toBe(20 + lost);
  });
});

describe('without Postgres', () => {
  it('services live and are not ready; with it again they are ready without a restart', async () => {
    const names = ['orchestrator', 'projector'] as const;
    const pids = names.map((name) => world.stack.service(name).pid());
    const statusOf = async (name: (typeof names)[number], path: string): Promise<number> =>
      (await fetch(`${world.stack.service(name).url()}${path}`)).status;
    const all = (path: string, status: number): Promise<true | undefined> =>
      until(10_000, async () =>
        (await Promise.all(names.map((name) => statusOf(name, path)))).every((found) => found === status) ? true : undefined,
      );
    await world.stack.postgres.killAll();
    expect(await all('/readyz', 503)).toBe(true);
    expect(await all('/livez', 200)).toBe(true);
    await world.stack.postgres.restart();
    expect(await all('/readyz', 200)).toBe(true);
    expect(names.map((name) => world.stack.service(name).pid())).toEqual(pids);
  });
});
