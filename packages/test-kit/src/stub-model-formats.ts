/** The three wire formats that the stub model speaks, as far as the vendors' public references describe them. */

/** What a scripted model says. Token counts that are not given are characters divided by four, rounded up. */
export type StubAnswer = {
  readonly text?: string;
  /** `args` that is a string is sent as it is: that is how a model's broken JSON is scripted (OpenAI's format only). */
  readonly toolCalls?: readonly { readonly tool: string; readonly args: unknown; readonly callId?: string }[];
  /** `none`: the answer says nothing about usage. */
  readonly usage?: Partial<StubUsage> | 'none';
  /** Default: `tool_calls` with tool calls, else `stop`. */
  readonly finishReason?: 'stop' | 'length' | 'tool_calls' | 'content_filter';
};

export type StubUsage = {
  /** All input, the cached part included. */
  readonly inputTokens: number;
  readonly cachedInputTokens: number;
  readonly outputTokens: number;
};

export type StubFormat = 'openai' | 'anthropic' | 'google';

/** A request in any of the formats, as far as a script needs it. */
export type StubConversation = {
  readonly model: string;
  /** Text of the first user message. */
  readonly firstUserText: string;
  /** How often the model has answered before. */
  readonly assistantMessages: number;
  readonly tools: readonly string[];
};

type Json = Readonly<Record<string, unknown>>;

const PATHS: readonly (readonly [StubFormat, RegExp])[] = [
  ['openai', /\/chat\/completions$/],
  ['anthropic', /\/messages$/],
  ['google', /\/models\/([^/]+):generateContent$/],
];

/** Which format a request path belongs to. */
export function formatOf(path: string): StubFormat | undefined {
  return PATHS.find(([, pattern]) => pattern.test(path))?.[0];
}

/** Reads what a script needs out of a request. */
export function readConversation(format: StubFormat, path: string, body: unknown): StubConversation {
  const request = object(body);
  const turns = list(request[format === 'google' ? 'contents' : 'messages']).map(object);
  const assistant = format === 'google' ? 'model' : 'assistant';
  return {
    model: format === 'google' ? (/models\/([^/:]+):/.exec(path)?.[1] ?? '') : String(request['model']),
    firstUserText: textOf(turns.find((turn) => turn['role'] === 'user')),
    assistantMessages: turns.filter((turn) => turn['role'] === assistant).length,
    tools: toolNames(format, request),
  };
}

function toolNames(format: StubFormat, request: Json): readonly string[] {
  const tools = list(request['tools']).map(object);
  if (format === 'openai') return tools.map((tool) => String(object(tool['function'])['name']));
  if (format === 'anthropic') return tools.map((tool) => String(tool['name']));
  return tools.flatMap((tool) => list(tool['functionDeclarations']).map((each) => String(object(each)['name'])));
}

function textOf(turn: Json | undefined): string {
  const content = turn?.['content'] ?? turn?.['parts'];
  if (typeof content === 'string') return content;
  return list(content)
    .map((part) => textIn(object(part)['text']))
    .join('');
}

/** What an answer uses, with the counts that the script left out. */
export function usageOf(answer: StubAnswer, requestCharacters: number): StubUsage {
  const given = answer.usage === 'none' ? {} : (answer.usage ?? {});
  const said = (answer.text ?? '').length + JSON.stringify(answer.toolCalls ?? []).length - 2;
  return { inputTokens: Math.ceil(requestCharacters / 4), cachedInputTokens: 0, outputTokens: Math.ceil(said / 4), ...given };
}

/** The response body of an answer. */
export function writeAnswer(format: StubFormat, model: string, answer: StubAnswer, usage: StubUsage, number: number): Json {
  if (format === 'openai') return openaiAnswer(model, answer, usage, number);
  return format === 'anthropic' ? anthropicAnswer(model, answer, usage, number) : googleAnswer(model, answer, usage, number);
}

function openaiAnswer(model: string, answer: StubAnswer, usage: StubUsage, number: number): Json {
  const calls = (answer.toolCalls ?? []).map((call, index) => ({
    id: call.callId ?? `call_${number}_${index}`,
    type: 'function',
    function: { name: call.tool, arguments: typeof call.args === 'string' ? call.args : JSON.stringify(call.args) },
  }));
  const message = { role: 'assistant', content: answer.text ?? null, ...(calls.length > 0 ? { tool_calls: calls } : {}) };
  return {
    id: `chatcmpl-${number}`,
    object: 'chat.completion',
    created: 1_790_000_000,
    model,
    choices: [{ index: 0, message, finish_reason: finish(answer) }],
    ...withUsage(answer, 'usage', {
      prompt_tokens: usage.inputTokens,
      completion_tokens: usage.outputTokens,
      total_tokens: usage.inputTokens + usage.outputTokens,
      prompt_tokens_details: { cached_tokens: usage.cachedInputTokens },
    }),
  };
}

const ANTHROPIC_REASONS = { stop: 'end_turn', length: 'max_tokens', tool_calls: 'tool_use', content_filter: 'refusal' } as const;

function anthropicAnswer(model: string, answer: StubAnswer, usage: StubUsage, number: number): Json {
  const text = answer.text === undefined ? [] : [{ type: 'text', text: answer.text }];
  const calls = (answer.toolCalls ?? []).map((call, index) => ({
    type: 'tool_use',
    id: call.callId ?? `toolu_${number}_${index}`,
    name: call.tool,
    input: call.args,
  }));
  return {
    id: `msg_${number}`,
    type: 'message',
    role: 'assistant',
    model,
    content: [...text, ...calls],
    stop_reason: ANTHROPIC_REASONS[finish(answer)],
    stop_sequence: null,
    ...withUsage(answer, 'usage', {
      input_tokens: usage.inputTokens - usage.cachedInputTokens,
      output_tokens: usage.outputTokens,
      cache_creation_input_tokens: 0,
      cache_read_input_tokens: usage.cachedInputTokens,
    }),
  };
}

const GOOGLE_REASONS = { stop: 'STOP', length: 'MAX_TOKENS', tool_calls: 'STOP', content_filter: 'SAFETY' } as const;

function googleAnswer(model: string, answer: StubAnswer, usage: StubUsage, number: number): Json {
  const text = answer.text === undefined ? [] : [{ text: answer.text }];
  const calls = (answer.toolCalls ?? []).map((call) => ({ functionCall: { name: call.tool, args: call.args } }));
  return {
    responseId: `resp-${number}`,
    modelVersion: model,
    candidates: [{ index: 0, content: { role: 'model', parts: [...text, ...calls] }, finishReason: GOOGLE_REASONS[finish(answer)] }],
    ...withUsage(answer, 'usageMetadata', {
      promptTokenCount: usage.inputTokens,
      candidatesTokenCount: usage.outputTokens,
      totalTokenCount: usage.inputTokens + usage.outputTokens,
      cachedContentTokenCount: usage.cachedInputTokens,
    }),
  };
}

function withUsage(answer: StubAnswer, field: string, usage: Json): Json {
  return answer.usage === 'none' ? {} : { [field]: usage };
}

function finish(answer: StubAnswer): NonNullable<StubAnswer['finishReason']> {
  return answer.finishReason ?? ((answer.toolCalls?.length ?? 0) > 0 ? 'tool_calls' : 'stop');
}

const textIn = (value: unknown): string => (typeof value === 'string' ? value : '');

function object(value: unknown): Json {
  return typeof value === 'object' && value !== null ? (value as Json) : {};
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
