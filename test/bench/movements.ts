/** What workflows do, heard live: when each last moved, by the time that stands in its events. */
import type { Bus } from '@mandate/messaging';

interface Movement {
  /** Version of the latest event: a repeated one changes nothing. */
  latest: number;
  /** Decision times (epoch ms), ascending. */
  readonly times: number[];
  settled: number;
  endedAt: number | undefined;
}

const ENDINGS = new Set(['task.completed', 'task.failed', 'task.cancelled', 'task.rejected']);

export class Movements {
  readonly #of = new Map<string, Movement>();
  readonly #listening: { stop(): void };

  constructor(bus: Bus) {
    this.#listening = bus.listen('evt.>', (message) =>
      this.#hear(message.json<{ data: { stream: string; version: number; type: string; at: number } }>().data),
    );
  }

  /** Attempts of the workflow that ended so far. */
  settled(workflow: string): number {
    return this.#of.get(workflow)?.settled ?? 0;
  }

  hasEnded(workflow: string): boolean {
    return this.#of.get(workflow)?.endedAt !== undefined;
  }

  hasEndedBefore(workflow: string, time: number): boolean {
    return (this.#of.get(workflow)?.endedAt ?? Infinity) < time;
  }

  /** When the last of them had its first event at or after `since`; undefined while one has had none. */
  allMovedSince(workflows: readonly string[], since: number): number | undefined {
    const firsts = workflows.map((id) => this.#of.get(id)?.times.find((time) => time >= since));
    return firsts.includes(undefined) ? undefined : firsts.reduce<number>((last, time) => Math.max(last, time ?? 0), since);
  }

  forget(): void {
    this.#of.clear();
  }

  stop(): void {
    this.#listening.stop();
  }

  #hear(event: { readonly stream: string; readonly version: number; readonly type: string; readonly at: number }): void {
    const known = this.#of.get(event.stream) ?? { latest: 0, times: [], settled: 0, endedAt: undefined };
    this.#of.set(event.stream, known);
    if (event.version <= known.latest) return;
    known.latest = event.version;
    known.times.push(event.at);
    if (event.type === 'attempt.settled') known.settled += 1;
    if (ENDINGS.has(event.type)) known.endedAt = event.at;
  }
}
