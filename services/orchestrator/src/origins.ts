import { type StoredEvent, upcast } from '@mandate/contracts';
import { ABSENT, evolve, partitionOf, type Refusal, refusal, reusableSteps, type TaskForked, type Workflow } from '@mandate/domain';
import { SealedWords } from '@mandate/event-store';
import type { Shared } from './decisions.ts';

/** The run that another one is forked from, up to the fork point. */
export interface Origin {
  readonly state: Workflow;
  readonly hash: string;
  readonly task: string;
  readonly reusable: Pick<TaskForked['reuse'], 'steps' | 'until'>;
  /** The event at a version of it, with the hash of its stream there, and its words. */
  at(version: number): { readonly event: StoredEvent; readonly hash: string; readonly words: unknown } | undefined;
}

/** Reads a run of this tenant from the log; whose partition it is does not matter. Afterwards nothing of it is needed but its key. */
export async function readOrigin(
  { log, keys }: Pick<Shared, 'log' | 'keys'>,
  tenant: string,
  { workflow, version }: Pick<TaskForked['origin'], 'workflow' | 'version'>,
): Promise<Origin | Refusal> {
  const partition = partitionOf(workflow);
  if (partition === undefined) return unknown();
  const stored = await log.readStream(partition, workflow);
  if (stored?.tenant !== tenant) return unknown();
  // After the events: it may grow, and has all of theirs.
  const chain = await log.readChain(partition, workflow);
  const past = stored.events.slice(0, version).map((event, index) => ({ event: upcast(event), hash: chain[index]?.toString('hex') ?? '' }));
  const last = past.at(-1);
  if (last === undefined || past.length < version)
    return refusal('VersionUnknown', `The workflow has ${stored.events.length} events; there is no version ${version}.`);
  const opened = await keys.get(stored.contents.map(({ keyId }) => keyId));
  const words = new SealedWords(workflow, opened, stored.contents);
  const { task } = (words.get(1) ?? {}) as { readonly task?: string };
  // What it was granted belongs to its first decision, whichever of its events the past ends with.
  const begun = stored.events.slice(0, Math.max(version, 2));
  const isErased = stored.events.some(({ type }) => type === 'erasure.requested');
  if (isErased || task === undefined) return refusal('OriginErased', 'The content of this workflow was erased.');
  return {
    state: begun.map(upcast).reduce((state, event) => evolve(state, event, event.at), ABSENT),
    hash: last.hash,
    task,
    reusable: reusableSteps(
      past.map(({ event }) => event),
      version,
    ),
    at: (wanted) => {
      const found = past[wanted - 1];
      return found === undefined ? undefined : { ...found, words: words.get(wanted) };
    },
  };
}

const unknown = (): Refusal => refusal('WorkflowUnknown', 'There is no such workflow to fork.');
