/** Every provider against the stub model: what goes over the wire, what comes back, and what each failure becomes. */
import type { ModelRequest } from '@mandate/contracts';
import { startStubModel, type StubFormat, type StubModel, type StubReply } from '@mandate/test-kit';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type LanguageModel, ModelCallFailed } from '../language-model.ts';
import { anthropic } from './anthropic/anthropic.ts';
import { google } from './google/google.ts';
import { openai } from './openai/openai.ts';
import { openaiCompatible } from './openai-compatible/openai-compatible.ts';

let stub: StubModel;
beforeEach(async () => {
  stub = await startStubModel();
});
afterEach(() => stub.stop());

const apiKey = 'sk-test-0123456789';
const providers: Readonly<Record<string, (baseUrl: string) => LanguageModel>> = {
  openai: (baseUrl) => openai({ apiKey, baseUrl })('gpt-5.4-mini'),
  anthropic: (baseUrl) => anthropic({ apiKey, baseUrl })('claude-haiku-4-5'),
  google: (baseUrl) => google({ apiKey, baseUrl })('gemini-3.8-flash'),
  'openai-compatible': (baseUrl) => openaiCompatible({ apiKey, baseUrl })('llama-5'),
};
const formats: Readonly<Record<string, StubFormat>> = {
  openai: 'openai',
  anthropic: 'anthropic',
  google: 'google',
  'openai-compatible': 'openai',
};

const inputSchema = { type: 'object', properties: { path: { type: 'string' } }, required: ['path'] };
const conversation: ModelRequest = {
  model: null,
  system: 'Be brief.',
  messages: [
    { role: 'user', text: 'How long is a.md?' },
    {
      role: 'assistant',
      text: 'Looking.',
      toolCalls: [
        { callId: 'call_1', tool: 'files__read_text_file', args: { path: 'a.md' } },
        { callId: 'call_2', tool: 'files__read_text_file', args: { path: 'b.md' } },
      ],
    },
    { role: 'tool', callId: 'call_1', tool: 'files__read_text_file', text: 'three words here', isError: false },
    { role: 'tool', callId: 'call_2', tool: 'files__read_text_file', text: 'no such file', isError: true },
  ],
  tools: [{ name: 'files__read_text_file', description: 'Reads a file.', inputSchema }],
  maxOutputTokens: 321,
};
const plain: ModelRequest = { ...conversation, messages: [{ role: 'user', text: 'Hello' }], tools: [] };

const options = { signal: new AbortController().signal, maxOutputTokens: 321 };
const failing = async (model: LanguageModel, reply: StubReply): Promise<ModelCallFailed> => {
  stub.script(reply);
  const failure = await model.generate(plain, options).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(ModelCallFailed);
  return failure as ModelCallFailed;
};

