import { PATTERN_NAMES, REFUSALS, type RefusalCode, type WorkflowEvent, type WorkflowEventType } from '@mandate/domain';
import { z } from 'zod';
import { count, epochMs, fact, microUsd, sha256Hex, shortText, tenantId, token, word, workflowId } from './fields.ts';
import { analysisFacts, usage } from './messages/results.ts';
import { taskOptions } from './messages/tasks.ts';

/**
 * The log's events, version by version. Facts only. `domain` owns the types; here is their runtime shape, and
 * `events.test-d.ts` holds both equal.
 */
const figures = z.object({ moneyMicroUsd: microUsd, tokens: count, modelCalls: count, toolCalls: count });
/** What is left can be negative when a provider charged more than its own list price. */
const signedFigures = z.object({
  moneyMicroUsd: z.number().int(),
  tokens: z.number().int(),
  modelCalls: z.number().int(),
  toolCalls: z.number().int(),
});
const limits = figures.extend({ children: count, contextTokens: count, deadlineAt: epochMs });
const effect = fact(z.enum(['read_only', 'idempotent', 'non_idempotent']));
const callRef = z.object({ version: count, index: count });
const step = z.discriminatedUnion('kind', [
  z.object({ kind: fact(z.literal('analyze')) }),
  z.object({ kind: fact(z.literal('llm')), promptBytes: count, messages: count }),
  z.object({ kind: fact(z.literal('tool')), tool: word, effect, argsAt: callRef }),
]);
const outcome = fact(z.enum(['succeeded', 'failed', 'expired', 'cancelled', 'lost', 'unknown']));
const refusalCode = fact(z.enum(Object.keys(REFUSALS) as [RefusalCode, ...RefusalCode[]]));
const answer = z.discriminatedUnion('kind', [
  z.object({ kind: fact(z.literal('analyze')), analysis: analysisFacts }),
  z.object({
    kind: fact(z.literal('llm')),
    provider: word,
    model: word,
    priceVersion: word,
    usage,
    costMicroUsd: microUsd,
    finishReason: word,
    textBytes: count,
    calls: z.array(z.object({ tool: word.nullable(), argsBytes: count })),
    upstreamRequests: count,
  }),
  z.object({ kind: fact(z.literal('tool')), isError: z.boolean(), resultBytes: count, truncated: z.boolean() }),
]);
const failure = z.object({
  code: word,
  retryable: z.boolean(),
  billed: fact(z.enum(['no', 'maybe', 'yes'])),
  retryAfterMs: count.optional(),
});
const ended = z.object({ spent: figures, steps: count });

/** Schema of each event type's `data`, at its current version. A past version keeps its schema and gets an upcaster. */
export const EVENT_SCHEMAS = {
  'task.submitted': z.object({
    request: token,
    source: fact(z.enum(['gateway', 'bus'])),
    bodyHash: sha256Hex,
    taskBytes: count,
    options: taskOptions,
  }),
  'task.rejected': z.object({ code: refusalCode, message: shortText }),
  'mandate.granted': z.object({
    agent: token,
    parent: token.nullable(),
    depth: z.number().int().min(0).max(2),
    role: word,
    limits,
    tools: z.array(z.object({ name: word, effect })),
    catalogHash: sha256Hex.nullable(),
    promptBaseBytes: count,
    model: z.object({
      model: word.nullable(),
      priceVersion: word,
      worstPrice: z.object({ inputMicroUsdPerMillionTokens: count, outputMicroUsdPerMillionTokens: count }),
      maxOutputTokens: count,
    }),
    timing: z.object({ queueMs: count, analyzeMs: count, llmMs: count, toolMs: count, graceMs: count }),
  }),
  'decision.made': z.object({
    agent: token,
    pattern: fact(z.enum(PATTERN_NAMES)),
    chosenBy: fact(z.enum(['client', 'analysis', 'default'])),
    reasons: z.array(word),
  }),
  'attempt.reserved': z.object({
    attempt: token,
    step: token,
    agent: token,
    number: count,
    owes: step,
    reservation: figures,
    expiresAt: epochMs,
    timeoutMs: count,
    deadlineAt: epochMs,
    bus: fact(z.string()),
    commandHash: sha256Hex.optional(),
  }),
  'attempt.started': z.object({ attempt: token, runner: token }),
  'attempt.settled': z.object({
    attempt: token,
    step: token,
    agent: token,
    outcome,
    final: z.boolean(),
    spent: figures,
    settledAt: fact(z.enum(['actual', 'worst_case', 'nothing'])),
    answer: answer.optional(),
    failure: failure.optional(),
    worker: word.optional(),
    durationMs: count.optional(),
  }),
  'attempt.answered_late': z.object({ attempt: token, outcome, costMicroUsd: microUsd, tokens: count }),
  'retry.scheduled': z.object({ step: token, attempt: count, dueAt: epochMs }),
  'timer.fired': z.discriminatedUnion('timer', [
    z.object({ timer: fact(z.literal('attempt')), attempt: token }),
    z.object({ timer: fact(z.literal('retry')), step: token, attempt: count }),
    z.object({ timer: fact(z.literal('workflow')) }),
  ]),
  'bus.reset': z.object({ incarnation: fact(z.string()) }),
  'cancel.requested': z.object({ request: token }),
  'step.refused': z.object({ agent: token, step: token, code: refusalCode, message: shortText, call: callRef.nullable() }),
  'task.completed': ended.extend({ answerAt: count }),
  'task.failed': ended.extend({ code: word, message: shortText, answerAt: count.nullable() }),
  'task.cancelled': ended,
  'mandate.released': z.object({ agent: token, returned: signedFigures }),
} as const satisfies Record<WorkflowEventType, z.ZodType>;

