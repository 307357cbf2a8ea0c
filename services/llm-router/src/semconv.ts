/**
 * Names of OpenTelemetry's GenAI conventions (open-telemetry/semantic-conventions-genai, all "Development"). They are not in
 * the npm package yet, whose README says to copy unstable names; here is the one copy of this service.
 */
export const GEN_AI = {
  operation: 'gen_ai.operation.name',
  provider: 'gen_ai.provider.name',
  requestModel: 'gen_ai.request.model',
  requestMaxTokens: 'gen_ai.request.max_tokens',
  responseId: 'gen_ai.response.id',
  responseModel: 'gen_ai.response.model',
  finishReasons: 'gen_ai.response.finish_reasons',
  inputTokens: 'gen_ai.usage.input_tokens',
  outputTokens: 'gen_ai.usage.output_tokens',
  cacheReadTokens: 'gen_ai.usage.cache_read.input_tokens',
  reasoningTokens: 'gen_ai.usage.reasoning.output_tokens',
  conversation: 'gen_ai.conversation.id',
} as const;

/** The conventions' word for each of our providers. */
export const PROVIDER_NAMES = {
  openai: 'openai',
  anthropic: 'anthropic',
  google: 'gcp.gemini',
  'openai-compatible': 'openai_compatible',
  offline: 'mandate.offline',
} as const;
