import type { QueryAnswer, QueryAsk, QueryName, QueryReply, StoredEvent } from '@mandate/contracts';
import { subjects } from '@mandate/contracts';
import { DataKeys } from '@mandate/event-store';
import { Bus } from '@mandate/messaging';
import { createLogger, type RunningService, startService } from '@mandate/service-kit';
import { type FreshDatabase, type FreshNats, freshDatabase, freshNats } from '@mandate/test-kit';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { cast, delegatedStory, delegateTo, ExampleStory, modelSays, READING, toolSays } from './example-story.ts';
import { ExampleLog, exampleStream, exampleWorkflow, storedEvent } from './example-log.ts';
import { rebuild } from './rebuild.ts';
import { projector } from './service.ts';
import { beginRebuild, behind, NoRoom, prepareGenerations, readGenerations } from './store/generations.ts';
import { openPool } from './store/pool.ts';
import { ReadModels } from './store/read-models.ts';
import { MODELS, SHAPE } from './store/tables.ts';

let database: FreshDatabase;
let nats: FreshNats;
let dir: string;
let log: ExampleLog;
let keys: DataKeys;
let gateway: Bus;
let orchestrator: Bus;
let service: RunningService;

const connect = (user: string): Promise<Bus> => Bus.connect({ servers: nats.url, user, password: nats.password(user), name: user });

const startProjector = (): Promise<RunningService> =>
  startService(projector, {
    NATS_URL: nats.url,
    NATS_USER: 'projector',
    NATS_PASSWORD: nats.password('projector'),
    LOG_LEVEL: 'silent',
    DATABASE_URL: database.projectorUrl,
    KEYS_DATABASE_URL: database.projectorKeysUrl,
    MANDATE_MASTER_KEY_FILE: join(dir, 'master.key'),
  });

beforeAll(async () => {
  [database, nats, dir] = await Promise.all([freshDatabase(), freshNats(), mkdtemp(join(tmpdir(), 'mandate-projector-'))]);
  await writeFile(join(dir, 'master.key'), randomBytes(32).toString('hex'));
  log = await ExampleLog.open(database.url);
  keys = await DataKeys.open({ url: database.orchestratorKeysUrl, masterKeyFile: join(dir, 'master.key') });
  [gateway, orchestrator] = await Promise.all([connect('gateway'), connect('orchestrator')]);
  service = await startProjector();
});

afterAll(async () => {
  await service?.stop();
  await Promise.all([gateway?.close(), orchestrator?.close(), keys?.close(), log?.close()]);
  await nats?.stop();
  await database?.drop();
  await rm(dir, { recursive: true, force: true });
});

const ask = async <N extends QueryName>(name: N, question: QueryAsk<N>): Promise<QueryReply<N>> =>
  (await gateway.ask(subjects.query('projector', name), JSON.stringify(question), 5_000)) as QueryReply<N>;
async function answerTo<N extends QueryName>(name: N, question: QueryAsk<N>): Promise<QueryAnswer<N>> {
  const reply = await ask(name, question);
  if (!reply.ok) throw new Error(`${reply.problem.code}: ${reply.problem.message}`);
  return reply.value;
}

/** Commits to the log and tells the bus, as the orchestrator does. */
async function commitAndTell(events: readonly StoredEvent[]): Promise<void> {
  const incarnation = await log.incarnation();
  for (const { partition, position, envelope } of await log.append(events)) {
    const message = {
      specversion: '1.0',
      id: envelope.id,
      source: '/test',
      type: `mandate.${envelope.type}.v1`,
      tenant: envelope.tenant,
      partition,
      position,
      incarnation,
      data: envelope,
    };
    await orchestrator.publish(subjects.event(partition, envelope.tenant, envelope.stream, envelope.type), JSON.stringify(message));
  }
}

