/**
 * Records runs of a real stack into test/histories/runs: `node test/histories/record.ts`. A name that is there already
 * is left alone: a recorded run is replayed for ever.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { StubReply } from '@mandate/test-kit';
import { COUNTING_TASK, DELEGATED_TASK } from '../faults/crash-trial.ts';
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

/** The only one of our own tools that is offered says what the model is asked for. */
const scripted =
  (options: object, play: (part: string, call: number) => StubReply): Scenario =>
  async (world) => {
    const calls = new Map<string, number>();
    world.model.script((request) => {
      const part = request.tools.length === 1 ? (request.tools[0] ?? '') : request.tools.length === 0 ? 'none' : 'turn';
      calls.set(part, (calls.get(part) ?? 0) + 1);
      return play(part, calls.get(part) ?? 0);
    });
    return ended(world, await world.submit('Write about the sea', options));
  };
const use = (tool: string, args: object): StubReply => ({ toolCalls: [{ tool, args }] });
const roles = ['researcher', 'analyst'];

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
  'one-agent-cancelled': async (world) => {
    const child = { agent: 'automator', tools: ['counter__slow'], task: '[[plan: tool counter__slow {"ms":60000}; say never]]' };
    const task = `send [[plan: tool delegate ${JSON.stringify(child)}; say without]]`;
    const workflow = await world.submit(task, { pattern: 'direct' });
    await until(10_000, async () =>
      (await world.history(workflow)).some((event) => event.type === 'attempt.reserved' && event.data.owes.kind === 'tool')
        ? true
        : undefined,
    );
    await world.api(`/api/v1/tasks/${workflow}/cancel`, { method: 'POST', body: '{"agent":"a0-1"}' });
    return ended(world, workflow);
  },
  'delegated-to-depth-two': plain(DELEGATED_TASK),
  'delegated-after-lost-call-of-a-child': async (world) => {
    await world.armCrash('after-call:llm', 2);
    return ended(world, await world.submit(DELEGATED_TASK));
  },
  'delegated-and-refused': plain(
    `too much [[plan: tool delegate {"agent":"analyst","task":"hello","budget_micro_usd":5000000} & tool delegate {"agent":"nobody","task":"hello"} & tool delegate {"task":""} & tool delegate {"agent":"analyst","task":"hello"}; say alone]]`,
    { pattern: 'direct' },
  ),
  'consulted-in-its-text': plain('ask [[plan: say @Analyst: how deep?; say deep]]', { pattern: 'direct' }),
  sequential: scripted({ pattern: 'sequential', tuning: { roles } }, () => ({ text: 'a stage' })),
  'parallel-with-a-quorum': scripted(
    { pattern: 'parallel', tuning: { roles: [...roles, 'creator'], policy: 'quorum', quorum: 2 } },
    (part, call) => (part === 'turn' && call === 3 ? { delayMs: 1_000, reply: { text: 'late' } } : { text: 'a section' }),
  ),
  'parallel-with-votes': scripted({ pattern: 'parallel', tuning: { mode: 'votes' } }, (_, call) => ({
    text: call === 2 ? 'green' : 'Blue.',
  })),
  routed: scripted({ pattern: 'router', tuning: { roles } }, (part) =>
    part === 'choose' ? use('choose', { agent: 'analyst' }) : { text: 'routed' },
  ),
  'orchestrated-after-a-bad-plan': scripted({ pattern: 'orchestrator-workers' }, (part, call) => {
    const steps = [
      { id: 'a', agent: 'researcher', task: 'one' },
      { id: 'b', agent: 'analyst', task: 'two', after: [call === 1 ? 'c' : 'a'] },
    ];
    return part === 'plan' ? use('plan', { steps }) : { text: 'worked' };
  }),
  'handed-over-to-and-fro': scripted({ pattern: 'swarm', tuning: { roles } }, (_, call) =>
    call > 5 ? { text: 'enough' } : use('transfer_to', { agent: roles[call % 2] }),
  ),
  'evaluated-and-improved': scripted({ pattern: 'evaluator-optimizer', tuning: { roles: ['creator', 'reviewer'] } }, (part, call) =>
    part === 'rate' ? use('rate', { rating: call === 1 ? 'fair' : 'good', feedback: 'more' }) : { text: 'a draft' },
  ),
  'topped-up-after-landing': async (world) => {
    world.model.script((request) => (request.tools.length === 0 ? { text: 'so far' } : use('counter__read', {})));
    const workflow = await ended(world, await world.submit('read on', { pattern: 'direct', maxModelCalls: 6 }));
    world.model.script(() => ({ text: 'whole' }));
    await world.api(`/api/v1/tasks/${workflow}/top-up`, { method: 'POST', body: '{"modelCalls":2}' });
    await until(10_000, async () => ((await world.history(workflow)).some(({ type }) => type === 'task.completed') ? true : undefined));
    return workflow;
  },
  'forked-and-reused': async (world) => {
    const workflow = await ended(world, await world.submit(DELEGATED_TASK));
    return forked(world, workflow, { version: (await world.history(workflow)).length, options: { maxCostMicroUsd: 400_000 } });
  },
  'forked-before-its-effect': async (world) => {
    const workflow = await ended(world, await world.submit(COUNTING_TASK));
    const asked = (await world.history(workflow)).findLast(({ type, data }) => type === 'attempt.reserved' && data.owes.kind === 'tool');
    return forked(world, workflow, { version: (asked?.version ?? 2) - 1, options: { maxCostMicroUsd: 400_000 } });
  },
  'forked-with-less-tools': async (world) => {
    const workflow = await ended(world, await world.submit(COUNTING_TASK));
    const options = { maxCostMicroUsd: 400_000, tools: ['counter__increment'] };
    return forked(world, workflow, { version: (await world.history(workflow)).length, options, allowEffects: ['counter__increment'] });
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

async function forked(world: World, origin: string, body: object): Promise<string> {
  const response = await world.api(`/api/v1/tasks/${origin}/fork`, { method: 'POST', body: JSON.stringify(body) });
  return ended(world, ((await response.json()) as { data: { workflowId: string } }).data.workflowId);
}

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
