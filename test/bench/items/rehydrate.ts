import type { Stack } from '@mandate/local';
import type { Bench, Item } from '../bench.ts';
import { measureInChild } from '../child.ts';
import type { Figure } from '../figure.ts';
import { latencyFigures } from '../latency.ts';
import { takeRounds } from '../rounds.ts';
import { median, rounded } from '../statistics.ts';
import { startServers, storeEnvironment } from '../store-stack.ts';

/** From the log to the state in an orchestrator's memory, contents decrypted. */
export const rehydrate: Item = {
  name: 'rehydrate',
  title: 'Rehydrate a workflow of 10,000 events: from its snapshot, which is as old as it may become, and from the first event on',
  measure: async (bench) => {
    const servers = await startServers(bench);
    try {
      const stored = await measureInChild<{ events: number }>(
        'test/bench/programs/store-long-main.ts',
        storeEnvironment(servers, 'orchestrator'),
      );
      const events = stored.events.toLocaleString('en-US');
      const withIt = await readAgainAndAgain(bench, servers, `rehydrate ${events} events`, '', { p50: { atMost: 50 } });
      const without = await readAgainAndAgain(bench, servers, `rehydrate ${events} events without a snapshot`, '1');
      return { figures: [...withIt, ...without] };
    } finally {
      await servers.stop();
    }
  },
};

async function readAgainAndAgain(
  bench: Bench,
  servers: Stack,
  name: string,
  whole: '' | '1',
  targets: Parameters<typeof latencyFigures>[2] = {},
): Promise<readonly Figure[]> {
  const environment = { ...storeEnvironment(servers, 'orchestrator'), WHOLE: whole };
  const read = async (): Promise<readonly number[]> =>
    (await measureInChild<{ samples: number[] }>('test/bench/programs/rehydrate-main.ts', environment)).samples;
  const rounds = await takeRounds(
    bench,
    name,
    read,
    (samples) => `first ${Math.round(samples[0] ?? 0)} ms, then p50 ${Math.round(median(samples.slice(1)))} ms`,
  );
  const firsts = rounds.map((round) => rounded(round.found[0] ?? 0));
  const warm = rounds.map((round) => ({ ...round, found: round.found.slice(1) }));
  return [
    ...latencyFigures(`${name}, warm process`, warm, targets),
    { name: `${name}, first time in a process`, unit: 'ms', value: median(firsts), rounds: firsts },
  ];
}
