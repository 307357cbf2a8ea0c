import { makeSigningKey, openCheckpoint, originOf, sealedLeaves, type SigningKey, verifyPartition } from '@mandate/audit';
import { chain, ProofStore } from '@mandate/event-store';
import { createLogger } from '@mandate/service-kit';
import { type FreshDatabase, freshDatabase } from '@mandate/test-kit';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { exampleWorkflow } from '../example-log.ts';
import { readSigningKey, Sealer } from './sealer.ts';

const P = 2;
const stream = exampleWorkflow(2, P);
const key = makeSigningKey('mandate/log');
let database: FreshDatabase;
let sql: pg.Client;
let store: ProofStore;
let head: Buffer = Buffer.alloc(32);
let version = 0;

beforeAll(async () => {
  database = await freshDatabase();
  sql = new pg.Client({ connectionString: database.url });
  await sql.connect();
  store = ProofStore.open({ url: database.projectorUrl });
});

afterAll(async () => {
  await store?.close();
  await sql?.end();
  await database?.drop();
});

async function append(count: number): Promise<void> {
  const events = Array.from({ length: count }, () => {
    const at = 1_000 + version++;
    const envelope = JSON.stringify({
      id: `${stream}-${version}`,
      type: 'step.done',
      schema: 1,
      stream,
      version,
      tenant: 'acme',
      at,
      data: {},
    });
    head = chain(head, envelope);
    return { version, envelope, hash: head.toString('hex'), at };
  });
  await sql.query(
    `insert into es.event (p, pos, stream_id, version, tenant_id, type, envelope, hash, at)
     select $1, (e->>'version')::int - 1, $2, (e->>'version')::int, 'acme', 'step.done', (e->>'envelope')::json, decode(e->>'hash', 'hex'), to_timestamp((e->>'at')::int / 1000.0)
     from json_array_elements($3) e`,
    [P, stream, JSON.stringify(events)],
  );
  await sql.query('update es.partition set next_pos = $2 where p = $1', [P, version]);
}

const told: string[] = [];
const log = Object.assign(createLogger('projector', 'test', 'silent'), {
  error: (_: unknown, text: string) => void told.push(text),
});
const sealing = async (work: () => Promise<void>, signing: SigningKey = key): Promise<void> => {
  const sealers = [1, 2].map(() => new Sealer({ store, key: signing, everyMs: 20, log, metrics: new Registry() }));
  try {
    await work();
  } finally {
    await Promise.all(sealers.map((sealer) => sealer.stop()));
  }
};
const sealed = async (): Promise<number> => (await store.state()).partitions.find(({ partition }) => partition === P)?.sealed ?? -1;

test('two sealers sign all that is committed, and what they keep is one line of checkpoints', async () => {
  await append(3);
  await sealing(async () => {
    await vi.waitFor(async () => expect(await sealed()).toBe(3), 5_000);
    await append(9_000);
    await vi.waitFor(async () => expect(await sealed()).toBe(9_003), 10_000);
  });
  const { incarnation } = await store.state();
  const kept = await store.checkpoints(incarnation, P);
  expect(kept.map(({ first, size }) => [first, size])).toEqual([
    [0, 3],
    [3, 8_195],
    [8_195, 9_003],
  ]);
  const leaves = sealedLeaves(kept, originOf(incarnation, P), key.verifier);
  expect(leaves.problem).toBeUndefined();
  const pages = (async function* () {
    yield await store.rows(P, 0, 10_000);
  })();
  expect(await verifyPartition({ partition: P, pages, sealed: leaves, head: 9_003 })).toEqual({
    partition: P,
    events: 9_003,
    streams: 1,
    sealed: 9_003,
  });
});

test('a log that was cut off is not signed any further, and that is said', async () => {
  await sql.query("set session_replication_role = 'replica'");
  await sql.query('update es.partition set next_pos = 9000 where p = $1', [P]);
  await sealing(() => vi.waitFor(() => expect(told).toContain('not sealed: run audit verify (docs/audit.md)'), 5_000));
  await sql.query('update es.partition set next_pos = 9003 where p = $1', [P]);
  expect(await sealed()).toBe(9_003);
});

test('an event that is missing, or a key that did not sign the last checkpoint, ends the signing too', async () => {
  await append(2);
  told.length = 0;
  await sealing(() => vi.waitFor(() => expect(told.length).toBeGreaterThan(0), 5_000), makeSigningKey('mandate/log'));
  expect(await sealed()).toBe(9_003);
  await sql.query('delete from es.event where p = $1 and pos = 9004', [P]);
  told.length = 0;
  await sealing(() => vi.waitFor(() => expect(told.length).toBeGreaterThan(0), 5_000));
  expect(await sealed()).toBe(9_003);
});

test('a restored log is another one: its tree begins anew', async () => {
  await sql.query('update es.log set incarnation = gen_random_uuid()');
  await sql.query('update es.partition set next_pos = 9003 where p = $1', [P]);
  await sealing(() => vi.waitFor(async () => expect(await sealed()).toBe(9_003), 10_000));
  const { incarnation } = await store.state();
  const newest = await store.newest(incarnation, P);
  expect(openCheckpoint(newest?.note ?? '', [key.verifier])).toMatchObject({ origin: originOf(incarnation, P), size: 9_003 });
});

test('a key file that is none is refused before anything is signed', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'mandate-sealer-'));
  await writeFile(join(folder, 'key'), 'hello');
  await expect(readSigningKey(join(folder, 'key'))).rejects.toThrow(/holds no key to sign checkpoints with\. Make one with/);
  await writeFile(join(folder, 'key'), `${key.text}\n`);
  expect((await readSigningKey(join(folder, 'key'))).verifier.text).toBe(key.verifier.text);
  await rm(folder, { recursive: true });
});
