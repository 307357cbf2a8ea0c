/**
 * A model behind real HTTP: it speaks OpenAI chat completions, Anthropic messages and Google generateContent, says what a
 * script or the task's own text tells it (stub-model-plan.ts), and remembers every request. So it is the oracle of spending:
 * `bill()` is what a vendor would charge.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  formatOf,
  readConversation,
  type StubAnswer,
  type StubConversation,
  type StubFormat,
  type StubUsage,
  usageOf,
  writeAnswer,
} from './stub-model-formats.ts';
import { plannedAnswer, plannedDelayMs } from './stub-model-plan.ts';

/** What happens to one request. */
export type StubReply =
  | StubAnswer
  /** An error of the vendor; not billed. */
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: unknown }
  | { readonly delayMs: number; readonly reply: StubReply }
  /** The request is taken and never answered. */
  | { readonly never: true }
  /** A 200 with this text as its body; billed when `usage` is given. */
  | { readonly garbage: string; readonly usage?: StubUsage }
  /** The connection breaks: before a word of the answer, or in the middle of it, when the answer is already billed. */
  | { readonly broken: 'before_answer' | 'in_answer' };

/** Decides what happens to a request. */
export type StubScript = (request: StubRequest) => StubReply;

export type StubRequest = StubConversation & {
  /** From 1, in order of arrival. */
  readonly number: number;
  readonly format: StubFormat;
  readonly path: string;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: unknown;
};

export type StubBill = {
  readonly requests: number;
  readonly billedRequests: number;
  readonly inputTokens: number;
  readonly cachedInputTokens: number;
  readonly outputTokens: number;
  readonly costMicroUsd: number;
};

/** The stub's prices, in micro-USD per million tokens: the operator table of a test repeats them. */
export const STUB_PRICE = { input: 1_000_000, cachedInput: 100_000, output: 4_000_000 } as const;

export type StubModel = {
  /** `http://127.0.0.1:<port>`, without a version path. */
  readonly url: string;
  /** Every request so far, in order of arrival; empty when `remember` is off. */
  readonly requests: readonly StubRequest[];
  /** Requests that are open now: taken and not answered. */
  readonly open: number;
  bill(): StubBill;
  /** Replies for the next requests, one each, or a script for all that follow the queued ones. */
  script(...replies: readonly StubReply[] | readonly [StubScript]): void;
  /** Resolves once that many requests have arrived. */
  arrived(count: number): Promise<void>;
  /** Breaks open connections and ends the server. */
  stop(): Promise<void>;
};

/** Starts a stub model. Without a script the task's own text decides. */
export async function startStubModel(
  options: { readonly port?: number /** Keep every request; off for long benches. @default true */; readonly remember?: boolean } = {},
): Promise<StubModel> {
  const requests: StubRequest[] = [];
  const queued: StubReply[] = [];
  const waiting: { readonly count: number; readonly resolve: () => void }[] = [];
  const total = { requests: 0, billedRequests: 0, inputTokens: 0, cachedInputTokens: 0, outputTokens: 0, costMicroUsd: 0 };
  let script: StubScript = plannedAnswer;
  let open = 0;

  const bill = (usage: StubUsage): void => {
    total.billedRequests++;
    total.inputTokens += usage.inputTokens;
    total.cachedInputTokens += usage.cachedInputTokens;
    total.outputTokens += usage.outputTokens;
    total.costMicroUsd += stubCostMicroUsd(usage);
  };

  const server = createServer((message, response) => {
    open++;
    response.once('close', () => open--);
    handle(message, response).catch((error: unknown) =>
      send(response, 400, { error: { message: (error as Error).message, type: 'invalid_request_error' } }),
    );
  });

  async function handle(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const text = await bodyOf(message);
    const path = (message.url ?? '').split('?')[0] ?? '';
    const format = formatOf(path);
    if (message.method !== 'POST' || format === undefined)
      return send(response, 404, { error: { message: `the stub model has no ${message.method} ${path}` } });
    const body: unknown = JSON.parse(text);
    const request: StubRequest = {
      ...readConversation(format, path, body),
      number: ++total.requests,
      format,
      path,
      headers: message.headers,
      body,
    };
    if (options.remember ?? true) requests.push(request);
    for (const each of waiting.filter(({ count }) => count <= total.requests)) each.resolve();
    const delayMs = plannedDelayMs(request.firstUserText);
    const reply = queued.shift() ?? script(request);
    perform(delayMs > 0 ? { delayMs, reply } : reply, request, text.length, response);
  }

  function perform(reply: StubReply, request: StubRequest, characters: number, response: ServerResponse): void {
    if ('delayMs' in reply) setTimeout(() => perform(reply.reply, request, characters, response), reply.delayMs).unref();
    else if ('never' in reply) return;
    else if ('status' in reply)
      send(response, reply.status, reply.body ?? { error: { message: `scripted ${reply.status}`, type: 'scripted' } }, reply.headers);
    else if ('garbage' in reply) sendGarbage(reply, response);
    else if ('broken' in reply) breakOff(reply.broken, request, characters, response);
    else answer(reply, request, characters, response);
  }

  function answer(reply: StubAnswer, request: StubRequest, characters: number, response: ServerResponse): void {
    const usage = usageOf(reply, characters);
    bill(usage);
    send(response, 200, writeAnswer(request.format, request.model, reply, usage, request.number));
  }

  function sendGarbage(reply: { readonly garbage: string; readonly usage?: StubUsage }, response: ServerResponse): void {
    if (reply.usage !== undefined) bill(reply.usage);
    response.writeHead(200, { 'content-type': 'application/json' }).end(reply.garbage);
  }

  function breakOff(when: 'before_answer' | 'in_answer', request: StubRequest, characters: number, response: ServerResponse): void {
    if (when === 'before_answer') return void response.destroy();
    const usage = usageOf({ text: 'half an answer' }, characters);
    bill(usage);
    const body = JSON.stringify(writeAnswer(request.format, request.model, { text: 'half an answer' }, usage, request.number));
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': String(body.length) });
    response.write(body.slice(0, body.length / 2), () => response.destroy());
  }

  await new Promise<void>((listening, failed) => server.once('error', failed).listen(options.port ?? 0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    get open() {
      return open;
    },
    bill: () => ({ ...total }),
    script: (...replies) => {
      const [first] = replies;
      if (typeof first === 'function') script = first;
      else queued.push(...(replies as readonly StubReply[]));
    },
    arrived: (count) => (total.requests >= count ? Promise.resolve() : new Promise((resolve) => void waiting.push({ count, resolve }))),
    stop: () =>
      new Promise((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      }),
  };
}

/** What the stub charges for one answer, in micro-USD, rounded up. */
export function stubCostMicroUsd(usage: StubUsage): number {
  const fresh = usage.inputTokens - usage.cachedInputTokens;
  return Math.ceil(
    (fresh * STUB_PRICE.input + usage.cachedInputTokens * STUB_PRICE.cachedInput + usage.outputTokens * STUB_PRICE.output) / 1_000_000,
  );
}

async function bodyOf(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

function send(response: ServerResponse, status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): void {
  if (response.destroyed) return;
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(text);
}
