import type { Stack } from '@mandate/local';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { setTimeout as wait } from 'node:timers/promises';
import pg from 'pg';
import type { Bench, Item } from '../bench.ts';
import { measureInChild } from '../child.ts';
import type { Figure } from '../figure.ts';
import { peakMegabytes, watchOthers } from '../process-cpu.ts';
import { median, rounded } from '../statistics.ts';
import { startServers, storeEnvironment } from '../store-stack.ts';

const EVENTS = Number(process.env['MANDATE_BENCH_EVENTS'] ?? 1_000_000);
const EVENTS_PER_WORKFLOW = 11;
/** The promise is about a million. */
const VERIFIED_WITHIN = EVENTS >= 1_000_000 ? { target: { atMost: 30 } } : {};
const LOOK_MS = 100;
const SETTLED_WITHIN_MS = 1_800_000;

/** What grows with the log: filling it, following it, its size, and the auditor's commands over all of it. Taken once each. */
export const million: Item = {
  name: 'million',
  title: `A log of ${EVENTS.toLocaleString('en-US')} events: filled, followed, sealed, verified, taken out`,
  measure: async (bench) => {
    if (!(EVENTS > 0)) throw new Error(`MANDATE_BENCH_EVENTS is "${process.env['MANDATE_BENCH_EVENTS']}": it is a number of events`);
    const servers = await startServers(bench, { projector: 1 });
    const database = new pg.Client({ connectionString: servers.postgres.url('mandate') });
    database.on('error', () => undefined);
    try {
      await database.connect();
      const filled = await fill(bench, servers, database);
      const bytes = await bytesPerEvent(database, filled.events);
      const audited = await audit(bench, servers);
      return {
        figures: [...filled.figures, ...bytes.figures, ...audited],
        details: { events: filled.events, unprojectedAtTheEnd: filled.unprojected, unsealedAtTheEnd: filled.unsealed, ...bytes.details },
      };
    } finally {
      await database.end();
      await servers.stop();
    }
  },
};

interface Filled extends Left {
  readonly events: number;
  readonly figures: readonly Figure[];
}

/** Fills the log while the projector follows it, then waits until it has followed and signed all of it. */
async function fill(bench: Bench, servers: Stack, database: pg.Client): Promise<Filled> {
  const others = watchOthers();
  const { events, seconds } = await measureInChild<{ events: number; seconds: number }>('test/bench/programs/fill-log-main.ts', {
    ...storeEnvironment(servers, 'orchestrator'),
    WORKFLOWS: String(Math.ceil(EVENTS / EVENTS_PER_WORKFLOW)),
  });
  const coresOfOthers = others();
  const ended = performance.now();
  const atTheEnd = await leftOver(database);
  bench.say(`filled with ${events} events in ${seconds.toFixed(1)} s; ${atTheEnd.unprojected} to project, ${atTheEnd.unsealed} to seal`);
  const settled = await settle(database, ended);
  bench.say(`projected ${settled.projected.toFixed(1)} s, sealed ${settled.sealed.toFixed(1)} s after that`);
  const figure = (name: string, unit: Figure['unit'], value: number): Figure => ({ name, unit, value: rounded(value), coresOfOthers });
  return {
    ...atTheEnd,
    events,
    figures: [
      figure('filling it, a projector beside it', 'events/s', events / seconds),
      figure('from its last event until all read models have it', 's', settled.projected),
      figure('from its last event until a signed checkpoint covers it (looked for every 10 s)', 's', settled.sealed),
      figure('the projector that followed and sealed it, most memory', 'MB', peakMegabytes(servers.service('projector').pid())),
    ],
  };
}

/** Events of the log that are in no read model, and those that no signed checkpoint covers. */
interface Left {
  readonly unprojected: number;
  readonly unsealed: number;
}

async function leftOver(database: pg.Client): Promise<Left> {
  const { rows } = await database.query<Left>(
    `select sum(s.next_pos - coalesce(k.size, 0))::float8 as unsealed, sum(s.next_pos - coalesce(r.next_position, 0))::float8 as unprojected
     from es.log l cross join es.partition s
     left join ${await readSlot(database)}.checkpoint r on r.p = s.p
     left join lateral (select max(c.size) as size from proof.checkpoint c where c.incarnation = l.incarnation and c.p = s.p) k on true`,
  );
  return rows[0] ?? { unprojected: Infinity, unsealed: Infinity };
}

/** The schema of the read models that answer. */
async function readSlot(database: pg.Client): Promise<string> {
  const { rows } = await database.query<{ slot: string }>("select slot from read.generation where state <> 'gone' order by state desc");
  return rows[0]?.slot ?? 'read_a';
}

