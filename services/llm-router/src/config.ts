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