test('what was committed and told is answered within milliseconds, and asking for a version waits for it', async () => {
  const events = exampleStream(1);
  const asked = answerTo('tasks.get', { tenant: 'acme', workflow: exampleWorkflow(1), minVersion: events.length });
  await commitAndTell(events);
  expect(await asked).toMatchObject({ status: 'completed', version: 11, costMicroUsd: 100, taskText: null, answer: null });
});

test('events that were never told are found in the log', async () => {
  await log.append(exampleStream(2));
  await vi.waitFor(
    async () => expect(await answerTo('tasks.get', { tenant: 'acme', workflow: exampleWorkflow(2) })).toMatchObject({ version: 11 }),
    5_000,
  );
});

test('told out of order, with gaps and twice: applied in order and once', async () => {
  const events = exampleStream(3);
  const incarnation = await log.incarnation();
  const placed = await log.append(events);
  for (const { partition, position, envelope } of [...placed.slice(4), ...placed, ...placed.slice(0, 3)]) {
    await orchestrator.publish(
      subjects.event(partition, 'acme', envelope.stream, envelope.type),
      JSON.stringify({ partition, position, incarnation, data: envelope }),
    );
  }
  const { items, ended } = await answerTo('events.list', { tenant: 'acme', workflow: exampleWorkflow(3), minVersion: 11 });
  expect(items.map((item) => item.version)).toEqual(events.map((event) => event.version));
  expect(ended).toBe(true);
});

test('content is joined when it is asked for, and is null when it was erased', async () => {
  const events = exampleStream(4).map((event) =>
    [1, 9].includes(event.version) ? { ...event, content: { key: 'k', sha256: '0'.repeat(64) } } : event,
  );
  await log.storeContent(keys, exampleWorkflow(4), 1, { task: 'x'.repeat(300) });
  await log.storeContent(keys, exampleWorkflow(4), 9, { text: 'the answer', calls: [] });
  await commitAndTell(events);
  const detail = await answerTo('tasks.get', { tenant: 'acme', workflow: exampleWorkflow(4), minVersion: 11 });
  expect(detail).toMatchObject({ task: 'x'.repeat(200), taskText: 'x'.repeat(300), answer: 'the answer' });
  const facts = await answerTo('events.list', { tenant: 'acme', workflow: exampleWorkflow(4) });
  expect(facts.items.every((item) => !('content' in item))).toBe(true);
  const whole = await answerTo('events.list', { tenant: 'acme', workflow: exampleWorkflow(4), include: 'content', after: 8 });
  expect(whole.items.map((item) => item.content)).toEqual([{ text: 'the answer', calls: [] }, null, null]);
  await log.query('delete from es.content where stream_id = $1', [exampleWorkflow(4)]);
  expect(await answerTo('tasks.get', { tenant: 'acme', workflow: exampleWorkflow(4) })).toMatchObject({
    task: null,
    taskText: null,
    answer: null,
  });
});

test('a tenant sees nothing of another tenant', async () => {
  await commitAndTell(exampleStream(5, { tenant: 'globex' }));
  await answerTo('tasks.get', { tenant: 'globex', workflow: exampleWorkflow(5), minVersion: 11 });
  const workflow = exampleWorkflow(5);
  expect(await ask('tasks.get', { tenant: 'acme', workflow })).toMatchObject({ ok: false, problem: { code: 'WorkflowUnknown' } });
  expect(await ask('events.list', { tenant: 'acme', workflow })).toMatchObject({ ok: false, problem: { code: 'WorkflowUnknown' } });
  expect((await answerTo('llm-calls.list', { tenant: 'acme', workflow })).items).toEqual([]);
  expect((await answerTo('tool-calls.list', { tenant: 'acme', workflow })).items).toEqual([]);
  const listed = await answerTo('tasks.list', { tenant: 'acme' });
  expect(listed.items.map((item) => item.workflow)).not.toContain(workflow);
});

