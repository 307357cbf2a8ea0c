/** States of recorded runs, folded from a real log that the projector may only read. */
import { type QueryAnswer, type StoredEvent, upcast, workflowState } from '@mandate/contracts';
import { ABSENT, changes, evolve, partitionOf, stateOf, workflowIdOf } from '@mandate/domain';
import { chain, EventLog } from '@mandate/event-store';
import { type FreshDatabase, freshDatabase } from '@mandate/test-kit';
import { readFileSync } from 'node:fs';
import type { Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openPool } from '../store/pool.ts';
import { MOST_EVENTS, stateQueries } from './state-queries.ts';
import type { TenantRows } from '../store/read-models.ts';

const recorded = (name: string): StoredEvent[] =>
  JSON.parse(readFileSync(new URL(`../../../../test/histories/runs/${name}.json`, import.meta.url), 'utf8')) as StoredEvent[];
const run = recorded('delegated-to-depth-two');
const old = recorded('completed-after-takeover');
const [{ stream: workflow, tenant } = { stream: '', tenant: '' }] = run;
/** Too many events, and a state that grows too large before they are too many. */
const long = workflowIdOf(4, 'l'.repeat(26));

let database: FreshDatabase;
let pool: Pool;
let handlers: ReturnType<typeof stateQueries>;
/** It asks the log, no read model. */
const none: TenantRows = { query: () => Promise.reject(new Error('it must not ask the read models')) };

beforeAll(async () => {
  database = await freshDatabase();
  pool = openPool(database.projectorUrl, { max: 2, timeoutMs: 5_000, name: 'test' });
  handlers = stateQueries(pool);
  await store(run);
  await store(old);
  await store(longHistory());
});
afterAll(async () => {
  await pool?.end();
  await database?.drop();
});

async function store(events: readonly StoredEvent[]): Promise<void> {
  const log = new EventLog({ url: database.orchestratorUrl });
  const epochs = new Map((await log.takePartitions('test-1', 60_000, 16)).map(({ partition, epoch }) => [partition, epoch]));
  const [{ stream, tenant: owner } = { stream: '', tenant: '' }] = events;
  for (let first = 0, hash: Buffer = Buffer.alloc(32); first < events.length; first += 5_000) {
    const encoded = events.slice(first, first + 5_000).map((event) => {
      const envelope = JSON.stringify(event);
      hash = chain(hash, envelope);
      return { version: event.version, type: event.type, schema: event.schema, at: event.at, envelope, hash };
    });
    const write = { partition: partitionOf(stream) ?? -1, stream, tenant: owner, expectedVersion: first, events: encoded, headHash: hash };
    await log.append([{ ...write, open: true }], epochs);
  }
  await log.leave('test-1');
  await log.close();
}

/** A recorded beginning; late answers, which change nothing; then top-ups, which are remembered. */
function longHistory(): StoredEvent[] {
  const begin = (JSON.parse(JSON.stringify(run).replaceAll(workflow, long)) as StoredEvent[]).slice(0, 6);
  const at = begin.at(-1)?.at ?? 0;
  const more = Array.from({ length: MOST_EVENTS + 10 - begin.length }, (_, index): StoredEvent => {
    const version = begin.length + 1 + index;
    const who = {
      id: `${long}-${version}`,
      schema: 1,
      stream: long,
      version,
      tenant,
      at,
      actor: 'key/k',
      causation: 'm',
      correlation: 'm',
    };
    if (version <= MOST_EVENTS - 200)
      return {
        ...who,
        type: 'attempt.answered_late',
        data: { attempt: 'a0_s1_t1' as never, outcome: 'failed', costMicroUsd: 0, tokens: 0 },
      };
    const added = { moneyMicroUsd: 1, tokens: 0, modelCalls: 0, toolCalls: 0 };
    return { ...who, type: 'mandate.topped_up', data: { request: String(version).repeat(1_200) as never, added, deadlineAt: at } };
  });
  return [...begin, ...more];
}

