import type { Item } from '../bench.ts';
import { measureInChild } from '../child.ts';
import { latencyFigures } from '../latency.ts';
import { takeRounds } from '../rounds.ts';
import { median, rounded } from '../statistics.ts';
import { startServers, storeEnvironment } from '../store-stack.ts';

/** From the log to the state in an orchestrator's memory, contents decrypted. */
export const rehydrate: Item = {
  name: 'rehydrate',
  title: 'Rehydrate a workflow of 10,000 events from the log',
  measure: async (bench) => {
    const servers = await startServers(bench);
    try {
      const stored = await measureInChild<{ events: number }>(
        'test/bench/programs/store-long-main.ts',
        storeEnvironment(servers, 'orchestrator'),
      );
      const name = `rehydrate ${stored.events.toLocaleString('en-US')} events`;
      const read = async (): Promise<readonly number[]> =>
        (await measureInChild<{ samples: number[] }>('test/bench/programs/rehydrate-main.ts', storeEnvironment(servers, 'orchestrator')))
          .samples;
      const rounds = await takeRounds(
        bench,
        name,
        read,
        (samples) => `first ${Math.round(samples[0] ?? 0)} ms, then p50 ${Math.round(median(samples.slice(1)))} ms`,
      );
      const firsts = rounds.map((round) => rounded(round.found[0] ?? 0));
      return {
        figures: [
          ...latencyFigures(
            `${name}, warm process`,
            rounds.map((round) => ({ ...round, found: round.found.slice(1) })),
            { p50: { atMost: 50 } },
          ),
          { name: `${name}, first time in a process`, unit: 'ms', value: median(firsts), rounds: firsts },
        ],
      };
    } finally {
      await servers.stop();
    }
  },
};