test('pages are complete and without repeats while new tasks arrive', async () => {
  const numbers = Array.from({ length: 25 }, (_, index) => 100 + index);
  for (const n of numbers) await log.append(exampleStream(n, { tenant: 'initech', startedAt: 5_000_000 }));
  await vi.waitFor(
    async () => expect((await answerTo('tasks.list', { tenant: 'initech', status: 'completed', limit: 200 })).items).toHaveLength(25),
    5_000,
  );
  const seen: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await answerTo('tasks.list', { tenant: 'initech', limit: 10, ...(cursor === undefined ? {} : { cursor }) });
    seen.push(...page.items.map((item) => item.workflow));
    cursor = page.cursor ?? undefined;
    await log.append(exampleStream(200 + seen.length, { tenant: 'initech', startedAt: 6_000_000 }));
  } while (cursor !== undefined);
  expect(seen.filter((workflow) => numbers.some((n) => exampleWorkflow(n) === workflow)).sort()).toEqual(
    numbers.map((n) => exampleWorkflow(n)).sort(),
  );
  expect(new Set(seen).size).toBe(seen.length);
});

test('calls of a workflow come in order; a question that does not fit is refused by name', async () => {
  const { items } = await answerTo('llm-calls.list', { tenant: 'acme', workflow: exampleWorkflow(1) });
  expect(items.map((item) => [item.attempt, item.costMicroUsd, item.inputTokens])).toEqual([
    ['a0_s1_t1', 40, 30],
    ['a0_s3_t1', 60, 50],
  ]);
  expect(await ask('tasks.list', { tenant: 'acme', cursor: 'zzz' })).toMatchObject({ ok: false, problem: { code: 'CursorInvalid' } });
  expect(await ask('tasks.list', { tenant: 'NOT A TENANT' })).toMatchObject({ ok: false, problem: { code: 'QueryInvalid' } });
});

test('a stream that this build does not understand is parked and the rest of its partition goes on', async () => {
  const [unknown, next] = [exampleStream(301, { partition: 6 }), exampleStream(302, { partition: 6 })];
  await commitAndTell([
    ...unknown.slice(0, 1),
    storedEvent(exampleWorkflow(301, 6), 2, { type: 'moon.landed', data: {} } as never),
    ...next,
  ]);
  await answerTo('tasks.get', { tenant: 'acme', workflow: exampleWorkflow(302, 6), minVersion: 11 });
  expect(await log.query(`select workflow, version, type from ${await slot()}.parked`)).toEqual([
    { workflow: exampleWorkflow(301, 6), version: 2, type: 'moon.landed' },
  ]);
});

test('a value that Postgres cannot store parks its stream alone', async () => {
  const bad = exampleStream(311, { partition: 7 }).map((event) =>
    event.type === 'task.completed' ? { ...event, data: { ...event.data, steps: 5_000_000_000 } } : event,
  );
  await commitAndTell([...bad, ...exampleStream(312, { partition: 7 })]);
  await answerTo('tasks.get', { tenant: 'acme', workflow: exampleWorkflow(312, 7), minVersion: 11 });
  expect(await log.query(`select version from ${await slot()}.parked where workflow = $1`, [exampleWorkflow(311, 7)])).toEqual([
    { version: 10 },
  ]);
});

/** The event that settled the n-th model call of an agent. */
const saidBy = (story: ExampleStory, agent: string, n: number): number =>
  story.events.filter((event) => event.type === 'attempt.settled' && event.data.agent === agent && event.data.answer?.kind === 'llm')[n - 1]
    ?.version ?? 0;

const withContent = (story: ExampleStory, versions: readonly number[]): readonly StoredEvent[] =>
  story.events.map((event) => (versions.includes(event.version) ? { ...event, content: { key: 'k', sha256: '0'.repeat(64) } } : event));

