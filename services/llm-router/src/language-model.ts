import type { ModelRequest, WorkerErrorCode } from '@mandate/contracts';

export const PROVIDERS = ['openai', 'anthropic', 'google', 'openai-compatible', 'offline'] as const;
export type ProviderName = (typeof PROVIDERS)[number];

/** One model of one vendor. Our own port: vendors' shapes, and the packages that know them, end behind it. */
export interface LanguageModel {
  readonly id: string;
  readonly provider: ProviderName;
  /** Exactly one request upstream. @throws ModelCallFailed for every failure that has a name. */
  generate(request: ModelRequest, options: { readonly signal: AbortSignal; readonly maxOutputTokens: number }): Promise<ModelAnswer>;
}

export interface ModelAnswer {
  readonly text: string;
  readonly toolCalls: readonly { readonly callId: string; readonly tool: string; readonly args: unknown }[];
  /** Undefined when the vendor said nothing about it. */
  readonly usage: TokenUsage | undefined;
  readonly finishReason: 'stop' | 'length' | 'tool_calls' | 'content_filter' | 'error' | 'other';
  /** What the vendor calls this answer, for its support. */
  readonly responseId?: string;
  /** The model that answered, when the vendor names it more exactly than it was asked. */
  readonly responseModel?: string;
}

export interface TokenUsage {
  /** All input, cached parts included. */
  readonly inputTokens: number;
  readonly cachedInputTokens: number;
  /** Input that the vendor stored in its cache, at a price of its own. */
  readonly cacheWriteTokens: number;
  /** All output, reasoning included. */
  readonly outputTokens: number;
  readonly reasoningTokens: number;
}

/** A vendor's failure in our words. `billed: 'no'` is said only when it is provable. */
export class ModelCallFailed extends Error {
  override readonly name = 'ModelCallFailed';
  readonly code: WorkerErrorCode;
  readonly billed: 'no' | 'maybe' | 'yes';
  readonly retryable: boolean | undefined;
  readonly retryAfterMs: number | undefined;
  /** Usage that came with an answer that is no use. */
  readonly usage: TokenUsage | undefined;

  constructor(
    code: WorkerErrorCode,
    message: string,
    details: {
      readonly billed: 'no' | 'maybe' | 'yes';
      readonly retryable?: boolean | undefined;
      readonly retryAfterMs?: number | undefined;
      readonly usage?: TokenUsage | undefined;
      readonly cause?: unknown;
    },
  ) {
    super(message, { cause: details.cause });
    this.code = code;
    this.billed = details.billed;
    this.retryable = details.retryable;
    this.retryAfterMs = details.retryAfterMs;
    this.usage = details.usage;
  }
}
