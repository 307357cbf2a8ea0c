import { PATTERN_NAMES, RATINGS, REFUSALS, type RefusalCode, type WorkflowEvent, type WorkflowEventType } from '@mandate/domain';
import { z } from 'zod';
import { count, epochMs, fact, keyedDigest, microUsd, sha256Hex, shortText, tenantId, token, word, workflowId } from './fields.ts';
import { analysisFacts, usage } from './messages/results.ts';
import { taskOptions, taskTuning } from './messages/tasks.ts';

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
const modelTier = fact(z.enum(['cheap', 'medium', 'powerful']));
const patternName = fact(z.enum(PATTERN_NAMES));
const casting = z.object({ role: word, tools: z.array(word), baseBytes: count, tier: modelTier });
const part = z.discriminatedUnion('name', [
  z.object({ name: fact(z.enum(['closing', 'plan', 'choose', 'join', 'rate'])) }),
  z.object({ name: fact(z.literal('consult')), call: callRef, to: casting }),
]);
const slot = z.union([z.object({ call: callRef }), z.object({ part: count })]);
const errand = z.object({
  to: casting.nullable(),
  taskBytes: count,
  fingerprint: keyedDigest,
  pattern: patternName.optional(),
  tools: z.array(word.nullable()).optional(),
  sharePercent: count.optional(),
  moneyMicroUsd: microUsd.optional(),
  estimateTokens: count.optional(),
});
const ask = z.discriminatedUnion('kind', [
  errand.extend({ kind: fact(z.literal('delegate')) }),
  z.object({ kind: fact(z.enum(['consult', 'transfer', 'choose'])), to: casting.nullable() }),
  z.object({ kind: fact(z.literal('plan')), complete: z.boolean(), steps: z.array(errand.extend({ id: word, after: z.array(word) })) }),
  z.object({ kind: fact(z.literal('rate')), rating: fact(z.enum(RATINGS)) }),
  z.object({ kind: fact(z.literal('invalid')), problem: shortText }),
]);
const agentEnd = z.discriminatedUnion('kind', [
  z.object({ kind: fact(z.literal('answered')), answerAt: count, bytes: count, fingerprint: keyedDigest.optional() }),
  z.object({ kind: fact(z.enum(['failed', 'cancelled'])), code: word, message: shortText, partialAt: count.nullable() }),
]);
const step = z.discriminatedUnion('kind', [
  z.object({ kind: fact(z.literal('analyze')) }),
  z.object({ kind: fact(z.literal('llm')), promptBytes: count, messages: count, part: part.optional(), maxOutputTokens: count.optional() }),
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
    calls: z.array(z.object({ tool: word.nullable(), argsBytes: count, ask: ask.optional() })),
    fingerprint: keyedDigest.optional(),
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
  'task.forked': z.object({
    request: token,
    source: fact(z.enum(['gateway', 'bus'])),
    bodyHash: sha256Hex,
    taskBytes: count,
    options: taskOptions,
    origin: z.object({ workflow: workflowId, version: z.number().int().positive(), hash: sha256Hex }),
    hops: z.number().int().min(1).max(3),
    firewall: z.object({ allowed: z.array(word) }),
    changed: z.array(fact(z.enum(['task', 'model', 'mandate', 'tools', 'tool_versions', 'pattern']))),
    reuse: z.object({
      steps: z.array(
        z.object({
          step: token,
          version: count,
          kind: fact(z.enum(['analyze', 'llm', 'tool'])),
          part: fact(z.enum(['closing', 'plan', 'choose', 'join', 'rate', 'consult'])).optional(),
          tool: word.optional(),
          argsAt: callRef.optional(),
        }),
      ),
      until: fact(z.enum(['fork_point', 'unanswered', 'task_changed'])),
    }),
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
    edition: z.union([z.literal(1), z.literal(2)]),
    tier: modelTier,
    errand: z
      .object({
        task: z.union([
          z.object({ of: fact(z.literal('parent')) }),
          z.object({ of: fact(z.literal('call')), call: callRef, item: count.optional() }),
        ]),
        taskBytes: count,
        after: z.array(token),
        slot,
      })
      .nullable(),
    fingerprint: keyedDigest,
    closing: figures,
    delegation: z.object({ maxDepth: z.number().int().min(0).max(2), maxAgents: count, deepest: fact(z.enum(['read_only', 'any'])) }),
  }),
  'decision.made': z.object({
    agent: token,
    pattern: patternName,
    chosenBy: fact(z.enum(['client', 'analysis', 'default', 'parent', 'fallback'])),
    reasons: z.array(word),
    weighed: z.array(
      z.object({
        pattern: patternName,
        score: z.number().min(0).max(1),
        reasons: z.array(word),
        verdict: fact(z.enum(['chosen', 'alternative', 'lower', 'not_possible'])),
      }),
    ),
    alternatives: z.array(patternName),
    team: z.array(casting),
    tuning: taskTuning,
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
  'attempt.reused': z.object({
    attempt: token,
    step: token,
    agent: token,
    from: z.object({ version: count, hash: sha256Hex }),
    outcome,
    answer: answer.optional(),
    failure: failure.optional(),
  }),
  'reuse.ended': z.object({
    why: fact(z.enum(['fork_point', 'unanswered', 'task_changed', 'diverged', 'run_ended', 'origin_erased'])),
    reused: count,
  }),
  'attempt.answered_late': z.object({ attempt: token, outcome, costMicroUsd: microUsd, tokens: count }),
  'retry.scheduled': z.object({ step: token, attempt: count, dueAt: epochMs }),
  'timer.fired': z.discriminatedUnion('timer', [
    z.object({ timer: fact(z.literal('attempt')), attempt: token }),
    z.object({ timer: fact(z.literal('retry')), step: token, attempt: count }),
    z.object({ timer: fact(z.literal('workflow')) }),
    z.object({ timer: fact(z.literal('agent')), agent: token }),
  ]),
  'bus.reset': z.object({ incarnation: fact(z.string()) }),
  'cancel.requested': z.object({ request: token, agent: token.optional() }),
  'erasure.requested': z.object({ request: token, of: fact(z.enum(['workflow', 'data_subject'])) }),
  'content.erased': z.object({ keys: count }),
  'step.refused': z.object({
    agent: token,
    step: token,
    code: refusalCode,
    message: shortText,
    call: callRef.nullable(),
    part: part.optional(),
    slot: slot.optional(),
  }),
  'task.completed': ended.extend({ answerAt: count }),
  'task.failed': ended.extend({ code: word, message: shortText, answerAt: count.nullable() }),
  'task.cancelled': ended,
  'mandate.released': z.object({ agent: token, returned: signedFigures }),
  'mandate.warned': z.object({
    agent: token,
    dimensions: z.array(fact(z.enum(['moneyMicroUsd', 'tokens', 'modelCalls', 'toolCalls', 'time']))),
    left: signedFigures,
  }),
  'mandate.topped_up': z.object({ request: token, added: figures, deadlineAt: epochMs }),
  'allowance.asked': z.object({ number: count, moneyMicroUsd: microUsd, expiresAt: epochMs, model: word.nullable() }),
  'allowance.answered': z.object({ number: count, granted: z.boolean(), code: refusalCode.optional(), message: shortText.optional() }),
  'agent.handed_over': z.object({ agent: token, from: word, to: casting, call: callRef }),
  'agent.stopped': z.object({ agent: token, as: fact(z.enum(['failed', 'cancelled'])), code: word, message: shortText }),
  'agent.ended': z.object({ agent: token, end: agentEnd, spent: figures }),
} as const satisfies Record<WorkflowEventType, z.ZodType>;

/** Current schema version of each event type; one that is not named is still in its first. */
const CURRENT: Partial<Record<WorkflowEventType, number>> = {
  'mandate.granted': 2,
  'decision.made': 2,
  'attempt.reserved': 2,
  'attempt.settled': 2,
  'timer.fired': 2,
  'cancel.requested': 2,
  'step.refused': 2,
};
export const EVENT_VERSIONS: Readonly<Record<WorkflowEventType, number>> = Object.fromEntries(
  Object.keys(EVENT_SCHEMAS).map((type) => [type, CURRENT[type as WorkflowEventType] ?? 1]),
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

/** What was added may be left out: the old shape is a new one. */
export const same = (data: unknown): unknown => data;

/**
 * Stored facts of past versions to today's shape; one entry per (type, old version), each with a golden sample in
 * test/histories.
 */
export const UPCASTERS: Readonly<Record<string, (data: unknown) => unknown>> = {
  // One agent without delegation, decided by the first edition of the rules for ever.
  'mandate.granted.v1': (data) => ({
    ...(data as object),
    edition: 1,
    tier: 'medium',
    errand: null,
    fingerprint: '',
    closing: { moneyMicroUsd: 0, tokens: 0, modelCalls: 0, toolCalls: 0 },
    delegation: { maxDepth: 2, maxAgents: 20, deepest: 'read_only' },
  }),
  'decision.made.v1': (data) => ({ ...(data as object), weighed: [], alternatives: [], team: [], tuning: {} }),
  'attempt.reserved.v1': same,
  'attempt.settled.v1': same,
  'timer.fired.v1': same,
  'cancel.requested.v1': same,
  'step.refused.v1': same,
};

export class UnknownEventVersion extends Error {
  override readonly name = 'UnknownEventVersion';
  readonly code = 'unknown_event_version';
}

/** An event as stored, in today's shape. @throws UnknownEventVersion for a type or version that this code does not know. */
export const upcast = (stored: StoredEvent): StoredEvent => ofVersion(EVENT_VERSIONS[stored.type], stored, UPCASTERS);

/** A stored event, one version after the other. @throws UnknownEventVersion also when `current` is undefined: no such type */
export function ofVersion<Stored extends Omit<z.infer<typeof storedEvent>, 'type'> & { readonly type: string }>(
  current: number | undefined,
  stored: Stored,
  upcasters: typeof UPCASTERS,
): Stored {
  if (current === stored.schema) return stored;
  let data: unknown = stored.data;
  for (let version = stored.schema; version < (current ?? 0); version++) {
    const up = upcasters[`${stored.type}.v${version}`];
    if (up === undefined) break;
    data = up(data);
    if (version + 1 === current) return { ...stored, schema: current, data };
  }
  throw new UnknownEventVersion(
    `${stored.id} is ${stored.type} version ${stored.schema}; this build knows version ${current ?? 'none'}. Run a newer build.`,
  );
}
