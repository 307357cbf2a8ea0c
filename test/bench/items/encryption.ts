import type { Item } from '../bench.ts';
import { measureInChild } from '../child.ts';
import type { Figure } from '../figure.ts';
import { takeRounds } from '../rounds.ts';
import { median, rounded } from '../statistics.ts';
import { startServers, storeEnvironment } from '../store-stack.ts';

interface Appended {
  readonly eventsPerSecond: number;
  readonly cpuMicrosPerEvent: number;
}

/** Decisions of two events with content, encoded and appended: with encryption and without it, in turn on the same servers. */
export const encryption: Item = {
  name: 'encryption',
  title: 'Encode and append with content encrypted, and with content as it is, fsync on',
  measure: async (bench) => {
    const servers = await startServers(bench);
    const environment = { ...storeEnvironment(servers, 'orchestrator'), SECONDS: String(bench.seconds) };
    const append = (plain: boolean): Promise<Appended> =>
      measureInChild('test/bench/programs/encryption-main.ts', { ...environment, PLAIN: plain ? '1' : '' });
    try {
      const rounds = await takeRounds(
        bench,
        'encryption',
        async () => ({ encrypted: await append(false), plain: await append(true) }),
        ({ encrypted, plain }) => `${Math.round(encrypted.eventsPerSecond)} events/s encrypted, ${Math.round(plain.eventsPerSecond)} plain`,
      );
      const coresOfOthers = median(rounds.map((round) => round.coresOfOthers));
      const figure = (name: string, unit: Figure['unit'], of: (found: (typeof rounds)[number]['found']) => number): Figure => {
        const values = rounds.map((round) => rounded(of(round.found)));
        return { name, unit, value: median(values), rounds: values, coresOfOthers };
      };
      return {
        figures: [
          figure('encode and append, content encrypted', 'events/s', ({ encrypted }) => encrypted.eventsPerSecond),
          figure('encode and append, content as it is', 'events/s', ({ plain }) => plain.eventsPerSecond),
          figure('CPU of the writer per event, content encrypted', 'µs', ({ encrypted }) => encrypted.cpuMicrosPerEvent),
          figure('CPU of the writer per event, content as it is', 'µs', ({ plain }) => plain.cpuMicrosPerEvent),
        ],
      };
    } finally {
      await servers.stop();
    }
  },
};
