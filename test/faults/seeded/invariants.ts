import { accountDecisionsOf, decisionsOf, type StoredAccountEvent, type StoredEvent, WORKER_ERRORS } from '@mandate/contracts';
import { dayOf, REFUSALS, replay, replayAccount, RESUMABLE, rootOf, usedOf, type Workflow } from '@mandate/domain';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from '@mandate/local';
import { until, type World } from '../../world.ts';
import type { Load, Submitted } from './load.ts';
import { extentOf, type OlderCopy } from './older-copy.ts';

/** What must be true of a stack after its faults are healed, whatever they were. */
export interface Evidence {
  readonly world: World;
  readonly load: Load;
  /** Names that the marking tool wrote down, one line each. */
  readonly marksFile: string;
  /** Set when Postgres was replaced by an older state: what came after it is forgotten. */
  readonly older: OlderCopy | undefined;
}

export class InvariantViolated extends Error {
  override readonly name = 'InvariantViolated';
}

/** How the tasks ended, for whoever reads the record of a seed. */
export interface Outcome {
  readonly tasks: number;
  readonly events: number;
  /** By `task.completed` or the code of the failure. */
  readonly ends: Readonly<Record<string, number>>;
  readonly unknownEffects: number;
  readonly settledAtWorst: number;
}

const SETTLE_WITHIN_MS = 90_000;
const END = /^task\.(completed|failed|cancelled|rejected)$/;
const KNOWN_CODES: ReadonlySet<string> = new Set([...Object.keys(REFUSALS), ...Object.keys(WORKER_ERRORS)]);

/** @throws InvariantViolated naming the first invariant that does not hold, and where */
export async function checkInvariants(evidence: Evidence): Promise<Outcome> {
  await everyTaskIsConfirmed(evidence);
  await logHasNoGaps(evidence.world);
  await everythingEnds(evidence);
  const streams = await workflowsIn(evidence.world);
  await receiptsAreTrue(evidence, streams);
  await logHasNoGaps(evidence.world);
  const replayed = new Map([...streams].map(([workflow, events]) => [workflow, decidedTheSame(workflow, events)] as const));
  for (const [workflow, events] of streams) endsOnce(workflow, events);
  withinMandates(replayed);
  await moneyIsRight(evidence, streams);
  effectsHappenOnce(evidence, streams);
  await accountsAreRight(evidence, streams);
  await onlyGarbageIsParked(evidence);
  if (evidence.older !== undefined) await onlyTheSuffixIsLost(evidence, evidence.older);
  await logIsProven(evidence.world);
  await readModelsAreFresh(evidence.world);
  return outcomeOf(streams);
}

function must(holds: boolean, invariant: string, detail: () => unknown): asserts holds {
  if (!holds) throw new InvariantViolated(`${invariant}: ${JSON.stringify(detail()).slice(0, 2_000)}`);
}

const gone = ({ older }: Evidence, workflow: string): boolean => older?.mayMiss(workflow) ?? false;

async function everyTaskIsConfirmed({ load }: Evidence): Promise<void> {
  const silent = load.submitted.filter(({ acceptedAt, refused }) => acceptedAt === undefined && refused === undefined);
  must(silent.length === 0, 'every client gets its receipt', () => silent);
  const refused = load.submitted.filter((one) => one.refused !== undefined);
  must(refused.length === 0, 'nothing that is allowed is refused', () => refused);
}

/** No workflow is open, no money is leased, nothing waits on the bus. */
async function everythingEnds({ world, load }: Evidence): Promise<void> {
  const open = (): Promise<readonly { readonly stream_id: string }[]> =>
    world.sql<{ stream_id: string }>("select stream_id from es.stream where open and stream_id ^@ 'wf_'");
  const quiet = await until(SETTLE_WITHIN_MS, async () => ((await open().catch(() => [{}])).length === 0 ? true : undefined));
  if (quiet === true) return;
  const [stuck] = await open();
  const history = await world.history(stuck?.stream_id ?? '');
  must(false, `every accepted task ends within ${SETTLE_WITHIN_MS / 1_000} s of the last fault`, () => ({
    task: load.submitted.find(({ workflow }) => workflow === stuck?.stream_id),
    stuck,
    events: history.slice(-12).map(({ type, version, at, data }) => [version, type, new Date(at).toISOString(), brief(data)]),
  }));
}

