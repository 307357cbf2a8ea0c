import { CommitLane, DataKeys, EventLog, masterKeysFrom } from '@mandate/event-store';
import { keysDestroyed, parseCloudEvent, parseMessage, STREAMS, subjects, TYPES } from '@mandate/contracts';
import { MAX_AGENTS, MAX_DEPTH } from '@mandate/domain';
import { ConfigInvalid, type ServiceDefinition, Standings, type Working } from '@mandate/service-kit';
import { z } from 'zod';
import { Catalogs } from './catalogs.ts';
import { Leases } from './leases.ts';
import { Meters } from './meters.ts';
import { NamedAgents } from './named-agents.ts';
import { ParkedDesk } from './parked/parked-desk.ts';
import { Snapshots } from './snapshots.ts';
import { Told } from './told.ts';

const config = z.object({
  DATABASE_URL: z.string().min(1).describe('the log, as role mandate_orchestrator'),
  KEYS_DATABASE_URL: z.string().min(1).describe('the data keys, as role mandate_orchestrator'),
  MANDATE_MASTER_KEY_FILE: z.string().min(1).optional().describe('file with the master keys: 64 hex digits a line, the current one first'),
  MANDATE_MASTER_KEY: z.string().min(1).optional().describe('the master keys themselves, instead of a file'),
  COMMAND_KEY_ANALYZER: z.string().min(16).describe('HMAC key of commands to analyzers'),
  COMMAND_KEY_LLM: z.string().min(16).describe('HMAC key of commands to llm-routers'),
  COMMAND_KEY_TOOL: z.string().min(16).describe('HMAC key of commands to tool-runners'),
  MANDATE_SLOT: z
    .string()
    .optional()
    .describe('place of this process; one started in the same place takes over at once. The instance must be named <slot>-…'),
  MANDATE_QUEUE_MS: z.coerce.number().int().positive().default(120_000).describe('a command may wait for a worker this long'),
  MANDATE_ANALYZE_MS: z.coerce.number().int().positive().default(10_000).describe('an analysis may run this long'),
  MANDATE_LLM_MS: z.coerce.number().int().positive().default(120_000).describe('a model call may run this long'),
  MANDATE_TOOL_MS: z.coerce.number().int().positive().default(30_000).describe('a tool call may run this long'),
  MANDATE_AGENTS_FILE: z.string().optional().describe('agents that tenants described, as JSON (docs/patterns.md)'),
  MANDATE_MAX_DEPTH: z.coerce
    .number()
    .int()
    .min(0)
    .max(MAX_DEPTH)
    .default(MAX_DEPTH)
    .describe('how deep agents may delegate: 0 not at all'),
  MANDATE_MAX_AGENTS: z.coerce
    .number()
    .int()
    .min(0)
    .max(MAX_AGENTS.ceiling)
    .default(MAX_AGENTS.ceiling)
    .describe('children in one workflow at most'),
  MANDATE_DEEP_WRITERS: z
    .string()
    .default('')
    .transform((names) => names.split(',').map((name) => name.trim()))
    .describe('tenants whose agents at depth 2 may use tools that change something, separated by commas'),
  MANDATE_GRACE_MS: z.coerce.number().int().positive().default(5_000).describe('added to every attempt for the way there and back'),
});