const lived = (events: readonly StoredEvent[], version: number) =>
  stateOf(
    events
      .slice(0, version)
      .map(upcast)
      .reduce((state, event) => evolve(state, event, event.at), ABSENT),
  );
const stateAt = (moment?: { version: number } | { at: number }, of = workflow): Promise<QueryAnswer<'state.get'>> =>
  handlers['state.get']({ tenant, workflow: of, ...(moment === undefined ? {} : { moment }) }, none);

describe('the state of a workflow', () => {
  test('at each of its versions is the one folded from its events', async () => {
    for (const { version } of run) {
      const answer = await stateAt({ version });
      expect(answer).toEqual({ workflow, newest: run.length, state: lived(run, version) });
      expect(workflowState.parse(answer.state)).toEqual(answer.state);
    }
    expect((await stateAt()).state).toEqual(lived(run, run.length));
  });

  test('at an instant is the one after the last event that was decided by then', async () => {
    for (const { at } of run) {
      const version = run.filter((event) => event.at <= at).length;
      expect((await stateAt({ at })).state.version).toBe(version);
    }
  });

  test('of a past schema version is read in today’s shape', async () => {
    const [{ stream } = { stream: '' }] = old;
    expect(old.some(({ type, schema }) => type === 'mandate.granted' && schema === 1)).toBe(true);
    expect((await stateAt(undefined, stream)).state).toEqual(lived(old, old.length));
    expect((await stateAt(undefined, stream)).state.agents['a0']).toMatchObject({ edition: 1, state: 'answered' });
  });
});

describe('a diff', () => {
  test('is what changed between two versions or instants, in either direction', async () => {
    const ask = (from: number, to: number) =>
      handlers['state.diff']({ tenant, workflow, from: { version: from }, to: { version: to } }, none);
    for (const [from, to] of [
      [1, run.length],
      [20, 24],
      [24, 20],
      [7, 7],
    ] as const) {
      const found = await ask(from, to);
      expect(found).toEqual({ workflow, newest: run.length, from, to, changes: changes(lived(run, from), lived(run, to)) });
    }
    const [first, last] = [run[0]?.at ?? 0, run.at(-1)?.at ?? 0];
    const whole = await handlers['state.diff']({ tenant, workflow, from: { at: first }, to: { at: last } }, none);
    expect(whole.to).toBe(run.length);
    expect(whole.changes).toContainEqual({ path: '/phase', from: 'running', to: 'completed' });
  });
});

describe('refused, with what helps', () => {
  const code = (code: string) => expect.objectContaining({ code });

  test('another tenant’s workflow, and one that there is not', async () => {
    const ask = (whose: string, of: string) => handlers['state.get']({ tenant: whose, workflow: of }, none);
    await expect(ask('globex', workflow)).rejects.toEqual(code('WorkflowUnknown'));
    await expect(ask(tenant, workflowIdOf(9, 'z'.repeat(26)))).rejects.toEqual(code('WorkflowUnknown'));
  });

  test('a version that it has not, and a time before it', async () => {
    await expect(stateAt({ version: run.length + 1 })).rejects.toThrow(`The workflow has no version ${run.length + 1}.`);
    await expect(stateAt({ at: 1 })).rejects.toEqual(code('VersionUnknown'));
  });

  test('a history that is too long, and an answer that is too large', async () => {
    await expect(stateAt(undefined, long)).rejects.toEqual(code('TooManyEvents'));
    await expect(stateAt({ version: MOST_EVENTS + 1 }, long)).rejects.toEqual(code('TooManyEvents'));
    await expect(stateAt({ version: MOST_EVENTS }, long)).rejects.toEqual(code('StateTooLarge'));
    const begun = await handlers['state.diff']({ tenant, workflow: long, from: { version: 1 }, to: { version: MOST_EVENTS - 195 } }, none);
    expect(begun.changes.filter(({ path }) => path.startsWith('/topUps/'))).toHaveLength(5);
  });
});
