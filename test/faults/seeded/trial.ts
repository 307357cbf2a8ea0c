import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { SERVICES } from '@mandate/contracts';
import { repositoryRoot } from '@mandate/local';
import { mcpPrograms } from '@mandate/test-kit';
import { startWorld, until, type World, type WorldOptions } from '../../world.ts';
import { type SmallDisk, smallDisk } from './disk.ts';
import { Draw } from './draw.ts';
import { fakeClockLibrary, type FalseClock, falseClock } from './false-clock.ts';
import {
  FAULT_KINDS,
  type FaultKind,
  type FaultKindSpec,
  FAULTS,
  MOST_INSTANCES,
  type Need,
  type PlannedFault,
  type Site,
} from './fault-kinds.ts';
import { checkInvariants, InvariantViolated, leftBehind, type Outcome, rememberKeys } from './invariants.ts';
import { Load } from './load.ts';
import { openGate, type TcpGate } from './tcp-gate.ts';

/** What a seed may do. */
export interface TrialOptions {
  readonly kinds?: readonly FaultKind[];
  /** How long tasks are submitted. @default drawn: 8 to 20 s */
  readonly loadMs?: number;
  /** @default drawn: 1 to 4 */
  readonly faults?: number;
  /** No freeze is longer. @default 30 s */
  readonly longestMs?: number;
  /** Fetch what a kind of fault needs and this machine lacks. @default false */
  readonly fetch?: boolean;
  /** Keep the data folder when it fails, to look at it. @default false */
  readonly keep?: boolean;
  /** Folder of another build, which every second instance of a service runs. @default none */
  readonly beside?: string;
}

export interface TrialReport {
  readonly seed: number;
  readonly kinds: readonly FaultKind[];
  readonly instances: Readonly<Record<string, number>>;
  /** What happened when, in seconds after the load began. */
  readonly record: readonly string[];
  readonly outcome: Outcome | undefined;
  /** The first invariant that does not hold. */
  readonly violated: string | undefined;
  readonly home: string;
}

/** Kinds of faults that cannot be caused on this machine, with the reason. */
export function impossibleKinds(fetch = false): ReadonlyMap<FaultKind, string> {
  const library = clockLibrary(fetch);
  return new Map(
    FAULT_KINDS.flatMap((kind) => {
      const why = specOf(kind).impossible?.(library);
      return why === undefined ? [] : [[kind, why] as const];
    }),
  );
}

const specOf = (kind: FaultKind): FaultKindSpec => FAULTS[kind];
const clockLibrary = (fetch: boolean): string | undefined => fakeClockLibrary(join(repositoryRoot, '.cache', 'faketime'), fetch);

/**
 * One seed: a stack of its own, random tasks through random doors, random faults at random moments, and then, when all is
 * healed, every invariant. The seed decides all of it; how far the processes have come when a fault hits them is up to the machine.
 */
export async function tryOnce(seed: number, options: TrialOptions = {}): Promise<TrialReport> {
  const draw = new Draw(seed);
  const faults = planFaults(draw.branch(), options);
  const needs = new Set(faults.flatMap(({ kind }) => specOf(kind).needs ?? []));
  const instances = Object.fromEntries(SERVICES.map((name) => [name, options.beside === undefined ? draw.int(1, 2) : 2]));
  const home = await mkdtemp(join(tmpdir(), 'mandate-seed-'));
  const record: string[] = [];
  const report = { seed, kinds: faults.map(({ kind }) => kind), instances, record, home };
  const around = await surroundings(home, needs, options.fetch ?? false);
  let world: World | undefined;
  let violated: string | undefined;
  let outcome: Outcome | undefined;
  try {
    world = await startWorld({
      ...loadedWorld(home),
      durability: needs.has('fsync') ? 'on' : 'off',
      envOf: (instance, natsUrl) => environmentOf(around, instance, natsUrl),
      buildOf: (instance) => (Number(instance.split('-').at(-1)) % 2 === 0 ? options.beside : undefined),
      instances,
    });
    outcome = await underFire(world, { draw, faults, around, record, home, options });
  } catch (error) {
    violated = error instanceof InvariantViolated ? error.message : `${(error as Error).stack}`;
  }
  await world
    ?.stop({ keep: options.keep === true && violated !== undefined })
    .catch((error: unknown) => (violated ??= `the stack does not stop: ${String(error)}`));
  await around.close();
  if (options.keep !== true || violated === undefined) await rm(home, { recursive: true, force: true });
  const left = leftBehind(home, processes());
  if (left.length > 0) violated ??= `a process is left behind: ${left.map((pid) => `${pid} ${commandOf(pid)}`).join(', ')}`;
  return { ...report, outcome, violated };
}

