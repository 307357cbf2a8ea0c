import type {
  LanguageModelV4CallOptions,
  LanguageModelV4Content,
  LanguageModelV4FinishReason,
  LanguageModelV4GenerateResult,
  LanguageModelV4Message,
  LanguageModelV4Prompt,
  LanguageModelV4Usage,
} from '@ai-sdk/provider';
import type { ModelMessage, ModelRequest } from '@mandate/contracts';
import type { ModelAnswer, TokenUsage } from '../../language-model.ts';

/** Between our conversations and the AI SDK's (`LanguageModelV4`): the one place that knows both. */
export function toCallOptions(
  request: ModelRequest,
  options: { readonly signal: AbortSignal; readonly maxOutputTokens: number },
): LanguageModelV4CallOptions {
  const tools = request.tools.map((tool) => ({
    type: 'function' as const,
    name: tool.name,
    description: tool.description,
    inputSchema: tool.inputSchema as object,
  }));
  return {
    prompt: toPrompt(request),
    maxOutputTokens: options.maxOutputTokens,
    abortSignal: options.signal,
    ...(tools.length === 0 ? {} : { tools, toolChoice: { type: 'auto' as const } }),
  };
}

function toPrompt(request: ModelRequest): LanguageModelV4Prompt {
  const system: LanguageModelV4Message[] = request.system === '' ? [] : [{ role: 'system', content: request.system }];
  return [...system, ...request.messages.reduce<LanguageModelV4Message[]>(addMessage, [])];
}

function addMessage(prompt: LanguageModelV4Message[], message: ModelMessage): LanguageModelV4Message[] {
  switch (message.role) {
    case 'user':
      return [...prompt, { role: 'user', content: [{ type: 'text', text: message.text }] }];
    case 'assistant':
      return [...prompt, ...assistantMessage(message)];
    case 'tool':
      return addToolResult(prompt, message);
  }
}

/** Vendors refuse empty texts and empty turns. */
function assistantMessage(message: Extract<ModelMessage, { role: 'assistant' }>): LanguageModelV4Message[] {
  const text = message.text === '' ? [] : [{ type: 'text' as const, text: message.text }];
  const calls = message.toolCalls.map((call) => ({
    type: 'tool-call' as const,
    toolCallId: call.callId,
    toolName: acceptableName(call.tool),
    input: call.args ?? {},
  }));
  return text.length + calls.length === 0 ? [] : [{ role: 'assistant', content: [...text, ...calls] }];
}

/** Results of one turn stand in one message: Gemini wants as many responses in it as there were calls. */
function addToolResult(prompt: LanguageModelV4Message[], message: Extract<ModelMessage, { role: 'tool' }>): LanguageModelV4Message[] {
  const output = { type: message.isError ? ('error-text' as const) : ('text' as const), value: message.text };
  const result = { type: 'tool-result' as const, toolCallId: message.callId, toolName: acceptableName(message.tool), output };
  const last = prompt.at(-1);
  if (last?.role !== 'tool') return [...prompt, { role: 'tool', content: [result] }];
  return [...prompt.slice(0, -1), { ...last, content: [...last.content, result] }];
}

/** A name that a model made up is sent back to it, and vendors refuse a history with a name that could not be a tool's. */
const acceptableName = (name: string): string => name.replace(/[^A-Za-z0-9_-]/g, '_').slice(0, 64) || 'unnamed';

export function toModelAnswer(result: LanguageModelV4GenerateResult): ModelAnswer {
  return {
    text: result.content.flatMap((part) => (part.type === 'text' ? [part.text] : [])).join(''),
    toolCalls: distinctCalls(result.content),
    usage: toUsage(result.usage),
    finishReason: FINISH[result.finishReason.unified],
    ...(result.response?.id === undefined ? {} : { responseId: result.response.id }),
    ...(result.response?.modelId === undefined ? {} : { responseModel: result.response.modelId }),
  };
}

const FINISH: Readonly<Record<LanguageModelV4FinishReason['unified'], ModelAnswer['finishReason']>> = {
  stop: 'stop',
  length: 'length',
  'content-filter': 'content_filter',
  'tool-calls': 'tool_calls',
  error: 'error',
  interrupted: 'error',
  other: 'other',
};

/** Some OpenAI-compatible servers give every call the same id, or none. */
function distinctCalls(content: readonly LanguageModelV4Content[]): ModelAnswer['toolCalls'] {
  const seen = new Set<string>();
  return content.flatMap((part) => {
    if (part.type !== 'tool-call' || part.providerExecuted === true) return [];
    const given = part.toolCallId.slice(0, 128);
    const callId = given === '' || seen.has(given) ? `call_${seen.size}` : given;
    seen.add(callId);
    return [{ callId, tool: part.toolName, args: toArguments(part.input) }];
  });
}

/** What is no JSON object is handed on as it was said; the tool's own check refuses it and says why. */
function toArguments(text: string): unknown {
  if (text.trim() === '') return {};
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch {
    // Falls through: not JSON.
  }
  return { _raw: text };
}

function toUsage(usage: LanguageModelV4Usage): TokenUsage | undefined {
  const { inputTokens, outputTokens } = usage;
  if (inputTokens.total === undefined || outputTokens.total === undefined) return undefined;
  return {
    inputTokens: whole(inputTokens.total),
    cachedInputTokens: whole(inputTokens.cacheRead),
    cacheWriteTokens: whole(inputTokens.cacheWrite),
    outputTokens: whole(outputTokens.total),
    reasoningTokens: whole(outputTokens.reasoning),
  };
}

/** A count from outside: never negative, never a fraction, never NaN. */
export const whole = (count: number | undefined): number =>
  count === undefined || !Number.isFinite(count) ? 0 : Math.max(0, Math.ceil(count));
