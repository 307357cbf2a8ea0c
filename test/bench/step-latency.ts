/** The time of one step in a running workflow, as a follower hears it. */
import type { Bus } from '@mandate/messaging';

export interface StepTimes {
  /** Milliseconds between one settled attempt and the next of the same workflow, in the order heard. */
  readonly stepMs: readonly number[];
  stop(): void;
}

/** Listens to every settled attempt: the event is published once its decision, which starts the next step, is committed. */
export function hearStepTimes(bus: Bus): StepTimes {
  const lastOf = new Map<string, number>();
  const stepMs: number[] = [];
  const listening = bus.listen('evt.*.*.*.attempt-settled', (message) => {
    const now = performance.now();
    const workflow = message.subject.split('.')[3] ?? '';
    const before = lastOf.get(workflow);
    if (before !== undefined) stepMs.push(now - before);
    lastOf.set(workflow, now);
  });
  return { stepMs, stop: () => listening.stop() };
}