/** The only writer of the log: decides, grants, refuses, times, retries, recovers. */
export const orchestrator: ServiceDefinition<typeof config> = {
  name: 'orchestrator',
  config,
  secrets: ['DATABASE_URL', 'KEYS_DATABASE_URL', 'MANDATE_MASTER_KEY', 'COMMAND_KEY_ANALYZER', 'COMMAND_KEY_LLM', 'COMMAND_KEY_TOOL'],
  start: async (context): Promise<Working> => {
    const { config: env, bus, log: logger, instance, tracing, metrics, presence } = context;
    refuseShortClaims(env);
    const onError = (error: Error): void => logger.warn({ problem: error.message }, 'postgres connection');
    const log = new EventLog({ url: env.DATABASE_URL, onError });
    const keys = await DataKeys.open({ url: env.KEYS_DATABASE_URL, masterKeys: masterKeysFrom(env), onError });
    const erasing = bus.listen(subjects.keysDestroyed(), (message) => {
      const event = parseCloudEvent(message.data);
      const said = event.ok ? parseMessage(event.value, TYPES.keysDestroyed, keysDestroyed) : event;
      if (said.ok) keys.forget(said.value.keys);
    });
    const catalogs = new Catalogs(log, logger, {
      agents: await NamedAgents.open(log, env.MANDATE_AGENTS_FILE),
      timing: {
        queueMs: env.MANDATE_QUEUE_MS,
        analyzeMs: env.MANDATE_ANALYZE_MS,
        llmMs: env.MANDATE_LLM_MS,
        toolMs: env.MANDATE_TOOL_MS,
        graceMs: env.MANDATE_GRACE_MS,
      },
      delegation: (tenant) => ({
        maxDepth: env.MANDATE_MAX_DEPTH,
        maxAgents: env.MANDATE_MAX_AGENTS,
        deepest: env.MANDATE_DEEP_WRITERS.includes(tenant) ? 'any' : 'read_only',
      }),
    });
    let busIncarnation = await bus.incarnation();
    await catalogs.start(context);
    const standings = new Standings(bus);
    const leases = new Leases(log, logger, presence, instance);
    const meters = new Meters(metrics, {
      partitions: () => leases.owned.size,
      workflows: () => [...leases.owned.values()].reduce((sum, partition) => sum + partition.openWorkflows, 0),
    });
    await leases.start(
      {
        bus,
        log,
        keys,
        catalogs,
        logger,
        tracing,
        meters,
        instance,
        lane: new CommitLane(log),
        snapshots: new Snapshots(log, (problem) => logger.warn({ problem }, 'snapshot not stored; the next one will do')),
        told: new Told(bus, instance),
        standings,
        commandKeys: { analyze: env.COMMAND_KEY_ANALYZER, llm: env.COMMAND_KEY_LLM, tool: env.COMMAND_KEY_TOOL },
        busIncarnation: () => busIncarnation,
        onFenced: () => leases.fenced(),
      },
      env.MANDATE_SLOT,
    );
    const parked = new ParkedDesk({ bus, log, keys, logger, instance });
    const watch = setInterval(() => {
      bus.incarnation().then(
        async (seen) => {
          if (seen === busIncarnation) return;
          logger.warn({ was: busIncarnation, is: seen }, 'the bus lost its storage: dispatching again from the log');
          busIncarnation = seen;
          await Promise.all([...leases.owned.values()].map((partition) => partition.resetBus(seen)));
        },
        () => undefined,
      );
    }, 1_000);
    return {
      ready: () => {
        const missing = [...leases.missing, ...catalogs.missing];
        return { ok: missing.length === 0, missing };
      },
      inFlight: () => [...leases.owned.values()].reduce((sum, partition) => sum + partition.openWorkflows, 0),
      stop: async () => {
        clearInterval(watch);
        parked.stop();
        await leases.stop();
        standings.stop();
        erasing.stop();
        await Promise.all([log.close(), keys.close()]);
      },
    };
  },
};

/** A claim must outlive its command: an attempt whose claim was forgotten could be run a second time. */
function refuseShortClaims(env: z.infer<typeof config>): void {
  const claims = STREAMS.find((stream) => stream.name === 'CLAIMS')?.maxAgeMs ?? 0;
  const longest = env.MANDATE_QUEUE_MS + Math.max(env.MANDATE_ANALYZE_MS, env.MANDATE_LLM_MS, env.MANDATE_TOOL_MS) + env.MANDATE_GRACE_MS;
  if (longest < claims) return;
  throw new ConfigInvalid(
    `MANDATE_QUEUE_MS, the longest call and MANDATE_GRACE_MS are ${longest} ms together; claims are kept for ${claims} ms. Lower them.`,
  );
}
