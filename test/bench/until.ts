import { setTimeout as wait } from 'node:timers/promises';

/** Asks every few milliseconds until the answer is not `undefined`. @throws when that takes longer than `withinMs` */
export async function until<T>(what: string, ask: () => Promise<T | undefined> | T | undefined, withinMs = 60_000): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const found = await ask();
    if (found !== undefined) return found;
    if (performance.now() > deadline) throw new Error(`waited ${withinMs / 1_000} s in vain: ${what}`);
    await wait(10);
  }
}
