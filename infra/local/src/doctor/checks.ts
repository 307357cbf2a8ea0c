/**
 * What can be wrong with a stack, one check each. A check ends with what it found, or with what is wrong and what helps;
 * none changes anything.
 */
import { SERVICES } from '@mandate/contracts';
import { migrationProblems } from '@mandate/event-store';
import { checkProvisioned, ProvisionFailed } from '@mandate/messaging';
import { readdir, readFile, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { followTask, readTask, submitTask } from '../gateway-client.ts';
import { usd } from '../timeline.ts';
import type { RunFile } from '../run-file.ts';

export interface Patient {
  readonly home: string;
  readonly run: RunFile;
}

export interface Check {
  readonly name: string;
  /** @returns what was found @throws Ailing with what is wrong and what helps */
  readonly look: (patient: Patient) => Promise<string>;
}

/** Something is wrong. */
export class Ailing extends Error {
  override readonly name = 'Ailing';
  readonly helps: string;

  constructor(message: string, helps: string) {
    super(message);
    this.helps = helps;
  }
}

const PATIENCE_MS = 3_000;
const LEAST_FREE_BYTES = 1_000_000_000;
const MOST_CLOCK_DIFFERENCE_MS = 1_000;
const MOST_LAG_EVENTS = 10_000;
const MOST_UNSEALED_EVENTS = 10_000;

export const CHECKS: readonly Check[] = [
  { name: 'secrets', look: secrets },
  { name: 'disk', look: disk },
  { name: 'postgres', look: postgres },
  { name: 'migrations', look: migrations },
  { name: 'clock', look: clock },
  { name: 'nats', look: nats },
  { name: 'streams and consumers', look: streams },
  { name: 'services', look: services },
  { name: 'partitions', look: partitions },
  { name: 'read models', look: readModels },
  { name: 'checkpoints', look: checkpoints },
  { name: 'parked messages', look: parked },
  { name: 'gateway', look: gateway },
];

/** Costs a model call or two; so it is asked for. */
export const SELF_TEST: Check = { name: 'a task', look: task };

async function secrets({ home }: Patient): Promise<string> {
  const folder = join(home, 'secrets');
  const files = await readdir(folder).catch(() => [] as string[]);
  if (!files.includes('master.key'))
    throw new Ailing(`${folder}/master.key is missing`, 'Restore the folder from its backup: without it no content can be read.');
  for (const name of files) {
    const { mode } = await stat(join(folder, name));
    if ((mode & 0o077) !== 0) throw new Ailing(`${join(folder, name)} can be read by others`, `chmod 600 ${join(folder, name)}`);
  }
  const key = (await readFile(join(folder, 'master.key'), 'utf8')).trim();
  if (key.length < 64) throw new Ailing(`${folder}/master.key is too short`, 'Restore it from its backup.');
  return `${files.length} files, for their owner alone`;
}

async function disk({ home }: Patient): Promise<string> {
  const { bavail, bsize } = await statfs(home);
  const free = bavail * bsize;
  if (free < LEAST_FREE_BYTES)
    throw new Ailing(`${gigabytes(free)} GB are free for ${home}`, 'Make room: Postgres stops when its disk is full.');
  return `${gigabytes(free)} GB free`;
}

const gigabytes = (bytes: number): string => (bytes / 1e9).toFixed(1);

async function postgres(patient: Patient): Promise<string> {
  const [row] = await query<{ version: string; fsync: string; connections: number; most: number }>(
    patient,
    `select current_setting('server_version') as version, current_setting('fsync') as fsync,
       (select count(*)::int from pg_stat_activity) as connections, current_setting('max_connections')::int as most`,
  );
  if (row === undefined) throw new Error('no row');
  if (row.fsync !== 'on')
    throw new Ailing('fsync is off: a crash of the machine loses what was accepted', 'Set fsync = on in postgresql.conf and restart it.');
  if (row.connections > 0.9 * row.most)
    throw new Ailing(`${row.connections} of ${row.most} connections are in use`, 'Raise max_connections, or run fewer instances.');
  return `version ${row.version}, ${row.connections} of ${row.most} connections`;
}

async function migrations({ run }: Patient): Promise<string> {
  const keysUrl = new URL(run.postgres.url);
  keysUrl.pathname = `${keysUrl.pathname}_keys`;
  const problems = [...(await migrationProblems(run.postgres.url, 'log')), ...(await migrationProblems(keysUrl.href, 'keys'))];
  if (problems.length > 0)
    throw new Ailing(problems.join('; '), 'Start the stack with this build (npm start), or run the build that these databases are of.');
  return 'both databases are of this build';
}

async function clock(patient: Patient): Promise<string> {
  const before = Date.now();
  const [row] = await query<{ now: number }>(patient, 'select extract(epoch from clock_timestamp())::float8 * 1000 as now');
  const difference = Math.round((row?.now ?? 0) - (before + Date.now()) / 2);
  if (Math.abs(difference) > MOST_CLOCK_DIFFERENCE_MS)
    throw new Ailing(
      `the clock of Postgres is ${difference} ms away from this machine's`,
      'Run NTP on both: leases are by the clock of Postgres, deadlines by the orchestrator\u2019s.',
    );
  return `${Math.abs(difference)} ms between Postgres and here`;
}

async function nats({ run }: Patient): Promise<string> {
  const answer = await fetch(`${run.nats.monitorUrl}/varz`, { signal: AbortSignal.timeout(PATIENCE_MS) });
  const {
    version,
    jetstream,
    slow_consumers: slow,
  } = (await answer.json()) as { version: string; jetstream?: { config?: unknown }; slow_consumers: number };
  if (jetstream?.config === undefined)
    throw new Ailing('JetStream is not enabled', 'Start nats-server with the configuration that infra/nats makes.');
  if (slow > 0) throw new Ailing(`${slow} connections were too slow and were cut`, 'Look for a service without CPU time.');
  return `version ${version}`;
}

async function streams({ home, run }: Patient): Promise<string> {
  const passwords = JSON.parse(await readFile(join(home, 'secrets', 'nats.json'), 'utf8')) as Record<string, string>;
  try {
    await checkProvisioned({ servers: run.nats.url, user: 'admin', password: passwords['admin'] ?? '' });
  } catch (error) {
    if (!(error instanceof ProvisionFailed)) throw error;
    throw new Ailing(error.message, 'Start the stack again: it makes what is missing and changes what differs.');
  }
  return 'as the tables say, field by field';
}

async function services({ run }: Patient): Promise<string> {
  const missing = SERVICES.filter((service) => !run.services.some(({ name }) => name.startsWith(service)));
  if (missing.length > 0) throw new Ailing(`no ${missing.join(', no ')} runs`, 'Start it, or the whole stack (npm start).');
  const problems = await Promise.all(
    run.services.map(async ({ name, url }) => {
      const answer = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(PATIENCE_MS) }).catch(() => undefined);
      if (answer === undefined) return `${name} does not answer`;
      const { ok, missing: lacking } = (await answer.json()) as { ok: boolean; missing: readonly string[] };
      return ok ? undefined : `${name} is not ready: ${lacking.join(', ')}`;
    }),
  );
  const wrong = problems.filter((problem) => problem !== undefined);
  if (wrong.length > 0) throw new Ailing(wrong.join('; '), 'Its log says why: <data folder>/logs.');
  return `${run.services.length} processes, all ready`;
}

