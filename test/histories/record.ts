/**
 * Records runs of a real stack into test/histories/runs: `node test/histories/record.ts`. A name that is there already
 * is left alone: a recorded run is replayed for ever.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { COUNTING_TASK } from '../faults/crash-trial.ts';
import { startWorld, until, type World } from '../world.ts';

type Scenario = (world: World) => Promise<string>;

const crashed =
  (point: string, n: number): Scenario =>
  async (world) => {
    await world.armCrash(point, n);
    return ended(world, await world.submit(COUNTING_TASK));
  };
const plain =
  (task: string, options?: object): Scenario =>
  async (world) =>
    ended(world, await world.submit(task, options));

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  'completed-with-tools': plain(COUNTING_TASK),
  'completed-without-analysis': plain('hello [[plan: say hello]]', { pattern: 'direct' }),
  'completed-after-refused-tool': plain('try [[plan: tool nobody__nothing {} & tool counter__read {}; say learned]]'),
  'completed-after-lost-model-call': crashed('after-call:llm', 1),
  'completed-after-lost-reading': crashed('after-claim:tool', 1),
  'completed-after-unknown-counting': crashed('after-call:tool', 2),
  'completed-after-takeover': crashed('orchestrator:after-commit:start', 1),
  'completed-after-wiped-bus': async (world) => {
    const workflow = await world.submit('slow [[plan: tool counter__read {}; say survived]] [[delay:1500]]');
    await world.model.arrived(world.model.bill().requests + 1);
    await world.stack.nats.wipe();
    return ended(world, workflow);
  },
  'completed-after-rate-limit': async (world) => {
    world.model.script({ status: 429, body: '{}' }, { status: 429, body: '{}' });
    return ended(world, await world.submit('hello [[plan: say hello]]'));
  },
  'failed-for-money': plain('hello [[plan: say hello]]', { pattern: 'direct', maxCostMicroUsd: 10 }),
  'failed-for-bad-request': async (world) => {
    world.model.script({ status: 400, body: '{}' });
    return ended(world, await world.submit('hello [[plan: say hello]]'));
  },
  'failed-for-deadline': plain('wait [[plan: tool counter__slow {"ms":20000}; say late]]', { deadlineMs: 1_500 }),
  'cancelled-in-tool': async (world) => {
    const workflow = await world.submit('wait [[plan: tool counter__slow {"ms":60000}; say never]]');
    await until(10_000, async () =>
      (await world.history(workflow)).some((event) => event.type === 'attempt.reserved' && event.data.owes.kind === 'tool')
        ? true
        : undefined,
    );
    await world.api(`/api/v1/tasks/${workflow}/cancel`, { method: 'POST', body: '{"reason":"enough"}' });
    return ended(world, workflow);
  },
  'rejected-for-ceiling': async (world) => {
    const response = await world.api('/api/v1/tasks', {
      method: 'POST',
      body: JSON.stringify({ task: 'x', options: { maxCostMicroUsd: 1e12 } }),
    });
    const { workflowId } = (await response.json()) as { workflowId: string };
    return workflowId;
  },
};

async function ended(world: World, workflow: string): Promise<string> {
  await world.ended(workflow, 60_000);
  return workflow;
}

const folder = fileURLToPath(new URL('./runs/', import.meta.url));
const missing = Object.entries(SCENARIOS).filter(([name]) => !existsSync(`${folder}${name}.json`));
if (missing.length > 0) {
  const world = await startWorld();
  try {
    for (const [name, scenario] of missing) {
      const history = await world.history(await scenario(world));
      writeFileSync(`${folder}${name}.json`, `[\n${history.map((event) => JSON.stringify(event)).join(',\n')}\n]\n`);
      process.stdout.write(`${name}: ${history.length} events\n`);
    }
  } finally {
    await world.stop();
  }
}
