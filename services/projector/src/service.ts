import { openContent } from '@mandate/event-store';
import type { ServiceContext, ServiceDefinition, Working } from '@mandate/service-kit';
import { z } from 'zod';
import { Projector } from './partitions/projector.ts';
import { answerQueries, type QueryHandlers } from './queries/answer-queries.ts';
import { callQueries } from './queries/call-queries.ts';
import { eventQueries } from './queries/event-queries.ts';
import { statusQueries } from './queries/status-queries.ts';
import { taskQueries } from './queries/task-queries.ts';
import { openPool } from './store/pool.ts';

const config = z.object({
  DATABASE_URL: z.string().min(1).describe('postgres:// of the role mandate_projector in the database of log and read models'),
  KEYS_DATABASE_URL: z.string().min(1).describe('postgres:// of the role mandate_projector in the database of content keys'),
  MANDATE_MASTER_KEY_FILE: z.string().min(1).describe('file with the key that wraps the content keys'),
});
type Config = z.infer<typeof config>;

/** A statement of the projection may carry a thousand events; a query must answer within the asker's patience. */
const PROJECTION_TIMEOUT_MS = 15_000;
const QUERY_TIMEOUT_MS = 5_000;
const CONTROL_TIMEOUT_MS = 2_000;
const FIRST_ROUND_MS = 3_000;

/** Read models of the log and the answers to every query about them. */
export const projector: ServiceDefinition<typeof config> = {
  name: 'projector',
  config,
  secrets: ['DATABASE_URL', 'KEYS_DATABASE_URL'],
  start,
};

async function start(context: ServiceContext<Config>): Promise<Working> {
  const { DATABASE_URL, KEYS_DATABASE_URL, MANDATE_MASTER_KEY_FILE } = context.config;
  const contents = await openContent({ databaseUrl: DATABASE_URL, keysUrl: KEYS_DATABASE_URL, masterKeyFile: MANDATE_MASTER_KEY_FILE });
  const pool = openPool(DATABASE_URL, { max: 3, timeoutMs: PROJECTION_TIMEOUT_MS, name: 'projector' });
  const control = openPool(DATABASE_URL, { max: 1, timeoutMs: CONTROL_TIMEOUT_MS, name: 'projector-control' });
  const queries = openPool(DATABASE_URL, { max: 8, timeoutMs: QUERY_TIMEOUT_MS, name: 'projector-queries' });
  const handlers: QueryHandlers = {
    ...taskQueries(queries, contents),
    ...eventQueries(queries, contents),
    ...callQueries(queries),
    ...statusQueries(queries),
  };
  const working = new Projector({
    instance: context.instance,
    bus: context.bus,
    presence: context.presence,
    log: context.log,
    metrics: context.metrics,
    pool,
    control,
  });
  await working.started(FIRST_ROUND_MS);
  const answering = answerQueries(context.bus, handlers, context.log);
  return {
    ready: () => working.ready(),
    inFlight: () => answering.inFlight(),
    stop: async () => {
      answering.stop();
      await working.stop();
      while (answering.inFlight() > 0) await new Promise((done) => setTimeout(done, 10));
      await Promise.all([pool.end(), control.end(), queries.end(), contents.close()]);
    },
  };
}