function planFaults(draw: Draw, options: TrialOptions): readonly PlannedFault[] {
  const impossible = impossibleKinds(options.fetch);
  const possible = (options.kinds ?? FAULT_KINDS).filter((kind) => !impossible.has(kind));
  const loadMs = options.loadMs ?? 20_000;
  const faults: PlannedFault[] = [];
  for (let i = options.faults ?? draw.int(1, 4); i > 0 && possible.length > 0; i--) {
    const kind = draw.pick(possible);
    const at = draw.int(loadMs * 0.1, loadMs * 0.7);
    faults.push({ kind, at, ...specOf(kind).plan(draw, options.longestMs ?? 30_000) });
  }
  return compatible(faults).toSorted((a, b) => a.at - b.at);
}

/** A small disk lies in memory: it is not slow, and has no room for a copy of itself. A past is returned to once. */
function compatible(faults: readonly PlannedFault[]): readonly PlannedFault[] {
  const first = (kind: FaultKind): PlannedFault | undefined => faults.find((fault) => fault.kind === kind);
  const onDisk = first('older-copy') ?? first('slow-disk');
  return faults.filter(
    (fault) => (fault.kind !== 'older-copy' || fault === first('older-copy')) && (fault.kind !== 'full-disk' || onDisk === undefined),
  );
}

interface Surroundings {
  readonly gates: ReadonlyMap<string, TcpGate>;
  readonly clocks: ReadonlyMap<string, FalseClock>;
  readonly disk: SmallDisk | undefined;
  natsPort: number;
  close(): Promise<void>;
}

async function surroundings(home: string, needs: ReadonlySet<Need>, fetch: boolean): Promise<Surroundings> {
  const names = SERVICES.flatMap((name) => Array.from({ length: MOST_INSTANCES }, (_, n) => `${name}-${n + 1}`));
  const library = needs.has('clocks') ? clockLibrary(fetch) : undefined;
  const around = { natsPort: 0 };
  const gates = new Map<string, TcpGate>();
  if (needs.has('gates')) for (const name of names) gates.set(name, await openGate(() => around.natsPort));
  await mkdir(join(home, 'clocks'), { recursive: true });
  const clocks = new Map(
    library === undefined ? [] : names.map((name) => [name, falseClock(library, join(home, 'clocks', name))] as const),
  );
  const disk = needs.has('small disk') ? smallDisk(join(home, 'postgres'), 400) : undefined;
  const close = async (): Promise<void> => {
    for (const gate of gates.values()) await gate.close();
    disk?.unmount();
  };
  return Object.assign(around, { gates, clocks, disk, close });
}

/** Waits are short, so that what was lost is noticed within a seed. */
const TIMES = {
  MANDATE_QUEUE_MS: '15000',
  MANDATE_LLM_MS: '8000',
  MANDATE_TOOL_MS: '8000',
  MANDATE_ANALYZE_MS: '5000',
  MANDATE_GRACE_MS: '3000',
};

