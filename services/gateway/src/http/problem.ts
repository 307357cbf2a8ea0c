import { fact, LIMITS } from '@mandate/contracts';
import { z } from 'zod';

/** RFC 9457, with what helps (`next`) and the trace that all services share (`correlationId`). */
export const problemDetails = z
  .looseObject({
    type: fact(z.string()),
    title: fact(z.string()),
    status: z.number().int(),
    code: fact(z.string()),
    detail: fact(z.string()),
    next: fact(z.string()),
    correlationId: fact(z.string()),
  })
  .meta({ id: 'Problem' });

export interface ProblemOptions {
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  /** What helps. */
  readonly next: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Further members of the answer. */
  readonly more?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

/** The gateway's no: thrown anywhere, answered as `application/problem+json`. */
export class GatewayProblem extends Error {
  override readonly name = 'GatewayProblem';
  readonly status: number;
  readonly code: string;
  readonly next: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly more: Readonly<Record<string, unknown>>;

  constructor(options: ProblemOptions) {
    super(options.detail, { cause: options.cause });
    this.status = options.status;
    this.code = options.code;
    this.next = options.next;
    this.headers = options.headers ?? {};
    this.more = options.more ?? {};
  }
}

const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad request',
  401: 'Not authenticated',
  403: 'Not allowed',
  404: 'Not found',
  409: 'Conflict',
  410: 'Erased',
  413: 'Too large',
  415: 'Unsupported media type',
  422: 'Refused',
  429: 'Quota exceeded',
  431: 'Headers too large',
  500: 'Internal error',
  502: 'Failed upstream',
  503: 'Not available now',
  504: 'No answer in time',
};

export const problemBody = (problem: GatewayProblem, correlationId: string): z.infer<typeof problemDetails> => ({
  type: 'about:blank',
  title: TITLES[problem.status] ?? 'Error',
  status: problem.status,
  code: problem.code,
  detail: problem.message,
  next: problem.next,
  correlationId,
  ...problem.more,
});

export const routeUnknown = (method: string, path: string): GatewayProblem =>
  new GatewayProblem({
    status: 404,
    code: 'RouteUnknown',
    detail: `There is no ${method} ${path.slice(0, 200)}.`,
    next: 'See GET /api/v1/openapi.json for every route.',
  });

export const workflowUnknown = (): GatewayProblem =>
  new GatewayProblem({
    status: 404,
    code: 'WorkflowUnknown',
    detail: 'There is no such workflow.',
    next: 'Check the workflow id; it may belong to another tenant.',
  });

export const requestTooLarge = (): GatewayProblem =>
  new GatewayProblem({
    status: 413,
    code: 'RequestTooLarge',
    detail: `The request is larger than ${LIMITS.requestBytes} bytes.`,
    next: 'Send less; a task may have up to 128 KiB of text.',
  });

/** Something behind the gateway does not answer; the request may be repeated. */
export const unavailable = (code: string, detail: string, cause?: unknown, more: Readonly<Record<string, unknown>> = {}): GatewayProblem =>
  new GatewayProblem({
    status: 503,
    code,
    detail,
    next: 'Try again after the seconds in Retry-After; GET /api/v1/status shows which service is missing.',
    headers: { 'retry-after': '1' },
    more,
    cause,
  });
