import type { Stack } from '@mandate/local';
import pg from 'pg';
import type { Item } from '../bench.ts';
import { measureInChild } from '../child.ts';
import { cpuSeconds } from '../process-cpu.ts';
import { takeRounds } from '../rounds.ts';
import { median, rounded } from '../statistics.ts';
import { startServers, storeEnvironment } from '../store-stack.ts';

interface Appended {
  readonly eventsPerSecond: number;
  readonly cpuMicrosPerEvent: number;
  /** All that were appended, warm-up included. */
  readonly events: number;
}

/** Decisions of two events with content, 512 workflows at a time, each round from a new process. */
export const append: Item = {
  name: 'append',
  title: "Append to the log through the store's public door (CommitLane, EventLog), fsync on",
  measure: async (bench) => {
    const servers = await startServers(bench);
    const postgresSeconds = (): number => cpuSeconds({ postgres: [servers.postgres.pid()] })['postgres'] ?? 0;
    const environment = { ...storeEnvironment(servers, 'orchestrator'), SECONDS: String(bench.seconds) };
    try {
      const before = postgresSeconds();
      const rounds = await takeRounds(
        bench,
        'log append',
        () => measureInChild<Appended>('test/bench/programs/append-main.ts', environment),
        (found) => `${Math.round(found.eventsPerSecond)} events/s`,
      );
      const rates = rounds.map((round) => rounded(round.found.eventsPerSecond));
      const events = await countEvents(servers);
      return {
        figures: [
          {
            name: 'log append, batched',
            unit: 'events/s',
            value: median(rates),
            target: { atLeast: 25_000 },
            rounds: rates,
            coresOfOthers: median(rounds.map((round) => round.coresOfOthers)),
          },
        ],
        details: {
          postgresMicrosPerEvent: rounded(((postgresSeconds() - before) * 1e6) / events),
          clientMicrosPerEvent: rounded(median(rounds.map((round) => round.found.cpuMicrosPerEvent))),
        },
      };
    } finally {
      await servers.stop();
    }
  },
};

async function countEvents({ postgres }: Stack): Promise<number> {
  const client = new pg.Client({ connectionString: postgres.url('mandate') });
  await client.connect();
  try {
    const { rows } = await client.query<{ events: number }>('select count(*)::int as events from es.event');
    return rows[0]?.events ?? 0;
  } finally {
    await client.end();
  }
}