const brief = (data: unknown): string => JSON.stringify(data).slice(0, 120);

async function workflowsIn(world: World): Promise<ReadonlyMap<string, readonly StoredEvent[]>> {
  const rows = await world.sql<{ stream_id: string; envelope: StoredEvent }>(
    "select stream_id, envelope from es.event where stream_id ^@ 'wf_' order by stream_id, version",
  );
  return new Map([...Map.groupBy(rows, (row) => row.stream_id)].map(([id, found]) => [id, found.map(({ envelope }) => envelope)]));
}

async function receiptsAreTrue(evidence: Evidence, streams: ReadonlyMap<string, readonly StoredEvent[]>): Promise<void> {
  const { load } = evidence;
  const missing = load.submitted.filter(
    ({ workflow, acceptedAt }) => acceptedAt !== undefined && !streams.has(workflow) && !gone(evidence, workflow),
  );
  must(missing.length === 0, 'what was accepted is in the log', () => missing);
  const ours = new Set(load.submitted.map(({ workflow }) => workflow));
  const foreign = [...streams.keys()].filter((workflow) => !ours.has(workflow));
  must(foreign.length === 0, 'the log holds no task that nobody submitted', () => foreign);
}

async function logHasNoGaps(world: World): Promise<void> {
  const gaps = await world.sql(
    `select s.p, s.stream_id, s.version, e.n, e.last, encode(s.head_hash, 'hex') = e.head as head from es.stream s
     left join lateral (select count(*)::int as n, max(version) as last, (array_agg(encode(hash, 'hex') order by version desc))[1] as head
       from es.event e where e.p = s.p and e.stream_id = s.stream_id) e on true
     where e.n is distinct from s.version or e.last is distinct from s.version or encode(s.head_hash, 'hex') is distinct from e.head`,
  );
  must(gaps.length === 0, 'versions of a stream have no gap and end at its head', () => gaps);
  const holes = await world.sql(
    `select l.p, l.next_pos, e.n, e.last from es.partition l
     left join lateral (select count(*) as n, coalesce(max(pos), -1) as last from es.event e where e.p = l.p) e on true
     where e.n <> l.next_pos or e.last <> l.next_pos - 1`,
  );
  must(holes.length === 0, 'positions of a partition have no gap', () => holes);
  const liars = await world.sql(
    `select p, pos, stream_id, version, type, envelope->>'id' as id, envelope->>'version' as says from es.event
     where envelope->>'id' <> stream_id || '-' || version or (envelope->>'version')::int <> version or envelope->>'type' <> type
       or envelope->>'stream' <> stream_id or envelope->>'tenant' <> tenant_id order by p, pos limit 5`,
  );
  must(liars.length === 0, 'an event stands where it says that it stands', () => liars);
}

function decidedTheSame(workflow: string, events: readonly StoredEvent[]): Workflow {
  const again = replay(decisionsOf(events));
  if (again.kind === 'same') return again.workflow;
  throw new InvariantViolated(
    `replay decides the same: ${workflow}, decision ${again.index}: recorded ${JSON.stringify(again.recorded)}, decided ${JSON.stringify(again.decided)}`,
  );
}

/** One end each, or one more after each time that it was topped up. Every failure has a name. */
function endsOnce(workflow: string, events: readonly StoredEvent[]): void {
  const ends = events.filter(({ type }) => END.test(type));
  const told = (): unknown => [workflow, ...ends.map(({ type, version, data }) => [type, version, brief(data)])];
  must(ends.length >= 1, 'every task has an end', told);
  const [last] = ends.slice(-1);
  for (const [index, end] of ends.entries()) {
    const next = ends[index + 1];
    if (end.type === 'task.failed') must(KNOWN_CODES.has(end.data.code), 'a failure has a known code', told);
    if (next === undefined) continue;
    const topped = events.some(({ type, version }) => type === 'mandate.topped_up' && version > end.version && version < next.version);
    must(topped && end.type === 'task.failed' && RESUMABLE.has(end.data.code), 'a task ends once, unless it is topped up', told);
  }
  must(last?.type !== 'task.rejected', 'no task is rejected', told);
}