test('a delegated task: the tree, what each agent was asked and answered, and what it cost', async () => {
  const workflow = exampleWorkflow(601);
  const story = delegatedStory(workflow);
  const sent = saidBy(story, 'a0', 1);
  const answers = { a0: saidBy(story, 'a0', 2), 'a0-1': saidBy(story, 'a0-1', 2), 'a0-1-1': saidBy(story, 'a0-1-1', 2) };
  const args = (...tasks: string[]) => tasks.map((task) => ({ callId: 'c', tool: 'delegate', args: { task } }));
  await log.storeContent(keys, workflow, 1, { task: 'Compare them.' });
  await log.storeContent(keys, workflow, sent, { text: '', calls: args('Find sources.', 'Add up figures.') });
  await log.storeContent(keys, workflow, saidBy(story, 'a0-1', 1), { text: '', calls: args('Look into the archive.') });
  await log.storeContent(keys, workflow, answers['a0-1-1'], { text: 'y'.repeat(3_000), calls: [] });
  await log.storeContent(keys, workflow, answers.a0, { text: 'the whole', calls: [] });
  await commitAndTell(withContent(story, [1, sent, saidBy(story, 'a0-1', 1), answers['a0-1-1'], answers.a0]));
  const version = story.events.length;

  const tree = await answerTo('agents.list', { tenant: 'acme', workflow, minVersion: version });
  expect(tree).toMatchObject({ workflow, status: 'completed', version });
  expect(tree.agents.map(({ agent, parent, spent, ownSpent }) => [agent, parent, ownSpent.moneyMicroUsd, spent.moneyMicroUsd])).toEqual([
    ['a0', null, 110, 785],
    ['a0-1', 'a0', 225, 675],
    ['a0-1-1', 'a0-1', 450, 450],
    ['a0-2', 'a0', 0, 0],
  ]);
  expect(tree.agents[0]).toMatchObject({
    answer: { version: answers.a0, bytes: 20, by: 'a0' },
    granted: { moneyMicroUsd: 1_000_000, children: 10 },
    refusedChildren: [{ code: 'RoleUnknown', count: 1 }],
    tools: ['files__read', 'mail__send'],
  });
  expect(await answerTo('tasks.get', { tenant: 'acme', workflow })).toMatchObject({ agents: 4, costMicroUsd: 785, resumable: false });

  const agent = async (id: string) => answerTo('agents.get', { tenant: 'acme', workflow, agent: id });
  expect(await agent('a0')).toMatchObject({ task: 'Compare them.', answerText: 'the whole' });
  expect(await agent('a0-1')).toMatchObject({ task: 'Find sources.', answerText: null });
  expect(await agent('a0-1-1')).toMatchObject({ task: 'Look into the archive.', answerText: 'y'.repeat(3_000) });
  expect(await agent('a0-2')).toMatchObject({ task: 'Add up figures.', answerText: null, answer: null, code: 'content_filter' });
  expect(await ask('agents.get', { tenant: 'acme', workflow, agent: 'a0-9' })).toMatchObject({
    ok: false,
    problem: { code: 'AgentUnknown' },
  });

  const { items } = await answerTo('contributions.list', { tenant: 'acme', workflow });
  expect(items.map(({ agent: id, text, truncated, answer }) => [id, text?.length ?? null, truncated, answer?.version ?? null])).toEqual([
    ['a0', 9, false, answers.a0],
    ['a0-1', null, false, answers['a0-1']],
    ['a0-1-1', 1_000, true, answers['a0-1-1']],
    ['a0-2', null, false, null],
  ]);
});

