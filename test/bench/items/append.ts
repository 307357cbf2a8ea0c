import type { Item } from '../bench.ts';
import { measureInChild } from '../child.ts';
import { cpuSeconds } from '../process-cpu.ts';
import { median, rounded } from '../statistics.ts';
import { startServers, storeEnvironment } from '../store-stack.ts';

interface Appended {
  readonly rates: readonly number[];
  readonly events: number;
  readonly cpuMicrosPerEvent: number;
}

/** Decisions of two events with content, 512 workflows at a time, from a process of its own. */
export const append: Item = {
  name: 'append',
  title: "Append to the log through the store's public door (CommitLane, EventLog), fsync on",
  measure: async (bench) => {
    const servers = await startServers(bench);
    try {
      const groups = { postgres: [servers.postgres.pid()] };
      const before = cpuSeconds(groups)['postgres'] ?? 0;
      const found = await measureInChild<Appended>('test/bench/programs/append-main.ts', { ...storeEnvironment(servers, 'orchestrator'), SECONDS: String(bench.seconds), ROUNDS: String(bench.rounds) });
      const postgresMicrosPerEvent = (((cpuSeconds(groups)['postgres'] ?? 0) - before) * 1e6) / found.events;
      const rate = rounded(median(found.rates));
      bench.say(`append: ${rate} events/s; CPU per event: postgres ${postgresMicrosPerEvent.toFixed(1)} µs, client ${found.cpuMicrosPerEvent.toFixed(1)} µs`);
      return {
        figures: [{ name: 'log append, batched', unit: 'events/s', value: rate, target: { atLeast: 25_000 }, rounds: found.rates.map(rounded) }],
        details: { events: found.events, postgresMicrosPerEvent: rounded(postgresMicrosPerEvent), clientMicrosPerEvent: rounded(found.cpuMicrosPerEvent) },
      };
    } finally {
      await servers.stop();
    }
  },
};
