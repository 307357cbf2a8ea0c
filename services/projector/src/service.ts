import { keysDestroyed, parseCloudEvent, parseMessage, subjects, TYPES } from '@mandate/contracts';
import { masterKeysFrom, openContent, ProofStore } from '@mandate/event-store';
import type { ServiceContext, ServiceDefinition, Working } from '@mandate/service-kit';
import { z } from 'zod';
import { Projector } from './partitions/projector.ts';
import { agentQueries } from './queries/agent-queries.ts';
import { answerQueries, type QueryHandlers } from './queries/answer-queries.ts';
import { callQueries } from './queries/call-queries.ts';
import { decisionQueries } from './queries/decision-queries.ts';
import { delegationQueries } from './queries/delegation-queries.ts';
import { eventQueries } from './queries/event-queries.ts';
import { stateQueries } from './queries/state-queries.ts';
import { parkedQueries } from './queries/parked-queries.ts';
import { statusQueries } from './queries/status-queries.ts';
import { taskQueries } from './queries/task-queries.ts';
import { readSigningKey, Sealer } from './sealing/sealer.ts';
import { openPool } from './store/pool.ts';
import { ReadModels } from './store/read-models.ts';

const config = z.object({
  DATABASE_URL: z.string().min(1).describe('postgres:// of the role mandate_projector in the database of log and read models'),
  KEYS_DATABASE_URL: z.string().min(1).describe('postgres:// of the role mandate_projector in the database of content keys'),
  MANDATE_MASTER_KEY_FILE: z.string().min(1).optional().describe('file with the master keys: 64 hex digits a line, the current one first'),
  MANDATE_MASTER_KEY: z.string().min(1).optional().describe('the master keys themselves, instead of a file'),
  MANDATE_CHECKPOINT_KEY_FILE: z
    .string()
    .optional()
    .describe('file with the key that signs checkpoints of the log (docs/audit.md); without it, nothing is signed'),
  MANDATE_CHECKPOINT_MS: z.coerce.number().int().min(10).default(10_000).describe('what was committed is signed after at most this long'),
});
type Config = z.infer<typeof config>;

const FIRST_ROUND_MS = 3_000;
/** A page of the log for a state. */
const STATE_TIMEOUT_MS = 3_000;

/** Read models of the log and the answers to every query about them. */
export const projector: ServiceDefinition<typeof config> = {
  name: 'projector',
  config,
  secrets: ['DATABASE_URL', 'KEYS_DATABASE_URL', 'MANDATE_MASTER_KEY'],
  start,
};

async function start(context: ServiceContext<Config>): Promise<Working> {
  const { DATABASE_URL, KEYS_DATABASE_URL } = context.config;
  const contents = await openContent({
    databaseUrl: DATABASE_URL,
    keysUrl: KEYS_DATABASE_URL,
    masterKeys: masterKeysFrom(context.config),
  });
  const erasing = context.bus.listen(subjects.keysDestroyed(), (message) => {
    const event = parseCloudEvent(message.data);
    const said = event.ok ? parseMessage(event.value, TYPES.keysDestroyed, keysDestroyed) : event;
    if (said.ok) contents.forget(said.value.keys);
  });
  const models = new ReadModels(DATABASE_URL);
  const states = openPool(DATABASE_URL, { max: 2, timeoutMs: STATE_TIMEOUT_MS, name: 'projector-states' });
  const handlers: QueryHandlers = {
    ...taskQueries(contents),
    ...eventQueries(contents),
    ...agentQueries(contents),
    ...decisionQueries,
    ...delegationQueries,
    ...callQueries,
    ...stateQueries(states),
    ...statusQueries,
    ...parkedQueries((workflow, to, by) => working.decideParked(workflow, to, by)),
  };
  const working = new Projector({
    instance: context.instance,
    bus: context.bus,
    presence: context.presence,
    log: context.log,
    metrics: context.metrics,
    databaseUrl: DATABASE_URL,
    onServing: (generation) => models.serve(generation),
  });
  await working.started(FIRST_ROUND_MS);
  const answering = answerQueries(context.bus, handlers, models, context.log);
  const sealing = await startSealing(context);
  // The bus knows of it before anybody is told that this instance has started.
  if (context.bus.connected) await context.bus.nc.flush().catch(() => undefined);
  return {
    ready: () => working.ready(),
    inFlight: () => answering.inFlight(),
    stop: async () => {
      answering.stop();
      erasing.stop();
      await Promise.all([working.stop(), sealing.stop()]);
      while (answering.inFlight() > 0) await new Promise((done) => setTimeout(done, 10));
      await Promise.all([models.close(), contents.close(), states.end()]);
    },
  };
}

async function startSealing({ config: env, log, metrics }: ServiceContext<Config>): Promise<{ stop(): Promise<void> }> {
  if (env.MANDATE_CHECKPOINT_KEY_FILE === undefined) {
    log.warn('MANDATE_CHECKPOINT_KEY_FILE is not set: the log is not signed');
    return { stop: () => Promise.resolve() };
  }
  const key = await readSigningKey(env.MANDATE_CHECKPOINT_KEY_FILE);
  const store = ProofStore.open({ url: env.DATABASE_URL, onError: (error) => log.warn({ problem: error.message }, 'postgres connection') });
  const sealer = new Sealer({ store, key, everyMs: env.MANDATE_CHECKPOINT_MS, log, metrics });
  return {
    stop: async () => {
      await sealer.stop();
      await store.close();
    },
  };
}
