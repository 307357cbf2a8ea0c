/** Failures as data. Across a wire an error is recognised by its `code`, never by its class. */
export interface Problem {
  readonly code: string;
  /** Names the thing and what happened. */
  readonly message: string;
  /** What helps. */
  readonly next: string;
}

/** Why a message was parked: it could not be handled and would not get better by trying again. */
export const PARK_REASONS = {
  not_json: 'Send one CloudEvent as UTF-8 JSON.',
  too_large: 'Keep the message within 256 KiB.',
  too_deep: 'Nest JSON at most 32 levels.',
  not_a_cloud_event: 'Send specversion "1.0", id, source, type and data (docs/bus.md).',
  unknown_type: 'Use a message type of docs/bus.md.',
  unknown_version: 'Use version v1 of the message type.',
  invalid_data: 'Match the JSON Schema of the message type.',
  foreign_tenant: 'Publish under your own tenant: it comes from the credential.',
  wrong_partition:
    'Publish to task.<tenant>.<request> and let the server map it; cancel a task on the subject of the request that started it.',
  bad_signature: 'The command was not signed by the orchestrator with this service’s key.',
  handler_failed: 'Handling it failed repeatedly; see the error and report it.',
} as const;
export type ParkReason = keyof typeof PARK_REASONS;

/** Why a worker could not do a step. `retryable` is the default; the worker may know better. */
export const WORKER_ERRORS = {
  rate_limit: { retryable: true },
  timeout: { retryable: true },
  authentication: { retryable: false },
  server_error: { retryable: true },
  overloaded: { retryable: true },
  context_length: { retryable: false },
  bad_request: { retryable: false },
  content_filter: { retryable: false },
  bad_answer: { retryable: true },
  connection: { retryable: true },
  no_capable_provider: { retryable: false },
  reservation_exceeded: { retryable: false },
  tool_unknown: { retryable: false },
  tool_denied: { retryable: false },
  tool_arguments_invalid: { retryable: false },
  tool_unavailable: { retryable: true },
  tool_failed: { retryable: false },
  start_refused: { retryable: false },
  // The orchestrator refuses the next try while the freeze lasts, in words that a top-up can answer.
  frozen: { retryable: true },
  cancelled: { retryable: false },
  expired: { retryable: true },
  internal: { retryable: true },
} as const;
export type WorkerErrorCode = keyof typeof WORKER_ERRORS;
export const WORKER_ERROR_CODES = Object.keys(WORKER_ERRORS) as [WorkerErrorCode, ...WorkerErrorCode[]];
