/** `audit replay`: stored histories, decided again by today's code. */
import { accountDecisionsOf, decisionsOf } from '@mandate/contracts';
import {
  decide,
  type Decide,
  decideAccount,
  type DecideAccount,
  type Divergence,
  redecide,
  redecideAccount,
  rootOf,
} from '@mandate/domain';
import type { ProofStore } from '@mandate/event-store';
import { type History, historyIn, Unreadable } from './history.ts';

/** Who decides: today's code, or what is to be tried. */
export interface Deciders {
  readonly workflow: Decide;
  readonly account: DecideAccount;
}
export const TODAY: Deciders = { workflow: decide, account: decideAccount };

/** What came of one history. `edition` is null for an account, and for a workflow that was rejected before it had any. */
export type Replayed = { readonly stream: string } & (
  | ({ readonly result: 'identical' } & Extent)
  /** One per decision that differs. */
  | ({ readonly result: 'diverged'; readonly divergences: readonly Divergence[] } & Extent)
  | { readonly result: 'unreadable'; readonly problem: string }
);
interface Extent {
  readonly events: number;
  readonly decisions: number;
  readonly edition: number | null;
}

export function replayed(history: History, by: Deciders = TODAY): Replayed {
  const { stream, events } = history;
  const { divergences, decisions, edition } = history.kind === 'workflow' ? ofWorkflow(history, by) : ofAccount(history, by);
  const extent = { events: events.length, decisions, edition };
  return divergences.length === 0 ? { stream, result: 'identical', ...extent } : { stream, result: 'diverged', divergences, ...extent };
}

function ofWorkflow({ events }: Extract<History, { kind: 'workflow' }>, by: Deciders) {
  const decisions = decisionsOf(events);
  const { divergences, workflow } = redecide(decisions, by.workflow);
  return { divergences, decisions: decisions.length, edition: rootOf(workflow)?.granted.edition ?? null };
}

function ofAccount({ events }: Extract<History, { kind: 'account' }>, by: Deciders) {
  const decisions = accountDecisionsOf(events);
  return { divergences: redecideAccount(decisions, by.account).divergences, decisions: decisions.length, edition: null };
}

/** Many streams of a log, one after the other. */
async function* replayedStreams(store: ProofStore, streams: readonly string[], by: Deciders = TODAY): AsyncIterable<Replayed> {
  for (const stream of streams) {
    try {
      yield replayed(await historyIn(store, stream), by);
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error;
      yield { stream, result: 'unreadable', problem: error.message };
    }
  }
}

/** Every stream of the log, by partition and name; or only the `last` that were appended to. */
async function streamsOf(store: ProofStore, last: number | undefined): Promise<readonly string[]> {
  if (last !== undefined) return (await store.latest(last)).map(({ stream }) => stream);
  const { partitions } = await store.state();
  const streams: string[] = [];
  for (const { partition } of partitions) streams.push(...[...(await store.versions(partition)).keys()].toSorted());
  return streams;
}

export interface ReplayReport {
  readonly log: string;
  readonly streams: number;
  readonly events: number;
  readonly decisions: number;
  readonly identical: number;
  /** Those that are not identical. */
  readonly findings: readonly Exclude<Replayed, { result: 'identical' }>[];
}

export async function replayLog(store: ProofStore, last: number | undefined, by: Deciders = TODAY): Promise<ReplayReport> {
  const { incarnation } = await store.state();
  const findings: Exclude<Replayed, { result: 'identical' }>[] = [];
  const sum = { streams: 0, events: 0, decisions: 0, identical: 0 };
  for await (const one of replayedStreams(store, await streamsOf(store, last), by)) {
    sum.streams++;
    if (one.result === 'identical') sum.identical++;
    else findings.push(one);
    if (one.result === 'unreadable') continue;
    sum.events += one.events;
    sum.decisions += one.decisions;
  }
  return { log: incarnation, ...sum, findings };
}

const count = (n: number): string => n.toLocaleString('en-US');

export function describeReplay({ log, streams, events, decisions, identical, findings }: ReplayReport): string {
  const read = `log ${log}: ${count(streams)} streams, ${count(events)} events, ${count(decisions)} decisions decided again`;
  const verdict = findings.length === 0 ? 'OK: all of them identical.' : `${count(identical)} identical, ${count(findings.length)} not:`;
  return [read, verdict, ...findings.map(describeReplayed), ''].join('\n');
}

export function describeReplayed(one: Replayed): string {
  switch (one.result) {
    case 'identical':
      return `OK: ${one.stream}: ${count(one.events)} events, ${count(one.decisions)} decisions, identical`;
    case 'unreadable':
      return `FAILED: ${one.stream}: ${one.problem}`;
    case 'diverged': {
      const [first] = one.divergences;
      const where = first === undefined ? '' : describeDivergence(first);
      return `FAILED: ${one.stream}: ${one.divergences.length} of ${count(one.decisions)} decisions diverge, the first at ${where}`;
    }
  }
}

export function describeDivergence({ version, type, input, path, recorded, decided, because }: Divergence): string {
  const place = path === '' ? 'the whole event' : path;
  const why = because === undefined ? '' : ` (${because})`;
  return `event ${version} ${type} (input ${input}), ${place}: recorded ${shown(recorded)}, decided ${shown(decided)}${why}`;
}

/** Facts only: what is long is cut. */
function shown(value: unknown): string {
  const text = value === undefined ? 'nothing' : JSON.stringify(value);
  return text.length <= 200 ? text : `${text.slice(0, 200)}…`;
}
