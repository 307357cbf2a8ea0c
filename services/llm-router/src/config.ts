import { z } from 'zod';

/** An empty variable is one that is not set: that is how compose files and .env files say it. */
const optional = z
  .string()
  .transform((text) => (text === '' ? undefined : text))
  .optional();
const address = optional.pipe(z.url().optional());

export const routerConfig = z.object({
  COMMAND_KEY: z.string().min(16).describe('HMAC key with which the orchestrator signs commands to this service'),
  LLM_CONCURRENCY: z.coerce.number().int().min(1).max(10_000).default(256).describe('calls in flight at the same time'),
  LLM_DIRECT_CONCURRENCY: z.coerce.number().int().min(1).max(10_000).default(512).describe('direct calls in flight at the same time'),
  LLM_DIRECT_MS: z.coerce.number().int().positive().default(120_000).describe('a direct call may take this long'),
  LLM_CHUNK_MICRO_USD: z.coerce
    .number()
    .int()
    .positive()
    .default(100_000)
    .describe('money for direct calls is leased from the tenant’s account in chunks of this size'),
  LLM_CHUNK_MS: z.coerce.number().int().positive().default(30_000).describe('after this long a chunk is settled and a new one asked for'),
  LLM_CHUNK_GRACE_MS: z.coerce
    .number()
    .int()
    .positive()
    .default(10_000)
    .describe('a chunk of a dead router counts as spent after LLM_CHUNK_MS, LLM_DIRECT_MS and this'),
  OPENAI_API_KEY: optional,
  OPENAI_BASE_URL: address,
  ANTHROPIC_API_KEY: optional,
  ANTHROPIC_BASE_URL: address,
  GOOGLE_GENERATIVE_AI_API_KEY: optional,
  GOOGLE_BASE_URL: address,
  OPENAI_COMPATIBLE_BASE_URL: address.describe('any server that speaks chat completions'),
  OPENAI_COMPATIBLE_API_KEY: optional,
  OPENAI_COMPATIBLE_MODEL: optional,
  MANDATE_MODEL: optional.describe('model for requests that name none: an id, or provider/id'),
  MANDATE_MODELS_FILE: optional.describe(
    'JSON: {"models": [{id, provider, tier, contextTokens, maxOutputTokens, inputUsdPerMillionTokens, outputUsdPerMillionTokens, cachedInputUsdPerMillionTokens?, tools?}]}',
  ),
  MANDATE_ALLOW_OFFLINE: optional.describe('1: the offline provider may serve in production'),
});
export type RouterConfig = z.infer<typeof routerConfig>;