test('the events of one agent, or of some types, page by page', async () => {
  const workflow = exampleWorkflow(601);
  const { events } = delegatedStory(workflow);
  const pages = async (only: { agent?: string; types?: string[] }, limit: number) => {
    const versions: number[] = [];
    for (let after = 0; ; ) {
      const page = await answerTo('events.list', { tenant: 'acme', workflow, after, limit, ...only });
      versions.push(...page.items.map(({ version }) => version));
      after = page.upTo;
      if (after >= page.version) return versions;
    }
  };
  const tells = ({ data }: StoredEvent, agent: string) => 'agent' in data && data.agent === agent;
  const ofAgent = events.filter((event) => tells(event, 'a0-1')).map(({ version }) => version);
  expect(ofAgent.length).toBeGreaterThan(7);
  expect(await pages({ agent: 'a0-1' }, 2)).toEqual(ofAgent);
  expect(await pages({ agent: 'a0-1' }, 200)).toEqual(ofAgent);
  const ended = events.filter(({ type }) => type === 'agent.ended' || type === 'task.completed').map(({ version }) => version);
  expect(await pages({ types: ['agent.ended', 'task.completed'] }, 1)).toEqual(ended);
  expect(await pages({ agent: 'a0-1', types: ['agent.ended'] }, 50)).toHaveLength(1);
  expect(await pages({}, 7)).toEqual(events.map(({ version }) => version));
});

test('a worker that was planned is asked what its step of the plan says', async () => {
  const workflow = exampleWorkflow(602);
  const step = (id: string) => ({ id, after: [], to: cast('researcher'), taskBytes: 10, fingerprint: id });
  const story = new ExampleStory(workflow)
    .submit({ pattern: 'orchestrator-workers' })
    .answer('a0', modelSays(10, { kind: 'plan', complete: true, steps: [step('aa'), step('bb')] }));
  const planned = saidBy(story, 'a0', 1);
  const plan = { steps: [{ task: 'the first step' }, { task: 'the second step' }] };
  await log.storeContent(keys, workflow, planned, { text: '', calls: [{ callId: 'c', tool: 'plan', args: plan }] });
  await commitAndTell(withContent(story, [planned]));
  const asked = async (agent: string) =>
    (await answerTo('agents.get', { tenant: 'acme', workflow, agent, minVersion: story.events.length })).task;
  expect([await asked('a0-1'), await asked('a0-2')]).toEqual(['the first step', 'the second step']);
});

test('a decision says what was weighed, why the others were not chosen, and what was tried after it', async () => {
  const workflow = exampleWorkflow(603);
  const story = new ExampleStory(workflow)
    .submit({ maxDepth: 0 })
    .answer('a0', { kind: 'analyze', analysis: READING })
    .end('a0', { outcome: 'failed', failure: { code: 'bad_request', retryable: false, billed: 'no' } });
  await commitAndTell(story.events);
  const view = await answerTo('decision.get', { tenant: 'acme', workflow, minVersion: story.events.length });
  expect(view.decision).toMatchObject({ pattern: 'direct', chosenBy: 'analysis', alternatives: ['evaluator-optimizer'] });
  expect(view.decision?.weighed.map(({ pattern, verdict, why }) => [pattern, verdict, why]).slice(0, 2)).toEqual([
    ['direct', 'chosen', 'It fits best (0.820) of those that the mandate allows.'],
    ['evaluator-optimizer', 'alternative', 'It fits less than direct, by 0.210; it is tried when direct fails.'],
  ]);
  expect(view.decision?.weighed).toHaveLength(7);
  expect(view.decision?.weighed.find(({ pattern }) => pattern === 'parallel')?.why).toContain('the mandate allows none');
  expect(view.decision?.team.map(({ role }) => role)).toEqual(['researcher@1', 'analyst@1']);
  expect(view.fallbacks).toMatchObject([{ pattern: 'evaluator-optimizer', reasons: ['failed.direct.bad_request'] }]);
  expect(view.analysis?.facts).toEqual(READING);
  expect(story.events[(view.analysis?.version ?? 0) - 1]?.type).toBe('attempt.settled');

  const named = await answerTo('decision.get', { tenant: 'acme', workflow: exampleWorkflow(602), agent: 'a0-1' });
  expect(named).toMatchObject({ agent: 'a0-1', decision: { chosenBy: 'parent', weighed: [] }, fallbacks: [], analysis: null });
  expect(await ask('decision.get', { tenant: 'acme', workflow, agent: 'a0-7' })).toMatchObject({
    ok: false,
    problem: { code: 'AgentUnknown' },
  });
});

