import { setTimeout as wait } from 'node:timers/promises';
import type { Item } from '../bench.ts';
import { startFullStack } from '../full-stack.ts';
import { residentMegabytes } from '../process-cpu.ts';
import { rounded } from '../statistics.ts';

/** After this long without growth a service counts as settled. */
const STEADY_MS = 3_000;
const STEADY_MB = 1;

/** Resident memory of every service that has nothing to do. */
export const idleMemory: Item = {
  name: 'memory',
  title: 'Memory of idle services (resident, the process itself)',
  measure: async (bench) => {
    const full = await startFullStack(bench);
    try {
      const services = full.stack.services();
      const read = (): readonly number[] => services.map((service) => residentMegabytes(service.pid()));
      let before = read();
      for (let now = before; ; before = now) {
        await wait(STEADY_MS);
        now = read();
        if (now.every((mb, index) => Math.abs(mb - (before[index] ?? 0)) <= STEADY_MB)) break;
      }
      return {
        figures: services.map((service, index) => ({
          name: `idle memory, ${service.name.replace(/-1$/, '')}`,
          unit: 'MB',
          value: rounded(before[index] ?? 0),
          target: { atMost: 120 },
        })),
      };
    } finally {
      await full.stop();
    }
  },
};
