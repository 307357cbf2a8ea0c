import { createContext, Script } from 'node:vm';

const room = createContext({ work: undefined as unknown });
const runWork = new Script('work()');

export class TookTooLong extends Error {
  override readonly name = 'TookTooLong';
}

/** V8's watchdog knows the wall clock alone: on a machine that has no time for us it is asked again, this often, for twice as long. */
const ATTEMPTS = 4;

/**
 * Runs synchronous work of ours on data of others (a schema's regular expressions, its webs of references) and stops it
 * when it takes too much of the processor: V8 breaks off loops and backtracking. Costs about 0.1 ms. Work that was broken
 * off because this process had to wait for others is begun anew.
 * @throws TookTooLong
 */
export function timeLimited<T>(withinMs: number, work: () => T): T {
  room['work'] = work;
  try {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const before = process.threadCpuUsage();
      try {
        return runWork.runInContext(room, { timeout: withinMs * 2 ** attempt }) as T;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error;
        const { user, system } = process.threadCpuUsage(before);
        // The watchdog itself is not exact.
        if (user + system > 0.8 * withinMs * 1_000) break;
      }
    }
    throw new TookTooLong(`took longer than ${withinMs} ms`);
  } finally {
    room['work'] = undefined;
  }
}