/** A world for `Load`, in a folder of the caller's. */
export function loadedWorld(home: string): WorldOptions {
  const marks = {
    name: 'marks',
    transport: 'stdio',
    command: process.execPath,
    args: [mcpPrograms.marks],
    env: { MARKS_FILE: marksFileIn(home) },
    tenants: ['acme', 'globex'],
    grants: [{ tools: ['put'], effect: 'non_idempotent' }],
  };
  return { home, env: { orchestrator: TIMES }, toolServers: [marks] };
}

export const marksFileIn = (home: string): string => join(home, 'marks.txt');

function environmentOf(around: Surroundings, instance: string, natsUrl: string): Readonly<Record<string, string>> {
  around.natsPort = Number(new URL(natsUrl).port);
  const gate = around.gates.get(instance);
  return { ...(gate === undefined ? {} : { NATS_URL: `nats://127.0.0.1:${gate.port}` }), ...around.clocks.get(instance)?.env };
}

interface Fire {
  readonly draw: Draw;
  readonly faults: readonly PlannedFault[];
  readonly around: Surroundings;
  readonly record: string[];
  readonly home: string;
  readonly options: TrialOptions;
}

async function underFire(world: World, { draw, faults, around, record, home, options }: Fire): Promise<Outcome> {
  await limitGlobex(world);
  const load = await Load.open(world, draw.branch());
  const started = performance.now();
  const note = (what: string): void => void record.push(`${((performance.now() - started) / 1_000).toFixed(2)} s ${what}`);
  const busy = new Map<string, Promise<void>>();
  const using = (thing: string, work: () => Promise<void>): Promise<void> => {
    const turn = (busy.get(thing) ?? Promise.resolve()).then(work);
    busy.set(
      thing,
      turn.catch(() => undefined),
    );
    return turn;
  };
  const site: Site = { world, gates: around.gates, clocks: around.clocks, disk: around.disk, older: undefined, using, note };
  try {
    const loadMs = options.loadMs ?? draw.int(8_000, 20_000);
    const troubles = faults.map(async (fault) => {
      await wait(fault.at);
      note(`fault: ${fault.what}`);
      await fault.carryOut(site).catch((error: unknown) => {
        throw new Error(`${fault.what}: ${(error as Error).message}`, { cause: error });
      });
    });
    const submitting = load.run(() => performance.now() - started > loadMs, draw.int(2, 5));
    const [, ...troubled] = await Promise.allSettled([submitting, ...troubles]);
    note('the last client has its answer, the last fault is over');
    await heal(world);
    note('every service is ready');
    const failed = troubled.find((each) => each.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    rememberKeys(world, load.submitted);
    return await checkInvariants({ world, load, marksFile: marksFileIn(home), older: site.older });
  } finally {
    note('checked');
    await load.close();
  }
}

/** A budget that is enough for some of its tasks at once. */
async function limitGlobex(world: World): Promise<void> {
  const defined = await until(20_000, async () => {
    const answer = await world.api('/api/v1/account/budgets?tenant=globex', {
      method: 'PUT',
      headers: { authorization: `Bearer ${world.stack.secrets.operatorKey}` },
      body: JSON.stringify({ budgets: [{ scope: 'tenant', period: 'total', limitMicroUsd: 3_000_000 }], slots: 6 }),
    });
    return answer.ok ? true : undefined;
  });
  if (defined === undefined) throw new Error('the budget of globex was not defined within 20 s');
}

/** Whatever is down is started; then every service must be ready by itself. */
async function heal({ stack }: World): Promise<void> {
  for (const service of stack.services()) if (service.pid() === 0) await service.restart();
  for (const service of stack.services())
    await service.ready(30_000).catch((error: unknown) => {
      throw new InvariantViolated(`every service is ready within 30 s of the last fault: ${(error as Error).message}`);
    });
}

function processes(): readonly { readonly pid: number; readonly environment: string }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => ({ pid: Number(name), environment: textOf(`/proc/${name}/environ`) + textOf(`/proc/${name}/cmdline`) }));
}

const commandOf = (pid: number): string => textOf(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').slice(0, 200);

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
