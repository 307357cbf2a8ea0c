import { subjects, TYPES } from '@mandate/contracts';
import type { Decisions, Shared } from './decisions.ts';
import { eventId } from './encode-decision.ts';
import type { Held, WorkflowMemory } from './workflow-memory.ts';

/**
 * What a partition owes to its erasures. The request is on the record first, then the keys are destroyed, then that they
 * were: whatever dies in between, a successor finds the request and goes on.
 */
export class Erasures {
  readonly #shared: Shared;
  readonly #partition: number;
  readonly #memory: WorkflowMemory;
  readonly #decisions: Decisions;
  /** Workflows whose keys are still to be destroyed. */
  readonly owed = new Set<string>();

  constructor(shared: Shared, partition: number, parts: { readonly memory: WorkflowMemory; readonly decisions: Decisions }) {
    this.#shared = shared;
    this.#partition = partition;
    this.#memory = parts.memory;
    this.#decisions = parts.decisions;
  }

  /** After a commit, or a takeover. */
  look(held: Held): void {
    if (held.state.erasure === 'requested') this.owed.add(held.id);
    else this.owed.delete(held.id);
  }

  /**
   * Destroys the keys of a workflow whose erasure is on the record, has everybody forget them, and says so in the log.
   * Done again, it destroys what may have come back: a message that was parked since, a key from an old backup.
   */
  async carryOut(held: Held): Promise<void> {
    if (held.state.erasure === undefined) return;
    const { log, keys, logger } = this.#shared;
    const gone = await keys.destroy(held.id, [
      ...(await log.keysOf(this.#partition, held.id)),
      ...(held.key === undefined ? [] : [held.key.id]),
    ]);
    held.key = undefined;
    held.contents.forget();
    this.#tell(gone.keys);
    const { decision, done } = this.#decisions.decide(held, { kind: 'erased', keys: gone.destroyed }, undefined, {
      actor: `service/orchestrator/${this.#shared.instance}`,
      causation: eventId(held.id, held.state.version),
      traceparent: held.trace,
    });
    await done;
    if (decision.kind === 'events') logger.info({ workflow: held.id, keys: gone.destroyed }, 'content erased');
    this.#memory.forgetEnded(held);
  }

  #tell(keys: readonly string[]): void {
    const source = `/mandate/orchestrator/${this.#shared.instance}`;
    const message = {
      specversion: '1.0',
      id: `keys.${Date.now().toString(36)}`,
      source,
      type: TYPES.keysDestroyed,
      time: new Date().toISOString(),
    };
    this.#shared.bus.tell(subjects.keysDestroyed(), JSON.stringify({ ...message, data: { keys } }));
  }
}
