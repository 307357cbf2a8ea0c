import { z } from 'zod';
import { EVENT_SCHEMAS } from '../events.ts';
import { count, epochMs, fact, microUsd, shortText, token, word } from '../fields.ts';

/**
 * A workflow's state after one of its events, facts only. `domain` owns the shape (`stateOf`); `workflow-state.test.ts`
 * holds both equal over every recorded run.
 */
const figures = z.object({ moneyMicroUsd: microUsd, tokens: count, modelCalls: count, toolCalls: count });
/** Negative when a provider charged more than its own list price. */
const left = z.object({
  moneyMicroUsd: z.number().int(),
  tokens: z.number().int(),
  modelCalls: z.number().int(),
  toolCalls: z.number().int(),
});
const granted = EVENT_SCHEMAS['mandate.granted'].shape;
const decided = EVENT_SCHEMAS['decision.made'].shape;
const reserved = EVENT_SCHEMAS['attempt.reserved'].shape;
const why = z.object({ code: word, message: shortText });

const agentInState = z.object({
  parent: token.nullable(),
  depth: count,
  role: word,
  tier: granted.tier,
  grantedAt: epochMs,
  /** The root's is that of its workflow. */
  state: fact(z.enum(['running', 'ending', 'answered', 'failed', 'cancelled'])),
  /** `granted = reserved + spent + left`; `closing` is a part of what is left. */
  mandate: z.object({
    granted: figures,
    reserved: figures,
    spent: figures,
    left,
    closing: figures,
    children: count,
    contextTokens: count,
    deadlineAt: epochMs,
  }),
  /** Name → what it may do to the world. */
  tools: z.record(word, granted.tools.element.shape.effect),
  model: granted.model,
  delegation: granted.delegation,
  edition: count,
  pattern: decided.pattern.nullable(),
  chosenBy: word.nullable(),
  tried: z.array(decided.pattern),
  /** The pattern's own state; its shape is the pattern's. */
  work: fact(z.unknown()),
  steps: count,
  children: count,
  warned: z.array(word),
  stopped: why.extend({ as: word }).nullable(),
  end: EVENT_SCHEMAS['agent.ended'].shape.end.nullable(),
});

const forked = EVENT_SCHEMAS['task.forked'];

export const workflowState = z.object({
  version: count,
  at: epochMs,
  phase: fact(z.enum(['absent', 'running', 'ending', 'completed', 'failed', 'cancelled', 'rejected'])),
  task: EVENT_SCHEMAS['task.submitted'].nullable(),
  /** Whose past it began with. */
  fork: forked
    .pick({ origin: true, hops: true, firewall: true, changed: true })
    .extend({ reused: count, reusable: count, ended: word.nullable() })
    .nullable(),
  ending: why.extend({ as: fact(z.enum(['failed', 'cancelled'])) }).nullable(),
  failure: why.nullable(),
  answerAt: count.nullable(),
  steps: count,
  allowance: z.object({ asked: EVENT_SCHEMAS['allowance.asked'], waiting: z.boolean() }).nullable(),
  topUps: z.array(token),
  erasure: fact(z.enum(['requested', 'done'])).nullable(),
  unanswered: z.array(token),
  agents: z.record(token, agentInState),
  openSteps: z.record(
    token,
    z.object({
      id: token,
      agent: token,
      owes: reserved.owes,
      attempts: count,
      retryAt: epochMs.optional(),
      retryVersion: count.optional(),
    }),
  ),
  attempts: z.record(
    token,
    z.object({
      id: token,
      attempt: token,
      step: token,
      agent: token,
      number: count,
      owes: reserved.owes,
      reservation: figures,
      expiresAt: epochMs,
      timeoutMs: count,
      deadlineAt: epochMs,
      runner: token.optional(),
      bus: fact(z.string()),
      version: count,
    }),
  ),
});
export type WorkflowStateView = z.infer<typeof workflowState>;

/** What of a state is otherwise in another: a JSON Pointer; a side that lacks it is left out. */
export const stateChange = z.object({
  path: fact(z.string()),
  from: fact(z.unknown()).optional(),
  to: fact(z.unknown()).optional(),
});
export type StateChange = z.infer<typeof stateChange>;

/** After the event of this version, or after the last one that was decided by then (epoch ms). */
export const moment = z.union([z.strictObject({ version: z.number().int().min(1) }), z.strictObject({ at: epochMs })]);
export type Moment = z.infer<typeof moment>;