describe.each(Object.entries(providers))('%s', (name, make) => {
  const model = (): LanguageModel => make(stub.url);

  test('text and usage come back, with the cached part apart', async () => {
    stub.script({ text: 'Three words.', usage: { inputTokens: 120, cachedInputTokens: 20, outputTokens: 7 } });
    const answer = await model().generate(plain, options);
    expect(answer).toMatchObject({
      text: 'Three words.',
      toolCalls: [],
      finishReason: 'stop',
      usage: { inputTokens: 120, cachedInputTokens: 20, outputTokens: 7 },
    });
    expect(stub.requests).toHaveLength(1);
    expect(stub.requests[0]?.format).toBe(formats[name]);
  });

  test('tool calls come back as objects, in order', async () => {
    stub.script({
      toolCalls: [
        { tool: 'files__read_text_file', args: { path: 'x' } },
        { tool: 'files__list', args: {} },
      ],
    });
    const answer = await model().generate(conversation, options);
    expect(answer.finishReason).toBe('tool_calls');
    expect(answer.toolCalls.map(({ tool, args }) => ({ tool, args }))).toEqual([
      { tool: 'files__read_text_file', args: { path: 'x' } },
      { tool: 'files__list', args: {} },
    ]);
    expect(new Set(answer.toolCalls.map(({ callId }) => callId)).size).toBe(2);
  });

  test.each([
    [
      { status: 429, headers: { 'retry-after': '7' } },
      { code: 'rate_limit', billed: 'no', retryAfterMs: 7_000 },
    ],
    [{ status: 401 }, { code: 'authentication', billed: 'no' }],
    [{ status: 403 }, { code: 'authentication', billed: 'no' }],
    [{ status: 400 }, { code: 'bad_request', billed: 'no' }],
    [{ status: 404 }, { code: 'bad_request', billed: 'no' }],
    [{ status: 408 }, { code: 'timeout', billed: 'maybe' }],
    [{ status: 413 }, { code: 'context_length', billed: 'no' }],
    [{ status: 500 }, { code: 'server_error', billed: 'no' }],
    [
      { status: 503, body: '<html>busy</html>' },
      { code: 'server_error', billed: 'no' },
    ],
    [{ status: 504 }, { code: 'timeout', billed: 'maybe' }],
    [{ status: 529 }, { code: 'overloaded', billed: 'no' }],
    [{ garbage: 'not json' }, { code: 'bad_answer', billed: 'maybe' }],
    [{ garbage: '[]' }, { code: 'bad_answer', billed: 'maybe' }],
    [{ broken: 'before_answer' }, { code: 'connection', billed: 'maybe' }],
    [{ broken: 'in_answer' }, { code: 'connection', billed: 'maybe' }],
  ] as const)('%o becomes %o, after one request', async (reply, expected) => {
    expect(await failing(model(), reply)).toMatchObject(expected);
    expect(stub.requests).toHaveLength(1);
  });

  test('a refused connection is known to be unbilled', async () => {
    const { url } = stub;
    await stub.stop();
    const failure = await make(url)
      .generate(plain, options)
      .catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'connection', billed: 'no' });
  });

  test('an answer that never comes ends with the reason of whoever aborted', async () => {
    stub.script({ never: true });
    const stopping = new AbortController();
    const asked = model().generate(plain, { ...options, signal: stopping.signal });
    await stub.arrived(1);
    const reason = new Error('time is up');
    stopping.abort(reason);
    await expect(asked).rejects.toBe(reason);
  });

  test('the key does not leave in a message', async () => {
    const failure = await failing(model(), {
      status: 400,
      body: { error: { message: `key ${apiKey} is odd`, code: 400, status: 'INVALID', type: 'x' }, type: 'error' },
    });
    expect(failure.message).not.toContain(apiKey);
  });
});

test('openai: the conversation as chat completions', async () => {
  stub.script({ text: 'ok' });
  await providers['openai']?.(stub.url).generate(conversation, options);
  const { path, headers, body } = stub.requests[0] ?? {};
  expect(path).toBe('/v1/chat/completions');
  expect(headers).toMatchObject({ authorization: `Bearer ${apiKey}` });
  expect(body).toEqual({
    model: 'gpt-5.4-mini',
    max_completion_tokens: 321,
    messages: [
      { role: 'developer', content: 'Be brief.' },
      { role: 'user', content: 'How long is a.md?' },
      {
        role: 'assistant',
        content: 'Looking.',
        tool_calls: [
          { id: 'call_1', type: 'function', function: { name: 'files__read_text_file', arguments: '{"path":"a.md"}' } },
          { id: 'call_2', type: 'function', function: { name: 'files__read_text_file', arguments: '{"path":"b.md"}' } },
        ],
      },
      { role: 'tool', tool_call_id: 'call_1', content: 'three words here' },
      { role: 'tool', tool_call_id: 'call_2', content: '{"error":"no such file"}' },
    ],
    tools: [{ type: 'function', function: { name: 'files__read_text_file', description: 'Reads a file.', parameters: inputSchema } }],
    tool_choice: 'auto',
  });
});

test('openai-compatible: the plain form that other servers understand', async () => {
  stub.script({ text: 'ok' });
  await providers['openai-compatible']?.(stub.url).generate(conversation, options);
  expect(stub.requests[0]?.body).toMatchObject({
    model: 'llama-5',
    max_tokens: 321,
    messages: [{ role: 'system', content: 'Be brief.' }, {}, {}, {}, {}],
  });
});

test('anthropic: the conversation as messages, results of one turn in one message', async () => {
  stub.script({ text: 'ok' });
  await providers['anthropic']?.(stub.url).generate(conversation, options);
  const { path, headers, body } = stub.requests[0] ?? {};
  expect(path).toBe('/v1/messages');
  expect(headers).toMatchObject({ 'x-api-key': apiKey, 'anthropic-version': '2023-06-01' });
  expect(body).toMatchObject({
    model: 'claude-haiku-4-5',
    max_tokens: 321,
    system: [{ type: 'text', text: 'Be brief.' }],
    messages: [
      { role: 'user', content: [{ type: 'text', text: 'How long is a.md?' }] },
      {
        role: 'assistant',
        content: [
          { type: 'text', text: 'Looking.' },
          { type: 'tool_use', id: 'call_1', name: 'files__read_text_file', input: { path: 'a.md' } },
          { type: 'tool_use', id: 'call_2' },
        ],
      },
      {
        role: 'user',
        content: [
          { type: 'tool_result', tool_use_id: 'call_1', content: 'three words here' },
          { type: 'tool_result', tool_use_id: 'call_2', content: 'no such file', is_error: true },
        ],
      },
    ],
    tools: [{ name: 'files__read_text_file', description: 'Reads a file.', input_schema: inputSchema }],
    tool_choice: { type: 'auto' },
  });
});

