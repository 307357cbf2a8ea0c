import { z } from 'zod';

export const runnerConfig = z.object({
  COMMAND_KEY: z.string().min(16).describe('HMAC key with which the orchestrator signs commands to this service'),
  TOOL_CONCURRENCY: z.coerce.number().int().min(1).max(10_000).default(128).describe('tool calls in flight at the same time'),
  MANDATE_TOOLS_FILE: z
    .string()
    .transform((text) => (text === '' ? undefined : text))
    .optional()
    .describe('JSON: {"servers": [...]}, the MCP servers and what is granted of them; without it there are no tools'),
});
export type RunnerConfig = z.infer<typeof runnerConfig>;