test('a topped-up task is running again, and its events go on', async () => {
  const workflow = exampleWorkflow(604);
  const story = new ExampleStory(workflow)
    .submit({ pattern: 'direct', maxModelCalls: 1 })
    .answer('a0', modelSays(100, 'files__read'))
    .answer('a0', toolSays);
  await commitAndTell(story.events);
  const failed = story.events.length;
  const detail = async (minVersion: number) => answerTo('tasks.get', { tenant: 'acme', workflow, minVersion });
  expect(await detail(failed)).toMatchObject({ status: 'failed', code: 'ModelCallBudgetExceeded', resumable: true });
  const page = async () => answerTo('events.list', { tenant: 'acme', workflow, after: failed });
  expect(await page()).toMatchObject({ items: [], ended: true, resumable: true });
  story.topUp({ modelCalls: 3 });
  await commitAndTell(story.events.slice(failed));
  expect(await detail(story.events.length)).toMatchObject({
    status: 'running',
    code: null,
    endedAt: null,
    resumable: false,
    mandate: { modelCalls: 4 },
  });
  expect((await page()).ended).toBe(false);
  const resumed = story.events.length;
  story.answer('a0', modelSays(40));
  await commitAndTell(story.events.slice(resumed));
  expect(await detail(story.events.length)).toMatchObject({ status: 'completed', costMicroUsd: 140, modelCalls: 2 });
  expect((await page()).ended).toBe(true);
});

test('how a tenant delegates: depths, children, fallbacks, refusals by code', async () => {
  const tenant = 'umbrella';
  const none = await answerTo('delegation.stats', { tenant });
  expect(none).toMatchObject({ tasks: 0, children: 0, tasksByDepth: [], agentsByDepth: [], refusedSteps: [], refusedChildren: [] });
  const deep = delegatedStory(exampleWorkflow(611), tenant);
  const alone = new ExampleStory(exampleWorkflow(612), tenant)
    .submit()
    .answer('a0', { kind: 'analyze', analysis: READING })
    .end('a0', { outcome: 'failed', failure: { code: 'bad_request', retryable: false, billed: 'no' } });
  const working = new ExampleStory(exampleWorkflow(613), tenant)
    .submit({ pattern: 'direct' })
    .answer('a0', modelSays(5, delegateTo('researcher', 'a'), 'moon__land'));
  for (const story of [deep, alone, working]) {
    await commitAndTell(story.events);
    await answerTo('tasks.get', { tenant, workflow: story.stream, minVersion: story.events.length });
  }
  const stats = await answerTo('delegation.stats', { tenant });
  expect(stats).toMatchObject({ tasks: 3, delegating: 2, children: 4, fallbacks: 1 });
  // The one that fell back to another pattern; a root and its child.
  expect(stats.atWork).toBe(3);
  expect(stats.tasksByDepth).toEqual([
    { depth: 0, tasks: 1 },
    { depth: 1, tasks: 1 },
    { depth: 2, tasks: 1 },
  ]);
  expect(stats.agentsByDepth).toMatchObject([
    { depth: 0, agents: 3, answered: 1, averageChildren: 1, costMicroUsd: 115 },
    { depth: 1, agents: 3, answered: 1, failed: 1, costMicroUsd: 225 },
    { depth: 2, agents: 1, answered: 1, averageChildren: 0, costMicroUsd: 450 },
  ]);
  expect(stats.refusedChildren).toEqual([
    { code: 'DelegationDepthExceeded', count: 1 },
    { code: 'RoleUnknown', count: 1 },
  ]);
  expect(stats.refusedSteps).toEqual([{ code: 'ToolNotAllowed', count: 1 }]);
  expect(stats.agentsByPattern.map(({ pattern }) => pattern)).toContain('evaluator-optimizer');
  expect(await answerTo('delegation.stats', { tenant, since: deep.now + 1_000_000 })).toMatchObject({ tasks: 0, children: 0 });
});

