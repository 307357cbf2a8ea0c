/** Time to recover from kill -9 of each service with 200 workflows in flight, and what was lost or done twice. */
import { type QueryReply, type ServiceName, subjects } from '@mandate/contracts';
import { type Stack, startStack, type SupervisedProcess } from '@mandate/local';
import { Bus } from '@mandate/messaging';
import { mcpPrograms, startStubModel, type StubModel } from '@mandate/test-kit';
import { existsSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import type { Bench, Item } from '../bench.ts';
import { TENANT } from '../bus-door.ts';
import type { Figure } from '../figure.ts';
import { HttpDoor } from '../http-door.ts';
import { median, rounded } from '../statistics.ts';
import { Movements } from '../movements.ts';
import { until } from '../until.ts';

const IN_FLIGHT = 200;
/** Each asks the model 9 times, 100 ms each, and counts 8 times with a tool that must not be repeated. */
const TASK = `Count. [[plan: ${Array.from({ length: 8 }, () => 'tool counter__increment {}').join('; ')}; say counted]] [[delay:100]]`;
const VICTIMS = ['orchestrator', 'llm-router', 'tool-runner', 'projector', 'gateway'] as const satisfies readonly ServiceName[];
/** Nobody is killed: how long it takes until each of so many workflows has moved anyway. */
const CONTROL = 'nobody';
type Victim = (typeof VICTIMS)[number] | typeof CONTROL;
/** Results that were already on their way when a service died prove nothing. */
const IN_TRANSIT_MS = 100;
const PATIENCE_MS = 120_000;

export const recovery: Item = {
  name: 'recovery',
  title: `kill -9 of one service with ${IN_FLIGHT} workflows in flight`,
  measure: async (bench) => {
    const restarted = await withWorld(bench, 1, (world) => killEach(bench, world, restartAfterKill));
    const replaced = await withWorld(bench, 2, (world) => killEach(bench, world, leaveDead));
    return {
      figures: [...figuresOf(restarted, 'after the restart', 1_000), ...figuresOf(replaced, 'without a restart (another replica)', 5_000)],
      details: { restarted, replaced },
    };
  },
};

interface World {
  readonly stack: Stack;
  readonly bus: Bus;
  readonly door: HttpDoor;
  readonly movements: Movements;
  readonly model: StubModel;
  readonly sql: pg.Pool;
  /** How often the counting tool really ran. */
  readonly counted: () => number;
}

interface Outage {
  /** Workflows that were open when the service died. */
  readonly inFlight: number;
  /** From the kill until the new process said that it is ready; 0 without a restart. */
  readonly readyAfterMs: number;
  /** From that moment until every workflow had a new event. */
  readonly movingAfterMs: number;
  /** Until the service answered again (gateway), or its read models had caught up (projector). */
  readonly servesAfterMs: number;
  /** Submitted and never ended. */
  readonly lost: number;
  /** Effects beyond those whose start was committed, and model requests beyond those that were reserved. */
  readonly doubled: number;
}

interface Found {
  readonly victim: Victim;
  readonly outages: readonly Outage[];
}

type Interruption = (victim: SupervisedProcess) => Promise<{ readonly since: number; readonly readyAfterMs: number }>;

async function killEach(bench: Bench, world: World, interrupt: Interruption): Promise<readonly Found[]> {
  const found: Found[] = [];
  const victims: readonly Victim[] = [CONTROL, ...VICTIMS];
  for (const victim of victims) {
    const outages: Outage[] = [];
    for (let round = 1; round <= bench.rounds; round++) {
      const outage = await oneOutage(world, victim, interrupt);
      outages.push(outage);
      bench.say(
        `${victim === CONTROL ? 'nobody killed' : `kill -9 ${victim}`}, round ${round} of ${bench.rounds}: ${outage.inFlight} in flight, ready after ${Math.round(outage.readyAfterMs)} ms, all moving ${Math.round(outage.movingAfterMs)} ms later, ${outage.lost} lost, ${outage.doubled} doubled`,
      );
    }
    found.push({ victim, outages });
  }
  return found;
}

async function oneOutage(world: World, name: Victim, interrupt: Interruption): Promise<Outage> {
  const { movements } = world;
  movements.forget();
  const doubledBefore = await doubledSoFar(world);
  const workflows = await Promise.all(Array.from({ length: IN_FLIGHT }, () => accepted(world.door)));
  await until('every workflow has had two results', () => (workflows.every((id) => movements.settled(id) >= 2) ? true : undefined));
  const victim = name === CONTROL ? undefined : world.stack.service(name);
  const { since, readyAfterMs } = victim === undefined ? { since: Date.now(), readyAfterMs: 0 } : await interrupt(victim);
  const open = workflows.filter((id) => !movements.hasEndedBefore(id, since));
  const [moved, served] = await Promise.all([
    until('every workflow moves again', () => movements.allMovedSince(open, since), PATIENCE_MS),
    servesAgain(world, name),
  ]);
  if (victim?.pid() === 0) await victim.restart();
  const ended = (): number => workflows.filter((id) => movements.hasEnded(id)).length;
  await until('every workflow ends', () => (ended() === workflows.length ? true : undefined), PATIENCE_MS).catch(() => undefined);
  return {
    inFlight: open.length,
    readyAfterMs,
    movingAfterMs: Math.max(0, moved - since),
    servesAfterMs: Math.max(0, served - since),
    lost: workflows.length - ended(),
    doubled: (await doubledSoFar(world)) - doubledBefore,
  };
}

/** SIGKILL and an immediate restart, as a supervisor does. Movement counts from its readiness on. */
const restartAfterKill: Interruption = async (victim) => {
  const killedAt = Date.now();
  await victim.kill();
  await victim.restart();
  const since = Date.now();
  return { since, readyAfterMs: since - killedAt };
};

/** SIGKILL of the first of two: the other one has to do. */
const leaveDead: Interruption = async (victim) => {
  await victim.kill();
  return { since: Date.now() + IN_TRANSIT_MS, readyAfterMs: 0 };
};

/** When a service does what it owes besides the movement of workflows, which need neither door nor read models to go on. */
async function servesAgain({ door, bus, sql }: World, name: Victim): Promise<number> {
  if (name === 'gateway')
    await until(
      'the gateway answers again',
      async () => ((await door.send('GET', '/api/v1/tasks?limit=1').catch(() => undefined))?.status === 200 ? true : undefined),
      PATIENCE_MS,
    );
  if (name === 'projector') {
    const { rows } = await sql.query<{ p: number; head: string }>('select p, next_pos as head from es.partition');
    const heads = new Map(rows.map((row) => [row.p, Number(row.head)]));
    await until(
      'the read models reach the log as it stood',
      async () => {
        const reply = (await bus.ask(subjects.query('projector', 'projection.status'), '{}', 1_000).catch(() => undefined)) as
          | QueryReply<'projection.status'>
          | undefined;
        return reply?.ok === true && reply.value.partitions.every((one) => one.position >= (heads.get(one.partition) ?? 0))
          ? true
          : undefined;
      },
      PATIENCE_MS,
    );
  }
  return Date.now();
}

async function accepted(door: HttpDoor): Promise<string> {
  const answer = await door.send('POST', '/api/v1/tasks', { task: TASK, options: { pattern: 'direct' } });
  if (answer.status !== 202) throw new Error(`the gateway answered ${answer.status}: ${answer.body.slice(0, 300)}`);
  return (JSON.parse(answer.body) as { data: { workflowId: string } }).data.workflowId;
}

/** What happened more often than the log allowed, by oracles outside of the system. */
async function doubledSoFar({ sql, counted, model }: World): Promise<number> {
  const { rows } = await sql.query<{ starts: number; asks: number }>(
    `select count(*) filter (where type = 'attempt.started')::int as starts,
            count(*) filter (where type = 'attempt.reserved' and envelope->'data'->'owes'->>'kind' = 'llm')::int as asks from es.event`,
  );
  const { starts = 0, asks = 0 } = rows[0] ?? {};
  return Math.max(0, counted() - starts) + Math.max(0, model.bill().requests - asks);
}

function figuresOf(found: readonly Found[], when: string, atMostMs: number): readonly Figure[] {
  const killed = found.filter(({ victim }) => victim !== CONTROL);
  const total = (pick: (outage: Outage) => number): number =>
    killed.flatMap(({ outages }) => outages).reduce((sum, outage) => sum + pick(outage), 0);
  return [
    ...found.flatMap(({ victim, outages }) => timesOf(victim, outages, victim === CONTROL ? 'the same load' : when, atMostMs)),
    { name: `all kills, ${when}: lost`, unit: 'workflows', value: total((outage) => outage.lost), target: { atMost: 0 } },
    { name: `all kills, ${when}: done twice`, unit: 'attempts', value: total((outage) => outage.doubled), target: { atMost: 0 } },
  ];
}

function timesOf(victim: Victim, outages: readonly Outage[], when: string, atMostMs: number): readonly Figure[] {
  const name = victim === CONTROL ? `nobody killed, ${when}` : `kill -9 ${victim}, ${when}`;
  const time = (what: string, pick: (outage: Outage) => number): Figure => {
    const rounds = outages.map((outage) => Math.round(pick(outage)));
    return {
      name: `${name}: ${what}`,
      unit: 'ms',
      value: rounded(median(rounds)),
      rounds,
      ...(victim === CONTROL ? {} : { target: { atMost: atMostMs } }),
    };
  };
  const moving = time('every workflow moved', (outage) => outage.movingAfterMs);
  if (victim === 'gateway') return [moving, time('answers', (outage) => outage.servesAfterMs)];
  if (victim === 'projector') return [moving, time('read models caught up', (outage) => outage.servesAfterMs)];
  return [moving];
}

async function withWorld<T>(bench: Bench, replicas: number, work: (world: World) => Promise<T>): Promise<T> {
  const counterFile = join(bench.folder, `counter-${replicas}.txt`);
  const toolsFile = join(bench.folder, `tools-${replicas}.json`);
  const grants = [{ tools: ['increment'], effect: 'non_idempotent' }];
  await writeFile(
    toolsFile,
    JSON.stringify({
      servers: [
        {
          name: 'counter',
          transport: 'stdio',
          command: process.execPath,
          args: [mcpPrograms.counter],
          env: { COUNTER_FILE: counterFile },
          tenants: [TENANT],
          grants,
        },
      ],
    }),
  );
  const model = await startStubModel({ remember: false });
  const instances = {
    analyzer: 1,
    gateway: replicas,
    orchestrator: replicas,
    'llm-router': replicas,
    'tool-runner': replicas,
    projector: replicas,
  };
  const stack = await startStack({ home: join(bench.folder, `home-${replicas}`), modelUrl: model.url, toolsFile, instances });
  const bus = await Bus.connect({ servers: stack.nats.url, user: 'gateway', password: stack.nats.password('gateway'), name: 'bench' });
  const sql = new pg.Pool({ connectionString: stack.postgres.url('mandate'), max: 1 }).on('error', () => undefined);
  const movements = new Movements(bus);
  const door = new HttpDoor({ url: stack.gatewayUrls.at(-1) ?? stack.gatewayUrl, apiKey: stack.apiKey(TENANT), bus });
  try {
    return await work({
      stack,
      bus,
      door,
      movements,
      model,
      sql,
      counted: () => (existsSync(counterFile) ? readFileSync(counterFile, 'utf8').split('\n').length - 1 : 0),
    });
  } finally {
    movements.stop();
    door.stop();
    await Promise.all([bus.close(), sql.end()]);
    await stack.stop();
    await model.stop();
  }
}
