import { subjects } from '@mandate/contracts';
import type { Stack } from '@mandate/local';
import { Bus } from '@mandate/messaging';
import { setTimeout as wait } from 'node:timers/promises';
import type { Item } from '../bench.ts';
import { measureInChild } from '../child.ts';
import { latencyFigures } from '../latency.ts';
import { takeRounds } from '../rounds.ts';
import { median, rounded } from '../statistics.ts';
import { startServers, storeEnvironment } from '../store-stack.ts';

const WORKFLOWS = 20_000;
const ASK_EVERY_MS = 50;

/** The projector's own rebuild in a process of its own, while a running projector answers queries. */
export const rebuild: Item = {
  name: 'rebuild',
  title: 'Rebuild every read model from the log, while queries are answered',
  measure: async (bench) => {
    const servers = await startServers(bench, { projector: 1 });
    const bus = await Bus.connect({
      servers: servers.nats.url,
      user: 'gateway',
      password: servers.nats.password('gateway'),
      name: 'bench',
    });
    try {
      const filled = await measureInChild<{ events: number }>('test/bench/programs/fill-log-main.ts', {
        ...storeEnvironment(servers, 'orchestrator'),
        WORKFLOWS: String(WORKFLOWS),
      });
      bench.say(`the log holds ${filled.events} events`);
      const rounds = await takeRounds(
        bench,
        'projection rebuild',
        () => rebuildOnce(servers, bus),
        (found) => `${found.eventsPerSecond} events/s, ${found.answeredMs.length} queries answered, ${found.unanswered} not`,
      );
      const rates = rounds.map((round) => round.found.eventsPerSecond);
      const queries = rounds.map(({ found, coresOfOthers }) => ({ found: found.answeredMs, coresOfOthers }));
      return {
        figures: [
          {
            name: 'projection rebuild',
            unit: 'events/s',
            value: rounded(median(rates)),
            target: { atLeast: 50_000 },
            rounds: rates,
            coresOfOthers: median(rounds.map((round) => round.coresOfOthers)),
          },
          ...latencyFigures('query during the rebuild (tasks.list)', queries),
          {
            name: 'queries during the rebuild without an answer',
            unit: 'requests',
            value: rounds.reduce((sum, round) => sum + round.found.unanswered, 0),
            target: { atMost: 0 },
          },
        ],
        details: { events: filled.events },
      };
    } finally {
      await bus.close();
      await servers.stop();
    }
  },
};

interface Rebuilt {
  readonly eventsPerSecond: number;
  readonly answeredMs: readonly number[];
  readonly unanswered: number;
}

async function rebuildOnce(servers: Stack, bus: Bus): Promise<Rebuilt> {
  const asking = askThroughout(bus);
  const { eventsPerSecond } = await measureInChild<{ eventsPerSecond: number }>(
    'services/projector/src/main.ts',
    { ...storeEnvironment(servers, 'projector'), LOG_LEVEL: 'info' },
    ['--rebuild'],
  );
  return { eventsPerSecond, ...(await asking.stop()) };
}

/** One question at a time, until told to stop. */
function askThroughout(bus: Bus): { stop(): Promise<{ readonly answeredMs: readonly number[]; readonly unanswered: number }> } {
  const answeredMs: number[] = [];
  let unanswered = 0;
  let isWanted = true;
  const asking = (async () => {
    while (isWanted) {
      const started = performance.now();
      const reply = (await bus
        .ask(subjects.query('projector', 'tasks.list'), JSON.stringify({ tenant: 'acme', limit: 20 }), 5_000)
        .catch(() => undefined)) as { ok: boolean } | undefined;
      if (reply?.ok === true) answeredMs.push(performance.now() - started);
      else unanswered += 1;
      await wait(ASK_EVERY_MS);
    }
  })();
  return {
    stop: async () => {
      isWanted = false;
      await asking;
      return { answeredMs, unanswered };
    },
  };
}