test('google: the conversation as contents, results of one turn in one content', async () => {
  stub.script({ text: 'ok' });
  await providers['google']?.(stub.url).generate(conversation, options);
  const { path, headers, body } = stub.requests[0] ?? {};
  expect(path).toBe('/v1beta/models/gemini-3.8-flash:generateContent');
  expect(headers).toMatchObject({ 'x-goog-api-key': apiKey });
  expect(body).toMatchObject({
    systemInstruction: { parts: [{ text: 'Be brief.' }] },
    generationConfig: { maxOutputTokens: 321 },
    contents: [
      { role: 'user', parts: [{ text: 'How long is a.md?' }] },
      {
        role: 'model',
        parts: [
          { text: 'Looking.' },
          { functionCall: { name: 'files__read_text_file', args: { path: 'a.md' } } },
          { functionCall: { args: { path: 'b.md' } } },
        ],
      },
      {
        role: 'user',
        parts: [{ functionResponse: { name: 'files__read_text_file' } }, { functionResponse: { name: 'files__read_text_file' } }],
      },
    ],
    tools: [{ functionDeclarations: [{ name: 'files__read_text_file', description: 'Reads a file.' }] }],
  });
});

test('arguments that are no JSON object are handed on as they were said', async () => {
  stub.script({
    toolCalls: [
      { tool: 'a', args: '{"path":' },
      { tool: 'b', args: '[1]' },
      { tool: 'c', args: '' },
    ],
  });
  const answer = await providers['openai']?.(stub.url).generate(conversation, options);
  expect(answer?.toolCalls.map(({ args }) => args)).toEqual([{ _raw: '{"path":' }, { _raw: '[1]' }, {}]);
});

test.each([
  ['openai', { choices: 7, usage: { prompt_tokens: 11, completion_tokens: 3 } }],
  ['openai', { id: 'x', choices: [], usage: { prompt_tokens: 11, completion_tokens: 3 } }],
  ['anthropic', { type: 'nothing', model: 'claude-haiku-4-5', usage: { input_tokens: 11, output_tokens: 3 } }],
  ['google', { candidates: 7, modelVersion: 'gemini-3.8-flash', usageMetadata: { promptTokenCount: 11, candidatesTokenCount: 3 } }],
] as const)('%s: usage in an answer that is no use is not lost (%o)', async (name, body) => {
  const model = providers[name]?.(stub.url);
  if (model === undefined) throw new Error(name);
  expect(await failing(model, { garbage: JSON.stringify(body) })).toMatchObject({
    code: 'bad_answer',
    billed: 'yes',
    usage: { inputTokens: 11, outputTokens: 3 },
  });
});

test.each([
  [{ error: { message: 'too long', code: 'context_length_exceeded', type: 'invalid_request_error' } }, 'context_length'],
  [{ error: { message: 'blocked', code: 'content_filter', type: 'invalid_request_error' } }, 'content_filter'],
])('openai: 400 %o is %s', async (body, code) => {
  expect(await failing(openai({ apiKey, baseUrl: stub.url })('gpt-5.4-mini'), { status: 400, body })).toMatchObject({ code, billed: 'no' });
});

test('a used-up quota is a rate limit that does not pass', async () => {
  const body = { error: { message: 'You exceeded your current quota', code: 'insufficient_quota', type: 'insufficient_quota' } };
  expect(await failing(openai({ apiKey, baseUrl: stub.url })('gpt-5.4-mini'), { status: 429, body })).toMatchObject({
    code: 'rate_limit',
    retryable: false,
  });
});

test('a redirect is not followed: the key would travel with it', async () => {
  const other = await startStubModel();
  try {
    const failure = await failing(openai({ apiKey, baseUrl: stub.url })('gpt-5.4-mini'), {
      status: 307,
      headers: { location: `${other.url}/v1/chat/completions` },
    });
    expect(failure.code).not.toBe('rate_limit');
    expect(other.requests).toEqual([]);
  } finally {
    await other.stop();
  }
});
