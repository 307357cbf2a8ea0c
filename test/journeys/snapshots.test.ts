import { workflowIdFor } from '@mandate/contracts';
import { type AttemptId, evolve, partitionOf, type RequestId } from '@mandate/domain';
import { DataKeys, EventLog, masterKeysFrom } from '@mandate/event-store';
import { type FreshDatabase, freshDatabase } from '@mandate/test-kit';
import pg from 'pg';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { modelSays, submission, Telling, toolSays } from '../../packages/domain/src/workflow/given.ts';
import { encodeDecision } from '../../services/orchestrator/src/encode-decision.ts';
import { SNAPSHOT_EVERY, Snapshots } from '../../services/orchestrator/src/snapshots.ts';
import { WorkflowMemory } from '../../services/orchestrator/src/workflow-memory.ts';

/** Long workflows in a real log, with and without a snapshot: it may make loading shorter and change nothing else. */
let database: FreshDatabase;
let log: EventLog;
let keys: DataKeys;
let sql: pg.Pool;
let epochs: ReadonlyMap<number, number>;
beforeAll(async () => {
  database = await freshDatabase();
  log = new EventLog({ url: database.orchestratorUrl });
  keys = await DataKeys.open({ url: database.orchestratorKeysUrl, masterKeys: masterKeysFrom({ MANDATE_MASTER_KEY: '11'.repeat(32) }) });
  sql = new pg.Pool({ connectionString: database.url });
  epochs = new Map((await log.takePartitions('us', 600_000, 16)).map(({ partition, epoch }) => [partition, epoch]));
});
afterAll(async () => {
  await Promise.all([log?.close(), keys?.close(), sql?.end()]);
  await database?.drop();
});

const memoryOf = (id: string, snapshots = new Snapshots(log)): WorkflowMemory =>
  new WorkflowMemory(partitionOf(id) ?? 0, log, keys, snapshots);

/** A model that asks for five tools again and again, told to the domain until there are so many events. */
function longTelling(request: string, events: number): Telling {
  const telling = new Telling();
  const options = {
    pattern: 'direct',
    maxModelCalls: 1_000,
    maxToolCalls: 5_000,
    maxTokens: 50_000_000,
    maxCostMicroUsd: 100_000_000,
  } as const;
  telling.tell({ ...submission(options), request: request as RequestId });
  while (telling.events.length < events) {
    const [attempt] = telling.open();
    telling.tell({
      kind: 'result',
      attempt: attempt?.id ?? ('none' as AttemptId),
      outcome: 'succeeded',
      answer: attempt?.owes.kind === 'tool' ? toolSays(64) : modelSays(...Array.from({ length: 5 }, () => 'files__read')),
    });
  }
  return telling;
}

/** Writes a telling to the log as the orchestrator does, decision by decision, and notes each commit with `snapshots`. */
async function written(telling: Telling, request: string, snapshots: Snapshots): Promise<string> {
  const id = workflowIdFor('acme', request);
  const partition = partitionOf(id) ?? 0;
  const memory = memoryOf(id, snapshots);
  const held = await memory.get(id);
  Object.assign(held, { tenant: 'acme', actor: 'client:x', correlation: request, trace: undefined, key: await keys.fresh() });
  for (const { at, events } of telling.history) {
    const firstVersion = held.state.version + 1;
    const cause = { actor: 'client:x', causation: 'm1', traceparent: undefined };
    const { encoded, headHash } = encodeDecision(held, events, { cause, content: { text: 'some words' }, at, firstVersion });
    held.state = events.reduce((state, event) => evolve(state, event, at), held.state);
    held.headHash = headHash;
    const write = { partition, stream: id, tenant: 'acme', expectedVersion: firstVersion - 1, events: encoded, headHash, open: true };
    await log.append([write], epochs);
    memory.noteCommitted(held, encoded.at(-1)?.version ?? 0);
  }
  return id;
}

const snapshotOf = async (id: string): Promise<{ readonly version: number; readonly folded_by: string } | undefined> =>
  (await sql.query<{ version: number; folded_by: string }>('select version, folded_by from es.snapshot where stream_id = $1', [id]))
    .rows[0];

