/** Each thing is broken in turn, and named. */
import { type Stack, startStack } from '@mandate/local';
import { chmod, mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'nats';
import pg from 'pg';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { readRunFile } from '../../infra/local/src/run-file.ts';
import { CHECKS, type Patient, SELF_TEST } from '../../infra/local/src/doctor/checks.ts';
import { examine, type Finding } from '../../infra/local/src/doctor/examine.ts';

let home: string;
let stack: Stack;
let patient: Patient;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mandate-doctor-'));
  stack = await startStack({ home });
  const run = await readRunFile(home);
  if (run === undefined) throw new Error('the stack does not describe itself');
  patient = { home, run };
}, 60_000);
afterAll(async () => {
  await stack?.stop();
  await rm(home, { recursive: true, force: true });
});

async function wrong(who: Patient = patient): Promise<Readonly<Record<string, Finding>>> {
  const found: Record<string, Finding> = {};
  for await (const finding of examine(who, CHECKS)) if (!finding.ok) found[finding.check] = finding;
  return found;
}

async function onLog(statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: patient.run.postgres.url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

test('a stack that is whole, and what a task through it costs', async () => {
  await expect.poll(async () => wrong(), { timeout: 10_000 }).toEqual({});
  const findings: Finding[] = [];
  for await (const finding of examine(patient, [SELF_TEST])) findings.push(finding);
  expect(findings).toEqual([{ check: 'a task', ok: true, found: expect.stringMatching(/^wf_\S+ completed in \d+ ms for \$0\.\d+$/) }]);
});

test('services that do not run', async () => {
  const services = patient.run.services.filter(({ name }) => !name.startsWith('analyzer') && !name.startsWith('tool-runner'));
  expect((await wrong({ ...patient, run: { ...patient.run, services } }))['services']?.found).toBe('no analyzer, no tool-runner runs');
});

test('a secret that others can read', async () => {
  const file = join(patient.home, 'secrets', 'nats.json');
  await chmod(file, 0o644);
  expect((await wrong())['secrets']).toMatchObject({
    found: expect.stringContaining('nats.json can be read by others'),
    helps: `chmod 600 ${file}`,
  });
  await chmod(file, 0o600);
});

test('a master key that is gone', async () => {
  const file = join(patient.home, 'secrets', 'master.key');
  await rename(file, `${file}.away`);
  expect((await wrong())['secrets']?.found).toContain('master.key is missing');
  await rename(`${file}.away`, file);
});

test('a stream that somebody changed, and a consumer that somebody removed', async () => {
  const nc = await connect({ servers: stack.nats.url, user: 'admin', pass: stack.nats.password('admin') });
  const manager = await nc.jetstreamManager();
  await manager.streams.update('EVT', { max_msgs: 7 });
  expect((await wrong())['streams and consumers']?.found).toMatch(/stream EVT.*max_msgs/);
  await manager.consumers.delete('IN', 'orchestrator-p3');
  expect((await wrong())['streams and consumers']?.found).toContain('orchestrator-p3');
  await nc.close();
});

test('a migration that was edited, a partition without an owner, a workflow that is not projected', async () => {
  await onLog("update public.migration set sha256 = 'x' where name = '0001_log.sql'");
  expect((await wrong())['migrations']?.found).toBe('log/0001_log.sql was edited');
  // Its orchestrator takes it again within a second.
  await vi.waitFor(async () => {
    await onLog("update es.partition set lease_until = now() - interval '1 hour', owner = null where p = 5");
    expect((await wrong())['partitions']?.found).toBe('nobody owns partition 5');
  });
  await onLog(
    "insert into read_a.parked (workflow, p, tenant, version, pos, type, reason, at) values ('wf_00_x', 0, 'acme', 1, 1, 'moon.landed', 'unknown', 0)",
  );
  expect((await wrong())['read models']?.found).toBe('1 workflows are not projected any further');
});

test('a service that died, and a Postgres that is gone', async () => {
  const services = patient.run.services.map((each) => (each.name.startsWith('projector') ? { ...each, url: 'http://127.0.0.1:9' } : each));
  const run = { ...patient.run, services, postgres: { url: 'postgres://x@127.0.0.1:9/mandate' } };
  const found = await wrong({ ...patient, run });
  const ofPostgres = ['postgres', 'migrations', 'clock', 'partitions', 'read models', 'checkpoints', 'parked messages'];
  for (const check of ofPostgres)
    expect(found[check], check).toMatchObject({
      found: expect.stringContaining('ECONNREFUSED'),
      helps: expect.stringContaining('npm start'),
    });
  expect(found['services']?.found).toBe('projector-1 does not answer');
});