/** Nothing is held back, nothing was spent beyond what was granted, in any agent. */
function withinMandates(workflows: ReadonlyMap<string, Workflow>): void {
  for (const [workflow, state] of workflows) {
    for (const agent of state.agents.values()) {
      const { limits, spent, reserved } = agent.mandate;
      for (const figure of ['moneyMicroUsd', 'tokens', 'modelCalls', 'toolCalls'] as const) {
        const told = (): unknown => ({ workflow, agent: agent.granted.agent, figure, limits, spent, reserved });
        must(spent[figure] + reserved[figure] <= limits[figure], 'spent and reserved stay within the mandate', told);
        must(reserved[figure] === 0, 'nothing is reserved when a task has ended', told);
      }
    }
    must(state.attempts.size === 0, 'no attempt is open when a task has ended', () => [workflow, ...state.attempts.keys()]);
    must(rootOf(state) !== undefined, 'a task has a root', () => workflow);
  }
}

/** What the model charged is on the record; what is settled as it was is what the model charged, and nothing more. */
async function moneyIsRight({ world, older }: Evidence, streams: ReadonlyMap<string, readonly StoredEvent[]>): Promise<void> {
  // What an older state has forgotten was billed all the same.
  if (older !== undefined) return;
  const bill = world.model.bill();
  const settled = [...streams.values()].flat().flatMap((event) => (event.type === 'attempt.settled' ? [event.data] : []));
  const total = (which: typeof settled): number => which.reduce((sum, { spent }) => sum + spent.moneyMicroUsd, 0);
  const calls = settled.reduce((sum, { spent }) => sum + spent.modelCalls, 0);
  const figures = (): unknown => ({
    bill,
    spent: total(settled),
    actual: total(settled.filter(({ settledAt }) => settledAt === 'actual')),
    calls,
  });
  must(total(settled) >= bill.costMicroUsd, 'everything that was billed is settled', figures);
  must(calls >= bill.billedRequests, 'every billed request is settled', figures);
  must(
    total(settled.filter(({ settledAt }) => settledAt === 'actual')) <= bill.costMicroUsd,
    'nothing is charged that was not billed',
    figures,
  );
  if (settled.every(({ settledAt }) => settledAt !== 'worst_case'))
    must(total(settled) === bill.costMicroUsd, 'without a lost call, what is settled is the bill', figures);
  for (const [workflow, events] of streams) {
    const reserved = events.filter((event) => event.type === 'attempt.reserved' && event.data.owes.kind === 'llm').length;
    const key = keyIn(world, workflow);
    const asked = key === undefined ? 0 : (requestsBy(world).get(key) ?? 0);
    must(asked <= reserved, 'a model is asked at most once for an attempt', () => ({ workflow, reserved, asked }));
  }
}

const keys = new WeakMap<World, ReadonlyMap<string, string>>();
/** Tells whose request it was: their key stands in front of every text of a task. */
export function rememberKeys(world: World, submitted: readonly Submitted[]): void {
  keys.set(world, new Map(submitted.map(({ workflow, key }) => [workflow, key])));
}
const keyIn = (world: World, workflow: string): string | undefined => keys.get(world)?.get(workflow);

const counts = new WeakMap<World, ReadonlyMap<string, number>>();
function requestsBy(world: World): ReadonlyMap<string, number> {
  const known = counts.get(world);
  if (known !== undefined) return known;
  const found = new Map<string, number>();
  for (const { firstUserText } of world.model.requests) {
    const key = /\bk\d+x[0-9a-z]+\b/.exec(firstUserText)?.[0];
    if (key !== undefined) found.set(key, (found.get(key) ?? 0) + 1);
  }
  counts.set(world, found);
  return found;
}