/** @returns seconds from `since` until nothing was left. @throws when that takes half an hour */
async function settle(database: pg.Client, since: number): Promise<{ readonly projected: number; readonly sealed: number }> {
  let [projected, sealed]: (number | undefined)[] = [];
  for (;;) {
    const left = await leftOver(database);
    const now = performance.now();
    if (left.unprojected === 0) projected ??= (now - since) / 1_000;
    if (left.unsealed === 0) sealed ??= (now - since) / 1_000;
    if (projected !== undefined && sealed !== undefined) return { projected, sealed };
    if (now - since > SETTLED_WITHIN_MS)
      throw new Error(`${left.unprojected} events to project and ${left.unsealed} to seal half an hour later`);
    await wait(LOOK_MS);
  }
}

/** Tables with their indexes, as they lie on the disk. */
async function bytesPerEvent(
  database: pg.Client,
  events: number,
): Promise<{ readonly figures: readonly Figure[]; readonly details: Readonly<Record<string, unknown>> }> {
  const slot = await readSlot(database);
  const { rows } = await database.query<{ schema: string; name: string; bytes: number }>(
    `select n.nspname as schema, regexp_replace(c.relname, '_p\\d+$', '') as name, sum(pg_total_relation_size(c.oid))::float8 as bytes
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'm') and n.nspname = any($1) group by 1, 2 order by 1, 2`,
    [['es', 'proof', slot]],
  );
  const figure = (name: string, schema: string): Figure => ({
    name: `on disk, per event: ${name}`,
    unit: 'bytes',
    value: rounded(rows.reduce((sum, row) => sum + (row.schema === schema ? row.bytes : 0), 0) / events),
  });
  return {
    figures: [figure('the log (es)', 'es'), figure('its proofs (proof)', 'proof'), figure('read models', slot)],
    details: { bytesPerEvent: Object.fromEntries(rows.map((row) => [`${row.schema}.${row.name}`, rounded(row.bytes / events)])) },
  };
}

/** A command of the auditor: seconds from its start to its end, and the most memory that it had. */
interface Audited {
  readonly seconds: number;
  readonly peakMegabytes: number;
  readonly coresOfOthers: number;
}

async function audit(bench: Bench, servers: Stack): Promise<readonly Figure[]> {
  const key = ['--key', servers.secrets.checkpointPublicKeyFile];
  const { DATABASE_URL = '' } = storeEnvironment(servers, 'projector');
  const run = async (env: Readonly<Record<string, string>>, ...args: readonly string[]): Promise<Audited> => {
    const others = watchOthers();
    const found = await measureInChild<Audited>('test/bench/programs/audit-main.ts', env, [...args, ...key]);
    bench.say(`audit ${args.slice(0, 2).join(' ')}: ${found.seconds.toFixed(1)} s, at most ${Math.round(found.peakMegabytes)} MB`);
    return { ...found, coresOfOthers: others() };
  };
  const [first, second] = [join(bench.folder, 'first.ndjson'), join(bench.folder, 'second.ndjson')];
  const verified = await run({ DATABASE_URL }, 'verify');
  const taken = await run({ DATABASE_URL }, 'events', '--out', first);
  const offline = await run({}, 'verify', 'events', first);
  const again = await run({ DATABASE_URL }, 'events', '--out', second);
  const isSame = (await sha256(first)) === (await sha256(second));
  const megabytes = (await stat(first)).size / 1e6;
  await Promise.all([first, second].map((file) => rm(file)));
  return [
    ...figuresOf('audit verify, the whole log', [verified]),
    ...figuresOf('audit events, all of them into a file, read again', [taken, again]),
    { name: 'its size', unit: 'MB', value: rounded(megabytes) },
    { name: 'a second file that is not the same bytes', unit: 'files', value: isSame ? 0 : 1, target: { atMost: 0 } },
    ...figuresOf('audit verify events, that file without the log', [offline], VERIFIED_WITHIN),
  ];
}

function figuresOf(name: string, runs: readonly Audited[], target: Pick<Figure, 'target'> = {}): readonly Figure[] {
  const [seconds, peaks] = [runs.map((run) => rounded(run.seconds)), runs.map((run) => rounded(run.peakMegabytes))];
  const coresOfOthers = median(runs.map((run) => run.coresOfOthers));
  return [
    { name, unit: 's', value: median(seconds), rounds: seconds, coresOfOthers, ...target },
    { name: `${name}: most memory`, unit: 'MB', value: Math.max(...peaks), coresOfOthers },
  ];
}

async function sha256(file: string): Promise<string> {
  const digest = createHash('sha256');
  await pipeline(createReadStream(file), digest);
  return digest.digest('hex');
}