/** Current schema version of each event type. */
export const EVENT_VERSIONS: Readonly<Record<WorkflowEventType, number>> = Object.fromEntries(
  Object.keys(EVENT_SCHEMAS).map((type) => [type, 1]),
) as Record<WorkflowEventType, number>;

/**
 * The envelope as it is stored: its exact bytes are hashed, columns beside it are copies.
 * `hash(version) = sha256(hash(version - 1) ‖ these bytes)`, starting from 32 zero bytes.
 */
export const storedEvent = z.object({
  id: fact(z.string()),
  type: fact(z.enum(Object.keys(EVENT_SCHEMAS) as [WorkflowEventType, ...WorkflowEventType[]])),
  schema: z.number().int().positive(),
  stream: workflowId,
  version: z.number().int().positive(),
  tenant: tenantId,
  /** Decision time, epoch ms. Never runs backwards within a stream. */
  at: epochMs,
  /** Who caused it: `key/<id>`, `service/<instance>`, `tenant/<name>`. */
  actor: word,
  /** The message or event that caused it: a tree rooted at the request. */
  causation: fact(z.string()),
  /** The request. */
  correlation: fact(z.string()),
  /** W3C trace context of the decision. */
  trace: fact(z.string()).optional(),
  /** The key and the SHA-256 of the encrypted content beside it. */
  content: z.object({ key: fact(z.string()), sha256: sha256Hex }).optional(),
  data: z.unknown(),
});
export type StoredEvent = Omit<z.infer<typeof storedEvent>, 'data' | 'type'> & WorkflowEvent;

/**
 * Stored facts of past versions to today's shape; one entry per (type, old version), each with a golden sample in
 * test/histories. There are none yet: version 1 is current everywhere.
 */
export const UPCASTERS: Readonly<Record<string, (data: unknown) => unknown>> = {};

export class UnknownEventVersion extends Error {
  override readonly name = 'UnknownEventVersion';
  readonly code = 'unknown_event_version';
}

/** An event as stored, in today's shape. @throws UnknownEventVersion for a type or version that this code does not know. */
export function upcast(stored: StoredEvent): StoredEvent {
  const current = EVENT_VERSIONS[stored.type] as number | undefined;
  if (current === stored.schema) return stored;
  let data: unknown = stored.data;
  for (let version = stored.schema; version < (current ?? 0); version++) {
    const up = UPCASTERS[`${stored.type}.v${version}`];
    if (up === undefined) break;
    data = up(data);
    if (version + 1 === current) return { ...stored, schema: current, data } as StoredEvent;
  }
  throw new UnknownEventVersion(
    `${stored.id} is ${stored.type} version ${stored.schema}; this build knows version ${current ?? 'none'}. Run a newer build.`,
  );
}
