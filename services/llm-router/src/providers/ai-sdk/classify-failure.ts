import { APICallError, InvalidResponseDataError, TypeValidationError } from '@ai-sdk/provider';
import type { WorkerErrorCode } from '@mandate/contracts';
import { ModelCallFailed, type ProviderName, type TokenUsage } from '../../language-model.ts';
import { reportedUsage } from './reported-usage.ts';
import { AnswerTooLarge } from './upstream-fetch.ts';

/** Failures that come before a byte of the request is sent. */
const NEVER_SENT: ReadonlySet<string> = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT']);

/**
 * What a provider package threw, in our words.
 *
 * Unbilled is what provably was: the request was never sent, or a complete error response came back that reports no usage.
 * A connection that broke after sending, a gateway's timeout and an unreadable answer may have been billed.
 */
export function classifyFailure(provider: ProviderName, error: unknown): ModelCallFailed {
  if (APICallError.isInstance(error))
    return error.statusCode === undefined ? brokenConnection(error) : classifyResponse(provider, error, error.statusCode);
  if (InvalidResponseDataError.isInstance(error)) return badAnswer(error.message, reportedUsage(provider, error.data), error);
  if (TypeValidationError.isInstance(error))
    return badAnswer('The answer does not have the vendor’s documented shape.', reportedUsage(provider, error.value), error);
  if (codes(error).length > 0) return brokenConnection(error as Error);
  if (causes(error).some((cause) => cause instanceof AnswerTooLarge)) return badAnswer((error as Error).message, undefined, error);
  return new ModelCallFailed('internal', (error as Error).message, { billed: 'maybe', cause: error });
}

function brokenConnection(error: Error): ModelCallFailed {
  const sent = !codes(error).some((code) => NEVER_SENT.has(code));
  return new ModelCallFailed('connection', error.message, { billed: sent ? 'maybe' : 'no', cause: error });
}

/** What a proxy says when it lost the vendor: the vendor may have finished, and charged. */
const BEHIND_A_PROXY: ReadonlySet<number> = new Set([502, 520, 521, 522, 523, 524]);

function classifyResponse(provider: ProviderName, error: APICallError, status: number): ModelCallFailed {
  const usage = reportedUsage(provider, parsed(error.responseBody));
  if (status >= 200 && status < 300) return badAnswer(error.message, usage, error);
  const code = codeOf(status, `${error.message} ${error.responseBody ?? ''}`);
  return new ModelCallFailed(code, `${status}: ${error.message}`, {
    billed: usage !== undefined ? 'yes' : code === 'timeout' || BEHIND_A_PROXY.has(status) ? 'maybe' : 'no',
    usage,
    // A quota that is used up does not come back by waiting.
    retryable: /insufficient_quota/.test(error.responseBody ?? '') ? false : undefined,
    retryAfterMs: retryAfterMs(error.responseHeaders ?? {}, Date.now()),
    cause: error,
  });
}

const TOO_LONG =
  /context_length_exceeded|prompt is too long|maximum context length|exceeds the maximum number of tokens|input token count/i;
const FILTERED = /content_filter|content_policy|content management policy|flagged|safety/i;

/** The class of an error response. `words` are its message and body, which is where vendors tell 400s apart. */
export function codeOf(status: number, words: string): WorkerErrorCode {
  if (status === 401 || status === 402 || status === 403) return 'authentication';
  if (status === 408 || status === 504) return 'timeout';
  if (status === 413) return 'context_length';
  if (status === 429) return 'rate_limit';
  if (status === 529 || (status === 503 && /overloaded/i.test(words))) return 'overloaded';
  if (status >= 500) return 'server_error';
  if (TOO_LONG.test(words)) return 'context_length';
  return FILTERED.test(words) ? 'content_filter' : 'bad_request';
}

const LONGEST_WAIT_MS = 10 * 60_000;

/** `retry-after-ms`, or `retry-after` in seconds or as a date. */
export function retryAfterMs(headers: Readonly<Record<string, string>>, now: number): number | undefined {
  const exact = Number.parseFloat(headers['retry-after-ms'] ?? '');
  const after = headers['retry-after'] ?? '';
  const seconds = /^\s*[\d.]+\s*$/.test(after) ? Number.parseFloat(after) * 1_000 : Date.parse(after) - now;
  const wait = Number.isFinite(exact) ? exact : seconds;
  return Number.isFinite(wait) ? Math.min(LONGEST_WAIT_MS, Math.max(0, Math.ceil(wait))) : undefined;
}

const badAnswer = (message: string, usage: TokenUsage | undefined, cause: unknown): ModelCallFailed =>
  new ModelCallFailed('bad_answer', message, { billed: usage === undefined ? 'maybe' : 'yes', usage, cause });

function parsed(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '');
  } catch {
    return undefined;
  }
}

/** An error and what caused it, outermost first. */
function causes(error: unknown): readonly Error[] {
  const chain: Error[] = [];
  for (let each = error; each instanceof Error && chain.length < 10; each = each.cause) chain.push(each);
  return chain;
}

const codes = (error: unknown): readonly string[] =>
  causes(error).flatMap((each) => ('code' in each && typeof each.code === 'string' ? [each.code] : []));
