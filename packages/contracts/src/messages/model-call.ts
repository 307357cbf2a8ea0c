import { z } from 'zod';
import { content, fact } from '../fields.ts';

/** A conversation as a model sees it, the same for every provider. */
export const modelMessage = z.discriminatedUnion('role', [
  z.object({ role: fact(z.literal('user')), text: content(z.string()) }),
  z.object({
    role: fact(z.literal('assistant')),
    text: content(z.string()),
    toolCalls: z.array(z.object({ callId: fact(z.string()), tool: fact(z.string()), args: content(z.unknown()) })),
  }),
  z.object({
    role: fact(z.literal('tool')),
    callId: fact(z.string()),
    tool: fact(z.string()),
    text: content(z.string()),
    isError: z.boolean(),
  }),
]);
export type ModelMessage = z.infer<typeof modelMessage>;

/** A tool as a model sees it. */
export const toolSpec = z.object({ name: fact(z.string()), description: fact(z.string()), inputSchema: z.unknown() });
export type ToolSpec = z.infer<typeof toolSpec>;

export const modelRequest = z.object({
  /** `null`: the router chooses by tier and price. */
  model: fact(z.string()).nullable(),
  system: fact(z.string()),
  messages: z.array(modelMessage).min(1),
  tools: z.array(toolSpec),
  maxOutputTokens: z.number().int().positive(),
});
export type ModelRequest = z.infer<typeof modelRequest>;
