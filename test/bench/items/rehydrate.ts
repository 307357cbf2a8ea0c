import type { Item } from '../bench.ts';
import { measureInChild } from '../child.ts';
import { latencyFigures } from '../latency.ts';
import { rounded } from '../statistics.ts';
import { startServers, storeEnvironment } from '../store-stack.ts';

/** From the log to the state in an orchestrator's memory, contents decrypted. */
export const rehydrate: Item = {
  name: 'rehydrate',
  title: 'Rehydrate a workflow of 10,000 events from the log',
  measure: async (bench) => {
    const servers = await startServers(bench);
    try {
      const { samples, events } = await measureInChild<{ samples: number[]; events: number }>('test/bench/programs/rehydrate-main.ts', storeEnvironment(servers, 'orchestrator'));
      const [first = 0, ...warm] = samples;
      return {
        figures: [
          ...latencyFigures(bench, `rehydrate ${events.toLocaleString('en-US')} events, warm process`, warm, { p50: { atMost: 50 } }),
          { name: 'rehydrate, first time in the process', unit: 'ms', value: rounded(first) },
        ],
      };
    } finally {
      await servers.stop();
    }
  },
};
