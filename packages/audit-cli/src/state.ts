/** `audit state`, `audit diff`: a workflow's state after any of its events, and what changed between two. */
import { type Change, changes, evolve, ABSENT, stateOf, type Workflow, type WorkflowState } from '@mandate/domain';
import type { History } from './history.ts';
import { CannotCheck } from './where.ts';

/** After the event of this version; after the last event that was decided by then (epoch ms). */
export type Moment = { readonly version: number } | { readonly at: number };

/** A version, or an instant. @throws CannotCheck */
export const momentIn = (text: string, what: string): Moment =>
  /^\d{1,9}$/.test(text) ? { version: Number(text) } : { at: instantIn(text, what) };

/** An instant as ISO 8601 with its offset, in epoch ms. @throws CannotCheck */
export function instantIn(text: string, what: string): number {
  const at = /^\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)$/.test(text) ? Date.parse(text) : NaN;
  if (Number.isNaN(at)) throw new CannotCheck(`${what} is "${text}": an instant looks like 2026-11-21T14:00:00.000Z, a version like 14`);
  return at;
}

/** @throws CannotCheck when it has no such version, or did not exist yet */
export function stateAt(history: History, moment: Moment | undefined): WorkflowState {
  return stateOf(folded(history, versionAt(history, moment)));
}

export interface StateDiff {
  readonly stream: string;
  readonly from: number;
  readonly to: number;
  readonly changes: readonly Change[];
}

export function diffOf(history: History, from: Moment, to: Moment): StateDiff {
  const versions = { from: versionAt(history, from), to: versionAt(history, to) };
  const [before, after] = [folded(history, versions.from), folded(history, versions.to)];
  return { stream: history.stream, ...versions, changes: changes(stateOf(before), stateOf(after)) };
}

function versionAt({ stream, events }: History, moment: Moment | undefined): number {
  if (moment === undefined) return events.length;
  if ('version' in moment) {
    if (moment.version > 0 && moment.version <= events.length) return moment.version;
    throw new CannotCheck(`${stream} has no version ${moment.version}: it has events 1 to ${events.length}`);
  }
  const version = events.findLastIndex((event) => event.at <= moment.at) + 1;
  if (version === 0)
    throw new CannotCheck(`${stream} did not exist then: its first event is of ${new Date(events[0]?.at ?? 0).toISOString()}`);
  return version;
}

function folded(history: History, version: number): Workflow {
  if (history.kind !== 'workflow') throw new CannotCheck(`${history.stream} is an account; states are those of workflows (wf_…)`);
  return history.events.slice(0, version).reduce((state, event) => evolve(state, event, event.at), ABSENT);
}

export function describeDiff({ stream, from, to, changes: all }: StateDiff): string {
  const lines = all.map((change) => `${change.path}: ${shown(change, 'from')} → ${shown(change, 'to')}`);
  return [`${stream}: from version ${from} to ${to}, ${all.length} changes`, ...lines, ''].join('\n');
}

const shown = (change: Change, side: 'from' | 'to'): string => (side in change ? JSON.stringify(change[side]) : 'nothing');