/** The file that the tool wrote is the oracle: each name at most once, all that are said to have succeeded, none that is not said. */
function effectsHappenOnce(evidence: Evidence, streams: ReadonlyMap<string, readonly StoredEvent[]>): void {
  const { load, marksFile } = evidence;
  // What an older state has forgotten may happen again.
  if (evidence.older !== undefined) return;
  const lines = existsSync(marksFile) ? readFileSync(marksFile, 'utf8').split('\n').filter(Boolean) : [];
  const twice = lines.filter((line, index) => lines.indexOf(line) !== index);
  must(twice.length === 0, 'an effect that must not be repeated happens once', () => twice);
  const marks = Map.groupBy(lines, (line) => line.split('.')[0] ?? '');
  for (const { workflow, key } of load.submitted) {
    const settled = (streams.get(workflow) ?? []).flatMap((event) =>
      event.type === 'attempt.settled' && event.data.final ? [event.data] : [],
    );
    const marking = settled.filter(({ step, attempt }) => isMarking(streams.get(workflow) ?? [], step, attempt));
    const [done, unknown] = (['succeeded', 'unknown'] as const).map((outcome) => marking.filter((each) => each.outcome === outcome).length);
    const found = marks.get(key)?.length ?? 0;
    const told = (): unknown => ({ workflow, key, found, done, unknown, marking: marking.map(({ step, outcome }) => [step, outcome]) });
    must(found >= (done ?? 0), 'an effect that is said to have happened did', told);
    must(found <= (done ?? 0) + (unknown ?? 0), 'an effect that happened is said to have, or to be unknown', told);
  }
}

const isMarking = (events: readonly StoredEvent[], step: string, attempt: string): boolean =>
  events.some(
    (event) =>
      event.type === 'attempt.reserved' &&
      event.data.step === step &&
      event.data.attempt === attempt &&
      event.data.owes.kind === 'tool' &&
      event.data.owes.tool === 'marks__put',
  );

/** The budget of a tenant is kept; what its tasks spent is what its account says, and nothing is leased any more. */
async function accountsAreRight({ world, older }: Evidence, streams: ReadonlyMap<string, readonly StoredEvent[]>): Promise<void> {
  const leased = (): Promise<readonly { readonly stream_id: string; readonly envelope: StoredAccountEvent }[]> =>
    world.sql<{ stream_id: string; envelope: StoredAccountEvent }>(
      "select stream_id, envelope from es.event where stream_id ^@ 'ac_' order by stream_id, version",
    );
  const accounts = async (): Promise<readonly ReturnType<typeof accountOf>[]> =>
    [...Map.groupBy(await leased(), ({ stream_id }) => stream_id)].map(([id, rows]) =>
      accountOf(
        id,
        rows.map(({ envelope }) => envelope),
      ),
    );
  const settled = await until(SETTLE_WITHIN_MS, async () => {
    const all = await accounts();
    return all.every(({ account }) => account.leases.size === 0 && account.waiting.length === 0) ? all : undefined;
  });
  must(settled !== undefined, 'every lease is settled', () => 'see es.event of streams ac_');
  const today = dayOf(Date.now());
  for (const { id, tenant, account, expired } of settled) {
    const spent = [...streams.values()]
      .filter(([first]) => first?.tenant === tenant)
      .flat()
      .reduce((sum, event) => (event.type === 'attempt.settled' ? sum + event.data.spent.moneyMicroUsd : sum), 0);
    for (const budget of account.budgets) {
      const used = usedOf(account.meters, budget, today);
      const told = (): unknown => ({ id, tenant, budget, used, spent, expired });
      must(used.leasedMicroUsd === 0, 'nothing is leased any more', told);
      must(used.spentMicroUsd <= budget.limitMicroUsd, 'the budget of an account is kept', told);
      if (older !== undefined) continue;
      must(used.spentMicroUsd >= spent, 'an account says no less than its tasks spent', told);
      if (!expired) must(used.spentMicroUsd === spent, 'an account says what its tasks spent', told);
    }
  }
}

function accountOf(id: string, events: readonly StoredAccountEvent[]) {
  const again = replayAccount(accountDecisionsOf(events));
  if (again.kind === 'diverged') throw new InvariantViolated(`replay decides the same: account ${id}, decision ${again.index}`);
  return { id, tenant: events[0]?.tenant ?? '', account: again.account, expired: events.some(({ type }) => type === 'lease.expired') };
}

async function onlyGarbageIsParked({ world, load }: Evidence): Promise<void> {
  const parked = await world.sql<{ reason: string; subject: string; detail: string }>('select reason, subject, detail from es.parked');
  const other = parked.filter(({ reason }) => reason !== 'not_json');
  must(other.length === 0, 'only what cannot be read is parked', () => other);
  must(parked.length <= load.garbage, 'what is parked was sent', () => ({ parked, sent: load.garbage }));
}

