/** The time of one step in a running workflow, as a follower hears it. */
import type { Bus } from '@mandate/messaging';

/**
 * Hears every settled attempt while `work` runs: its event is published once the decision that starts the next step is
 * committed. @returns the milliseconds between one and the next of the same workflow, in the order heard
 */
export async function hearStepTimes(bus: Bus, work: () => Promise<unknown>): Promise<readonly number[]> {
  const lastOf = new Map<string, number>();
  const stepMs: number[] = [];
  const listening = bus.listen('evt.*.*.*.attempt-settled', (message) => {
    const now = performance.now();
    const workflow = message.subject.split('.')[3] ?? '';
    const before = lastOf.get(workflow);
    if (before !== undefined) stepMs.push(now - before);
    lastOf.set(workflow, now);
  });
  try {
    await work();
  } finally {
    listening.stop();
  }
  return stepMs;
}