test('agents, decisions and contributions of another tenant do not exist', async () => {
  const workflow = exampleWorkflow(601);
  for (const name of ['agents.list', 'contributions.list', 'decision.get'] as const)
    expect(await ask(name, { tenant: 'globex', workflow })).toMatchObject({ ok: false, problem: { code: 'WorkflowUnknown' } });
  expect(await ask('agents.get', { tenant: 'globex', workflow, agent: 'a0' })).toMatchObject({
    ok: false,
    problem: { code: 'WorkflowUnknown' },
  });
  expect(await answerTo('delegation.stats', { tenant: 'nobody' })).toMatchObject({ tasks: 0, children: 0 });
});

/** Where the models are that serve. */
async function slot(): Promise<string> {
  const [serving] = await log.query<{ slot: string }>("select slot from read.generation where state = 'serving'");
  return serving?.slot ?? 'nowhere';
}

async function digest(): Promise<unknown[]> {
  const digests = [];
  for (const model of MODELS)
    digests.push(await log.query(`select count(*), md5(string_agg(r::text, '|' order by r::text)) from ${await slot()}.${model} r`));
  return digests;
}

test('a rebuild makes the same rows in another place, and until they serve the others answer', async () => {
  const status = async () => (await answerTo('projection.status', {})).partitions;
  await vi.waitFor(async () => expect((await status()).every(({ position, head }) => position === head)).toBe(true), 5_000);
  const [before, place] = [await digest(), await slot()];
  const answers: number[] = [];
  let isBuilding = true;
  const asking = (async () => {
    while (isBuilding) answers.push((await answerTo('tasks.get', { tenant: 'acme', workflow: exampleWorkflow(1) })).version);
  })();
  const { events } = await rebuild(database.projectorUrl, createLogger('projector', 'rebuild', 'silent'));
  isBuilding = false;
  await asking;
  expect(events).toBeGreaterThan(300);
  expect(new Set(answers)).toEqual(new Set([11]));
  expect(await slot()).not.toBe(place);
  expect(await digest()).toEqual(before);
  await commitAndTell(exampleStream(20));
  expect(await answerTo('tasks.get', { tenant: 'acme', workflow: exampleWorkflow(20), minVersion: 11 })).toMatchObject({ version: 11 });
});

test('a receipt is waited for; what does not come in time is said to be behind, whoever it belongs to', async () => {
  const workflow = exampleWorkflow(21);
  const waiting = ask('receipt.wait', { tenant: 'acme', workflow, version: 11 });
  const foreign = ask('receipt.wait', { tenant: 'globex', workflow, version: 1 });
  await commitAndTell(exampleStream(21));
  expect(await waiting).toEqual({ ok: true, value: { version: 11 } });
  expect(await foreign).toMatchObject({ ok: false, problem: { code: 'ReadBehind' } });
});

test('a statement that forgets the tenant finds that tenant alone, and without one nothing', async () => {
  const models = new ReadModels(database.projectorUrl);
  const control = openPool(database.projectorUrl, { max: 1, timeoutMs: 5_000, name: 'rows' });
  try {
    const { serving } = await readGenerations(control);
    if (serving === undefined) throw new Error('nothing serves');
    models.serve(serving);
    for (const table of [...MODELS, 'es.event']) {
      const name = table === 'es.event' ? 'tenant_id' : 'tenant';
      const seenBy = async (tenant: string) =>
        (await models.of(tenant).query<{ tenant: string }>(`select distinct ${name} as tenant from ${table}`)).rows.map(
          (row) => row.tenant,
        );
      expect(await log.query(`select 1 from ${table.includes('.') ? table : `${serving.slot}.${table}`}`), table).not.toEqual([]);
      // The connections are used in turn by both.
      for (const tenant of ['acme', 'globex', 'acme', 'globex']) expect(['', tenant], table).toContain((await seenBy(tenant)).join());
      expect(await seenBy(''), table).toEqual([]);
      expect(await seenBy('*'), table).toEqual([]);
    }
    expect((await models.of('acme').query('select 1 from tasks')).rowCount).toBeGreaterThan(0);
    await expect(models.of('acme').query('delete from tasks')).rejects.toThrow(/permission denied/);
    await expect(models.of('acme').query('select 1 from es.content')).rejects.toThrow(/permission denied/);
  } finally {
    await Promise.all([models.close(), control.end()]);
  }
});