async function onlyTheSuffixIsLost({ world }: Evidence, older: OlderCopy): Promise<void> {
  const now = await extentOf((text) => world.sql(text), older.kept.heads);
  for (const [p, digest] of older.kept.digests)
    must(now.digests.get(p) === digest, 'what the older state held is unchanged', () => ({ p, head: older.kept.heads.get(p) }));
}

/** By the auditor's own program, in its own process. */
async function logIsProven(world: World): Promise<void> {
  const { code, output } = await run(['packages/audit-cli/src/main.ts', 'verify', '--key', world.stack.secrets.checkpointPublicKeyFile], {
    DATABASE_URL: world.stack.postgres.url('mandate'),
  });
  must(code === 0, 'the log proves itself', () => output);
}

/** The models that serve have caught up; built anew from the log, they are the same, row by row. */
async function readModelsAreFresh(world: World): Promise<void> {
  const serving = async (): Promise<string> =>
    (await world.sql<{ slot: string }>("select slot from read.generation where state = 'serving' order by id desc limit 1"))[0]?.slot ?? '';
  const behind = async (): Promise<readonly object[]> => {
    const slot = await serving();
    if (slot === '') return [{ serving: 'none' }];
    return world.sql(
      `select s.p, s.next_pos, c.next_position from es.log l cross join es.partition s
       left join ${slot}.checkpoint c on c.p = s.p and c.incarnation = l.incarnation where s.next_pos is distinct from coalesce(c.next_position, 0)`,
    );
  };
  const caughtUp = await until(30_000, async () => ((await behind().catch(() => [{}])).length === 0 ? true : undefined));
  const left = caughtUp === true ? [] : await behind();
  must(left.length === 0, 'read models catch up', () => left);
  const before = await serving();
  const { code, output } = await run(['services/projector/src/main.ts', '--rebuild'], {
    DATABASE_URL: world.stack.postgres.url('mandate'),
  });
  must(code === 0, 'read models can be built anew', () => output);
  const after = await serving();
  must(after !== before, 'new read models take the place of the old', () => [before, after]);
  for (const table of ['tasks', 'agents', 'timeline', 'llm_calls', 'tool_calls', 'parked'] as const) {
    const different = await world.sql(
      `(select 'served' as was, t::text as row from ${before}.${table} t except select 'served', t::text from ${after}.${table} t)
       union all (select 'fresh', t::text from ${after}.${table} t except select 'fresh', t::text from ${before}.${table} t) limit 4`,
    );
    must(different.length === 0, `read models are what the log says (${table})`, () => different);
  }
}

function run(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<{ readonly code: number | null; readonly output: string }> {
  return new Promise((done) => {
    const child = spawn(process.execPath, [join(repositoryRoot, args[0] ?? ''), ...args.slice(1)], {
      cwd: repositoryRoot,
      env: { PATH: process.env['PATH'] ?? '', ...env },
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes: Buffer) => (output += bytes.toString()));
    child.once('close', (code) => done({ code, output: output.slice(-2_000) }));
  });
}

function outcomeOf(streams: ReadonlyMap<string, readonly StoredEvent[]>): Outcome {
  const ends: Record<string, number> = {};
  const all = [...streams.values()].flat();
  for (const events of streams.values()) {
    const last = events.findLast(({ type }) => END.test(type));
    const how = last?.type === 'task.failed' ? last.data.code : (last?.type ?? 'open');
    ends[how] = (ends[how] ?? 0) + 1;
  }
  const settled = all.flatMap((event) => (event.type === 'attempt.settled' ? [event.data] : []));
  return {
    tasks: streams.size,
    events: all.length,
    ends,
    unknownEffects: settled.filter(({ outcome }) => outcome === 'unknown').length,
    settledAtWorst: settled.filter(({ settledAt }) => settledAt === 'worst_case').length,
  };
}

/** No process that was started for this folder runs any more. */
export function leftBehind(home: string, processes: readonly { readonly pid: number; readonly environment: string }[]): readonly number[] {
  return processes.filter(({ environment }) => environment.includes(home)).map(({ pid }) => pid);
}
