import { CommitLane, EventLog, Fenced, StoreUnavailable } from '@mandate/event-store';
import { type FreshDatabase, freshDatabase } from '@mandate/test-kit';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';

/** One lane carries the decisions of all partitions of a process; what happens to one partition is no concern of the others. */
let database: FreshDatabase;
let log: EventLog;
let sql: pg.Pool;
beforeAll(async () => {
  database = await freshDatabase();
  log = new EventLog({ url: database.orchestratorUrl });
  sql = new pg.Pool({ connectionString: database.url });
});
afterAll(async () => {
  await Promise.all([log?.close(), sql?.end()]);
  await database?.drop();
});

const write = (partition: number, stream: string, expectedVersion = 0) => ({
  partition,
  stream,
  tenant: 'acme',
  expectedVersion,
  events: [{ version: expectedVersion + 1, type: 'x', schema: 1, at: 0, envelope: '{}', hash: Buffer.alloc(32) }],
  headHash: Buffer.alloc(32),
  open: false,
});

const epochOf = async (partition: number): Promise<number> =>
  Number((await sql.query<{ epoch: string }>('select epoch from es.partition where p = $1', [partition])).rows[0]?.epoch);

it('a stolen partition fails alone: what was in one batch with it is stored', async () => {
  const taken = await log.takePartitions('us', 3_000, 16);
  const epochs = new Map(taken.map(({ partition, epoch }) => [partition, epoch]));
  const lane = new CommitLane(log);
  await sql.query("update es.partition set epoch = epoch + 1, owner = 'somebody else', lease_until = 'infinity' where p = 3");
  const outcomes = await Promise.all(
    [1, 2, 3, 4, 3].map((partition, n) =>
      lane.commit(write(partition, `s${n}`), epochs.get(partition) ?? 0).then(
        () => 'stored',
        (error: unknown) => (error instanceof Fenced ? 'fenced' : String(error)),
      ),
    ),
  );
  expect(outcomes).toEqual(['stored', 'stored', 'fenced', 'stored', 'fenced']);
  const { rows } = await sql.query<{ stream_id: string }>('select stream_id from es.event order by stream_id');
  expect(rows.map(({ stream_id }) => stream_id)).toEqual(['s0', 's1', 's3']);
});

it('somebody who appended first fails one stream: what was in one batch with it is stored', async () => {
  const lane = new CommitLane(log);
  const epoch = await epochOf(5);
  await lane.commit(write(5, 'first'), epoch);
  const outcomes = await Promise.all(
    ['second', 'first', 'third'].map((stream) =>
      lane.commit(write(5, stream), epoch).then(
        () => 'stored',
        (error: Error) => error.name,
      ),
    ),
  );
  expect(outcomes).toEqual(['stored', 'WrongExpectedVersion', 'stored']);
});

it('what was decided twice on one version is stored once', async () => {
  const lane = new CommitLane(log);
  const epoch = await epochOf(6);
  const outcomes = await Promise.all(
    [write(6, 'twice'), write(6, 'twice'), write(6, 'twice', 1)].map((each) =>
      lane.commit(each, epoch).then(
        () => 'stored',
        (error: Error) => error.name,
      ),
    ),
  );
  expect(outcomes).toEqual(['stored', 'WrongExpectedVersion', 'stored']);
  const { rows } = await sql.query<{ version: number }>("select version from es.event where stream_id = 'twice' order by version");
  expect(rows.map(({ version }) => version)).toEqual([1, 2]);
});

it('what was decided under an epoch is stored under it, or not at all: not even by the process that took the partition again', async () => {
  const lane = new CommitLane(log);
  const before = await epochOf(7);
  await sql.query('update es.partition set epoch = epoch + 1 where p = 7');
  const outcomes = await Promise.all(
    [
      [write(7, 'again'), before],
      [write(7, 'again'), before + 1],
    ].map(([each, epoch]) =>
      lane.commit(each as ReturnType<typeof write>, epoch as number).then(
        () => 'stored',
        (error: Error) => error.name,
      ),
    ),
  );
  expect(outcomes).toEqual(['Fenced', 'stored']);
});

it('nobody takes from itself what it holds, though its lease has run out', async () => {
  const holding = await sql.query<{ p: number }>("select p from es.partition where owner = 'us' order by p");
  expect(holding.rows.length).toBeGreaterThan(0);
  await sql.query("update es.partition set lease_until = clock_timestamp() - interval '1 s' where owner = 'us'");
  expect(await log.takePartitions('us', 3_000, 16)).toEqual([]);
  expect((await log.keepPartitions('us', 3_000)).owned).toEqual(holding.rows.map(({ p }) => p));
});

it('a database that does not answer fails what waits for it, and nothing after that', async () => {
  const impatient = new EventLog({ url: database.orchestratorUrl, answerWithinMs: 200 });
  const lane = new CommitLane(impatient);
  const epoch = await epochOf(8);
  const holder = await sql.connect();
  await holder.query('begin; select from es.partition where p = 8 for update');
  await expect(lane.commit(write(8, 'waits'), epoch)).rejects.toThrow(StoreUnavailable);
  await holder.query('rollback');
  holder.release();
  await expect(lane.commit(write(8, 'after'), epoch)).resolves.toBeTypeOf('number');
  await impatient.close();
});