test('beside projectors of another build: both have their own models, and a rebuild waits until the others are gone', async () => {
  const fresh = await freshDatabase();
  const [history, control] = [await ExampleLog.open(fresh.url), openPool(fresh.projectorUrl, { max: 2, timeoutMs: 5_000, name: 'other' })];
  try {
    const { building } = await prepareGenerations(control);
    if (building === undefined) throw new Error('nothing is being built');
    // What another build left: its generation serves, and one of its projectors is alive.
    await history.query("update read.generation set shape = $1, state = 'serving'", [SHAPE - 1]);
    await history.query(`insert into ${building.slot}.member values ('old-1', now() + interval '1 minute')`);
    const own = (await prepareGenerations(control)).building;
    expect(own?.slot).not.toBe(building.slot);
    expect(await behind(control, own ?? building)).toBe(0);
    await history.query("update read.generation set state = 'serving' where shape = $1", [SHAPE]);
    await expect(beginRebuild(control)).rejects.toThrow(NoRoom);
    await history.query(`update ${building.slot}.member set until = now()`);
    expect(await beginRebuild(control)).toMatchObject({ slot: building.slot, state: 'building' });
    expect((await readGenerations(control)).serving).toMatchObject({ slot: own?.slot });
  } finally {
    await Promise.all([history.close(), control.end()]);
    await fresh.drop();
  }
});

test('two instances share the partitions; what one leaves the other takes at once', async () => {
  const owners = async () =>
    (
      await log.query<{ owner: string; n: string }>(
        `select owner, count(*) as n from ${await slot()}.lease where owner is not null group by 1`,
      )
    ).map((row) => Number(row.n));
  await vi.waitFor(async () => expect(await owners()).toEqual([16]), 5_000);
  const other = await startProjector();
  await vi.waitFor(async () => expect(await owners()).toEqual([8, 8]), 8_000);
  await commitAndTell(Array.from({ length: 16 }, (_, index) => exampleStream(400 + index)).flat());
  await Promise.all(
    Array.from({ length: 16 }, (_, index) =>
      answerTo('tasks.get', { tenant: 'acme', workflow: exampleWorkflow(400 + index), minVersion: 11 }),
    ),
  ).then((tasks) => expect(tasks.map((task) => task.version)).toEqual(Array(16).fill(11)));
  await other.stop();
  await vi.waitFor(async () => expect(await owners()).toEqual([16]), 1_000);
});

test('another incarnation of the log: the rows are built anew', async () => {
  const before = await digest();
  await log.query('update es.log set incarnation = gen_random_uuid()');
  const { incarnation } = (await log.query<{ incarnation: string }>('select incarnation from es.log'))[0] ?? { incarnation: '' };
  await vi.waitFor(async () => {
    expect(
      await log.query(`select 1 from ${await slot()}.checkpoint where incarnation = $1 and next_position >= rebuild_to`, [incarnation]),
    ).toHaveLength(16);
    expect(await digest()).toEqual(before);
  }, 10_000);
});

test('it survives that Postgres ends every session', async () => {
  await log.query(`select pg_terminate_backend(pid) from pg_stat_activity where usename = 'mandate_projector'`);
  await commitAndTell(exampleStream(500));
  await vi.waitFor(
    async () => expect(await answerTo('tasks.get', { tenant: 'acme', workflow: exampleWorkflow(500) })).toMatchObject({ version: 11 }),
    8_000,
  );
  expect(service.ready()).toEqual({ ok: true, missing: [] });
});