async function partitions(patient: Patient): Promise<string> {
  const rows = await query<{ p: number; owner: string | null }>(
    patient,
    'select p, owner from es.partition where owner is null or lease_until < clock_timestamp() order by p',
  );
  if (rows.length > 0)
    throw new Ailing(
      `nobody owns partition ${rows.map(({ p }) => p).join(', ')}`,
      'Start an orchestrator; after a kill another one takes over within 5 s.',
    );
  const owners = await query<{ owner: string }>(patient, 'select distinct owner from es.partition');
  return `all owned, by ${owners.length}`;
}

async function readModels(patient: Patient): Promise<string> {
  const [generation] = await query<{ slot: string }>(
    patient,
    "select slot from read.generation where state = 'serving' order by id desc limit 1",
  );
  if (generation === undefined)
    throw new Ailing('no read models serve yet', 'Start a projector, or wait until the ones that are being built have caught up.');
  const [row] = await query<{ lag: number; parked: number }>(
    patient,
    `select (select coalesce(sum(greatest(0, s.next_pos - coalesce(c.next_position, 0))), 0)::float8 from es.partition s left join ${generation.slot}.checkpoint c using (p)) as lag,
       (select count(*)::int from ${generation.slot}.parked where status in ('parked', 'retrying')) as parked`,
  );
  const { lag = 0, parked: streamsParked = 0 } = row ?? {};
  if (lag > MOST_LAG_EVENTS)
    throw new Ailing(`they are ${lag} events behind the log`, 'Start more projectors; look at mandate_projection_lag_events.');
  if (streamsParked > 0)
    throw new Ailing(
      `${streamsParked} workflows are not projected any further`,
      'The projector\u2019s log says which event; a newer build may read it.',
    );
  return `${lag} events behind the log`;
}