/** As a process would hold it that has just taken the partition over. */
const loaded = async (id: string, snapshots?: Snapshots) => memoryOf(id, snapshots).get(id);

/** The same, read from the first event on. */
const foldedFromTheStart = async (id: string) => loaded(id, new Snapshots(log, undefined, 'other code'));

it('a long workflow is folded from its snapshot on, to what all of its events are', async () => {
  const id = await written(longTelling('long', 2 * SNAPSHOT_EVERY + 300), 'long', new Snapshots(log));
  await vi.waitFor(async () => expect((await snapshotOf(id))?.version).toBeGreaterThanOrEqual(2 * SNAPSHOT_EVERY));
  const stored = await log.readStream(partitionOf(id) ?? 0, id, new Snapshots(log).by);
  expect(stored?.events.length).toBeLessThan(400);
  const [short, whole] = [await loaded(id), await foldedFromTheStart(id)];
  expect(short.snapshotAt).toBeGreaterThan(0);
  expect(whole.snapshotAt).toBe(0);
  expect(short.state).toStrictEqual(whole.state);
  for (const what of ['headHash', 'actor', 'correlation', 'trace', 'tenant', 'key'] as const)
    expect(short[what]).toStrictEqual(whole[what]);
  expect(short.contents.get(1)).toEqual({ text: 'some words' });
  expect(whole.contents.get(1)).toEqual({ text: 'some words' });
});

it('is found with all that is open, too', async () => {
  const id = await written(longTelling('open', SNAPSHOT_EVERY + 200), 'open', new Snapshots(log));
  await vi.waitFor(async () => expect(await snapshotOf(id)).toBeDefined());
  const found = (await memoryOf(id).loadOpen()).find((held) => held.id === id);
  expect(found?.snapshotAt).toBeGreaterThan(0);
  expect(found?.state).toStrictEqual((await foldedFromTheStart(id)).state);
});

it('a snapshot by other code, or of other events, is not taken up', async () => {
  const id = await written(longTelling('other', SNAPSHOT_EVERY + 50), 'other', new Snapshots(log, undefined, 'yesterday’s code'));
  await vi.waitFor(async () => expect(await snapshotOf(id)).toMatchObject({ folded_by: 'yesterday’s code' }));
  expect((await loaded(id)).snapshotAt).toBe(0);
  await sql.query('update es.snapshot set folded_by = $2, hash = $3 where stream_id = $1', [
    id,
    new Snapshots(log).by,
    Buffer.alloc(32, 7),
  ]);
  const held = await loaded(id);
  expect(held.snapshotAt).toBe(0);
  expect(held.state.version).toBeGreaterThan(SNAPSHOT_EVERY);
});

it('there is none of what is not committed yet, and none is left of what has ended', async () => {
  const id = await written(longTelling('ends', SNAPSHOT_EVERY + 50), 'ends', new Snapshots(log));
  await vi.waitFor(async () => expect(await snapshotOf(id)).toBeDefined());
  const snapshots = new Snapshots(log);
  const held = await loaded(id, snapshots);
  const ahead = { ...held, state: { ...held.state, version: held.state.version + 1 }, snapshotAt: 1 };
  snapshots.committed(ahead, held.state.version);
  expect(ahead.snapshotAt).toBe(1);
  snapshots.committed({ ...held, state: { ...held.state, phase: 'completed' } }, held.state.version);
  await vi.waitFor(async () => expect(await snapshotOf(id)).toBeUndefined());
});

it('a state that cannot be written as bytes is told of, and whoever committed goes on', async () => {
  const told: string[] = [];
  const id = await written(longTelling('odd', 20), 'odd', new Snapshots(log));
  const held = await loaded(id);
  const odd = { ...held, state: { ...held.state, version: SNAPSHOT_EVERY, odd: () => undefined } };
  new Snapshots(log, (problem) => told.push(problem)).committed(odd, SNAPSHOT_EVERY);
  await vi.waitFor(() => expect(told).toHaveLength(1));
  expect(await snapshotOf(id)).toBeUndefined();
});
