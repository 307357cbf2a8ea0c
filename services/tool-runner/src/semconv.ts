/**
 * Names of OpenTelemetry's GenAI and MCP conventions (open-telemetry/semantic-conventions-genai, all "Development"). They are
 * not in the npm package yet, whose README says to copy unstable names; here is the one copy of this service.
 */
export const GEN_AI = {
  operation: 'gen_ai.operation.name',
  toolName: 'gen_ai.tool.name',
  toolType: 'gen_ai.tool.type',
  toolCallId: 'gen_ai.tool.call.id',
  conversation: 'gen_ai.conversation.id',
} as const;
export const MCP = { method: 'mcp.method.name', transport: 'network.transport', server: 'mandate.tool.server' } as const;
export const TOOL_ERROR = 'tool_error';