async function checkpoints(patient: Patient): Promise<string> {
  const [row] = await query<{ unsealed: number; newest: number | null }>(
    patient,
    `select (select sum(s.next_pos - coalesce((select max(c.size) from proof.checkpoint c where c.p = s.p and c.incarnation = l.incarnation), 0))::float8 from es.partition s) as unsealed,
       (select extract(epoch from clock_timestamp() - max(c.at))::float8 from proof.checkpoint c where c.incarnation = l.incarnation) as newest from es.log l`,
  );
  const { unsealed = 0 } = row ?? {};
  if (unsealed > MOST_UNSEALED_EVENTS)
    throw new Ailing(
      `${unsealed} events are under no signed checkpoint`,
      'Does a projector with MANDATE_CHECKPOINT_KEY_FILE run? Else: npm run audit -- verify.',
    );
  return `${unsealed} events wait to be sealed`;
}

async function parked(patient: Patient): Promise<string> {
  const rows = await query<{ reason: string; n: number }>(
    patient,
    "select reason, count(*)::int as n from es.parked where status in ('parked', 'retrying') group by reason order by n desc",
  );
  return rows.length === 0 ? 'none' : rows.map(({ reason, n }) => `${n} ${reason}`).join(', ');
}

async function gateway({ run }: Patient): Promise<string> {
  const headers = { authorization: `Bearer ${run.gateway.apiKey}` };
  const answer = await fetch(`${run.gateway.url}/api/v1/tasks?limit=1`, { headers, signal: AbortSignal.timeout(2 * PATIENCE_MS) });
  if (!answer.ok)
    throw new Ailing(
      `${run.gateway.url} answers ${answer.status}: ${(await answer.text()).slice(0, 300)}`,
      'Its log says why: <data folder>/logs/gateway.log.',
    );
  return run.gateway.url;
}

async function task({ run }: Patient): Promise<string> {
  const started = performance.now();
  const workflow = await submitTask(run.gateway, 'How many files are there under docs/?', { maxCostMicroUsd: 100_000 });
  for await (const event of followTask(run.gateway, workflow)) void event;
  const { status, costMicroUsd, message } = await readTask(run.gateway, workflow);
  if (status !== 'completed')
    throw new Ailing(
      `${workflow} ended as ${status}: ${message ?? ''}`,
      `Look at its events: ${run.gateway.url}/api/v1/tasks/${workflow}/events`,
    );
  return `${workflow} completed in ${Math.round(performance.now() - started)} ms for ${usd(costMicroUsd)}`;
}

async function query<Row extends pg.QueryResultRow>({ run }: Patient, text: string): Promise<readonly Row[]> {
  const client = new pg.Client({ connectionString: run.postgres.url, connectionTimeoutMillis: PATIENCE_MS, query_timeout: PATIENCE_MS });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query<Row>(text)).rows;
  } finally {
    await client.end();
  }
}
