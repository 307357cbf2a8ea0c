import { z } from 'zod';
import { count, epochMs, fact, tenantId, token, word } from '../fields.ts';
import { toolSpec } from './model-call.ts';

/** Said on `hb.<service>.<instance>` twice a second, and once with `leaving: true` at a clean stop. */
export const heartbeat = z.object({
  service: word,
  instance: token,
  version: word,
  startedAt: epochMs,
  at: epochMs,
  ready: z.boolean(),
  leaving: z.boolean(),
  rssBytes: count,
  eventLoopDelayMs: z.number(),
  inFlight: count,
  health: fact(z.string()),
  /** Hash of the worker's catalogue, when it has one (tools, models). */
  catalogHash: fact(z.string()).nullable(),
});
export type Heartbeat = z.infer<typeof heartbeat>;

/** `mandate.partitions.free.v1`, on `ctl.partitions`: their leases were given back, and nobody works on them. */
export const partitionsFree = z.object({ partitions: z.array(count) });

/** Answer of `q.tool-runner.catalog`: every tool that some tenant was granted. */
export const toolCatalog = z.object({
  tools: z.array(toolSpec.extend({ effect: fact(z.enum(['read_only', 'idempotent', 'non_idempotent'])), tenants: z.array(tenantId) })),
});
export type ToolCatalog = z.infer<typeof toolCatalog>;

/** Answer of `q.llm-router.catalog`: what models there are and what they cost at most. */
export const modelCatalog = z.object({
  priceVersion: word,
  defaultModel: word.nullable(),
  models: z.array(
    z.object({
      id: word,
      provider: word,
      tier: fact(z.enum(['cheap', 'medium', 'powerful'])),
      contextTokens: count,
      maxOutputTokens: count,
      inputMicroUsdPerMillionTokens: count,
      outputMicroUsdPerMillionTokens: count,
      /** False when no price is known: such a model is refused unless the operator gives one. */
      priced: z.boolean(),
      /** True when nobody charges the price: the figures of a run without a model. */
      nominal: z.boolean().optional(),
    }),
  ),
});
export type ModelCatalog = z.infer<typeof modelCatalog>;
