import { PATTERN_NAMES } from '@mandate/domain';
import { z } from 'zod';
import { content, count, epochMs, fact, microUsd, shortText, tenantId, token, word, workflowId } from '../fields.ts';
import { LIMITS } from '../limits.ts';
import { parkedDecision, parkedGet, parkedItem, parkedList } from './parked.ts';
import { analysisFacts } from './results.ts';
import { taskTuning } from './tasks.ts';
import { moment, stateChange, workflowState } from './workflow-state.ts';

/**
 * Questions to the projector on `q.projector.<name>`: JSON in, `{ ok: true, value }` or `{ ok: false, problem }` out.
 * The tenant comes from the gateway, which knows it from the credential.
 */
const page = { limit: z.number().int().min(1).max(LIMITS.pageRows).default(50), cursor: fact(z.string().max(200)).optional() };
const paged = <T extends z.ZodType>(item: T) => z.object({ items: z.array(item), cursor: fact(z.string()).nullable() });

export const taskStatus = fact(z.enum(['running', 'ending', 'completed', 'failed', 'cancelled', 'rejected']));

/** When erasure was asked for (epoch ms): content is null from then on, for ever. Null while it is there. */
const erasedAt = epochMs.nullable();

export const taskSummary = z.object({
  workflow: workflowId,
  request: token,
  status: taskStatus,
  /** First 200 characters of the task; null after erasure. */
  task: content(z.string()).nullable(),
  /** How the root works: its latest decision. */
  pattern: word.nullable(),
  /** Agents so far, the root among them. Figures of a task are those of all of them. */
  agents: count,
  costMicroUsd: microUsd,
  reservedMicroUsd: microUsd,
  tokens: count,
  steps: count,
  modelCalls: count,
  toolCalls: count,
  version: count,
  submittedAt: epochMs,
  updatedAt: epochMs,
  endedAt: epochMs.nullable(),
  code: word.nullable(),
  message: shortText.nullable(),
  erasedAt,
});
export type TaskSummary = z.infer<typeof taskSummary>;

export const taskDetail = taskSummary.extend({
  /** The whole text. */
  taskText: content(z.string()).nullable(),
  answer: content(z.string()).nullable(),
  mandate: z
    .object({
      moneyMicroUsd: microUsd,
      tokens: count,
      modelCalls: count,
      toolCalls: count,
      contextTokens: count,
      deadlineAt: epochMs,
      tools: z.array(word),
    })
    .nullable(),
  /** It failed for want of something that a top-up can give: it would go on exactly where it stopped. */
  resumable: z.boolean(),
  /** The run whose past it began with, and how many forks lie between it and one that was submitted. */
  forkedFrom: z.object({ workflow: workflowId, version: count, hops: count }).nullable(),
});
export type TaskDetail = z.infer<typeof taskDetail>;

export const timelineEvent = z.object({
  id: fact(z.string()),
  type: word,
  version: count,
  at: epochMs,
  actor: word,
  causation: fact(z.string()),
  correlation: fact(z.string()),
  data: z.unknown(),
  /** Only when asked for; null when there is none or it was erased. */
  content: content(z.unknown()).optional(),
});
export type TimelineEvent = z.infer<typeof timelineEvent>;

export const llmCallRow = z.object({
  workflow: workflowId,
  attempt: token,
  agent: token,
  provider: word.nullable(),
  model: word.nullable(),
  priceVersion: word.nullable(),
  outcome: word,
  settledAt: word,
  inputTokens: count,
  outputTokens: count,
  costMicroUsd: microUsd,
  reservedMicroUsd: microUsd,
  durationMs: count.nullable(),
  at: epochMs,
  failure: word.nullable(),
});
export type LlmCallRow = z.infer<typeof llmCallRow>;

export const toolCallRow = z.object({
  workflow: workflowId,
  attempt: token,
  agent: token,
  tool: word,
  effect: word,
  outcome: word,
  isError: z.boolean().nullable(),
  resultBytes: count.nullable(),
  truncated: z.boolean().nullable(),
  durationMs: count.nullable(),
  at: epochMs,
  failure: word.nullable(),
});
export type ToolCallRow = z.infer<typeof toolCallRow>;

const figures = z.object({ moneyMicroUsd: microUsd, tokens: count, modelCalls: count, toolCalls: count });
const pattern = fact(z.enum(PATTERN_NAMES));
const tier = fact(z.enum(['cheap', 'medium', 'powerful']));
const counted = z.array(z.object({ code: word, count }));
/** `ending`: it starts nothing more and ends when its attempts are settled. */
export const agentState = fact(z.enum(['running', 'ending', 'answered', 'failed', 'cancelled']));

/** One agent of a workflow's tree. Versions name events: `<workflow>.<version>`. */
export const agentSummary = z.object({
  agent: token,
  parent: token.nullable(),
  depth: count,
  /** As it was granted. */
  role: word,
  /** Roles that took its work over, in order. */
  handedOver: z.array(word),
  tier,
  /** How it works now; `tried`: every pattern it was given, in order. */
  pattern: pattern.nullable(),
  chosenBy: word.nullable(),
  tried: z.array(pattern),
  state: agentState,
  /** Why it failed, was cancelled, or is ending. */
  code: word.nullable(),
  message: shortText.nullable(),
  granted: figures.extend({ children: count, deadlineAt: epochMs }),
  tools: z.array(word),
  /** By this agent and whoever works for it. Counts every settled attempt once. */
  spent: figures,
  /** By this agent alone. */
  ownSpent: figures,
  /** For attempts that are not settled: of this agent and whoever works for it, and its own. */
  reservedMicroUsd: microUsd,
  ownReservedMicroUsd: microUsd,
  /** Its own. */
  steps: count,
  children: count,
  /** Its steps that were refused, and children that it was not granted. */
  refusedSteps: counted,
  refusedChildren: counted,
  /** What it was told to be nearly used up. */
  warned: z.array(word),
  /** Agents whose results stand in its task. */
  after: z.array(token),
  /** What it contributed, or its latest words when it did not answer: which event holds them, and who said them. */
  answer: z.object({ version: count, bytes: count.nullable(), by: token.nullable() }).nullable(),
  grantedVersion: count,
  grantedAt: epochMs,
  endedVersion: count.nullable(),
  endedAt: epochMs.nullable(),
});
export type AgentSummary = z.infer<typeof agentSummary>;

export const agentTree = z.object({
  workflow: workflowId,
  status: taskStatus,
  version: count,
  /** Every agent before whoever works for it, in the order in which they were sent. */
  agents: z.array(agentSummary),
});
export type AgentTree = z.infer<typeof agentTree>;

export const agentDetail = agentSummary.extend({
  workflow: workflowId,
  /** What it was asked to do. Null after erasure. */
  task: content(z.string()).nullable(),
  /** Whole. When it did not answer: its latest words. */
  answerText: content(z.string()).nullable(),
  erasedAt,
});
export type AgentDetail = z.infer<typeof agentDetail>;

/** What an agent brought to its task. */
export const contribution = z.object({
  agent: token,
  parent: token.nullable(),
  depth: count,
  role: word,
  state: agentState,
  costMicroUsd: microUsd,
  answer: agentSummary.shape.answer,
  /** First 1,000 characters; null when there is none or it was erased. */
  text: content(z.string()).nullable(),
  truncated: z.boolean(),
});
export type Contribution = z.infer<typeof contribution>;

/** How one agent works, why, and why not otherwise. */
export const decisionView = z.object({
  workflow: workflowId,
  agent: token,
  /** Null while nothing is decided. */
  decision: z
    .object({
      version: count,
      at: epochMs,
      pattern,
      chosenBy: word,
      reasons: z.array(word),
      /** All seven, best first; empty when nobody weighed them: the client or a parent had named the pattern. */
      weighed: z.array(z.object({ pattern, score: z.number(), verdict: word, reasons: z.array(word), why: shortText })),
      alternatives: z.array(pattern),
      team: z.array(z.object({ role: word, tier, tools: z.array(word) })),
      tuning: taskTuning,
    })
    .nullable(),
  /** Patterns that were tried after it, in order, and what the one before had failed for. */
  fallbacks: z.array(z.object({ version: count, at: epochMs, pattern, reasons: z.array(word), alternatives: z.array(pattern) })),
  /** What the choice was made from. Null when no analysis was made, or none came back. */
  analysis: z.object({ version: count, at: epochMs, facts: analysisFacts }).nullable(),
});
export type DecisionView = z.infer<typeof decisionView>;

/** How a tenant's tasks delegate. */
export const delegationStats = z.object({
  /** Tasks submitted from then on. */
  since: epochMs,
  tasks: count,
  /** Tasks that sent at least one child. */
  delegating: count,
  /** Children in all; how many of all agents have not ended. */
  children: count,
  atWork: count,
  /** Decisions that replaced a pattern that had failed. */
  fallbacks: count,
  /** Tasks by the depth of their deepest agent. */
  tasksByDepth: z.array(z.object({ depth: count, tasks: count })),
  agentsByDepth: z.array(
    z.object({
      depth: count,
      agents: count,
      answered: count,
      failed: count,
      cancelled: count,
      /** Per agent. */
      averageChildren: z.number(),
      /** By these agents alone. */
      costMicroUsd: microUsd,
      /** From grant to end, of those that have ended. */
      averageMs: z.number().nullable(),
    }),
  ),
  agentsByPattern: z.array(z.object({ pattern, agents: count, answered: count, failed: count })),
  refusedSteps: counted,
  refusedChildren: counted,
});
export type DelegationStats = z.infer<typeof delegationStats>;

const ofTask = { tenant: tenantId, workflow: workflowId, minVersion: count.optional() };

export const QUERIES = {
  'tasks.list': { ask: z.object({ tenant: tenantId, status: taskStatus.optional(), ...page }), answer: paged(taskSummary) },
  /** `minVersion`: wait up to 2 s until the projection has seen that version of the workflow (read your own writes). */
  'tasks.get': { ask: z.object({ tenant: tenantId, workflow: workflowId, minVersion: count.optional() }), answer: taskDetail },
  /**
   * Events after version `after`, oldest first. `minVersion` as above. `agent`, `types`: only what tells of that agent, only
   * these. `upTo`: everything up to that version was looked at; the next page begins after it. `ended`: the workflow will
   * have no more, unless it is resumable and topped up.
   */
  'events.list': {
    ask: z.object({
      tenant: tenantId,
      workflow: workflowId,
      after: count.default(0),
      limit: z.number().int().min(1).max(LIMITS.pageRows).default(100),
      include: fact(z.enum(['facts', 'content'])).default('facts'),
      agent: token.optional(),
      types: z.array(word).max(50).optional(),
      minVersion: count.optional(),
    }),
    answer: z.object({ items: z.array(timelineEvent), version: count, upTo: count, ended: z.boolean(), resumable: z.boolean(), erasedAt }),
  },
  /** Answers when the workflow is projected up to `version`; `ReadBehind` when that takes longer than 2 s. */
  'receipt.wait': { ask: z.object({ tenant: tenantId, workflow: workflowId, version: count }), answer: z.object({ version: count }) },
  /** The tree of a task. `minVersion` as above, here and below. */
  'agents.list': { ask: z.object(ofTask), answer: agentTree },
  'agents.get': { ask: z.object({ ...ofTask, agent: token }), answer: agentDetail },
  'contributions.list': { ask: z.object(ofTask), answer: z.object({ items: z.array(contribution), erasedAt }) },
  /** Without an agent: of the root. */
  'decision.get': { ask: z.object({ ...ofTask, agent: token.default('a0') }), answer: decisionView },
  /** The state at a moment, folded from the log. `newest`: how many events the workflow has. Without a moment: now. */
  'state.get': {
    ask: z.object({ ...ofTask, moment: moment.optional() }),
    answer: z.object({ workflow: workflowId, newest: count, state: workflowState }),
  },
  'state.diff': {
    ask: z.object({ ...ofTask, from: moment, to: moment }),
    answer: z.object({ workflow: workflowId, newest: count, from: count, to: count, changes: z.array(stateChange) }),
  },
  'delegation.stats': { ask: z.object({ tenant: tenantId, since: epochMs.default(0) }), answer: delegationStats },
  'llm-calls.list': { ask: z.object({ tenant: tenantId, workflow: workflowId.optional(), ...page }), answer: paged(llmCallRow) },
  'tool-calls.list': { ask: z.object({ tenant: tenantId, workflow: workflowId.optional(), ...page }), answer: paged(toolCallRow) },
  /** Streams of which an event could not be projected. `retrying`: it is projected again within two seconds. */
  'parked.list': { ask: parkedList, answer: z.object({ items: z.array(parkedItem) }) },
  'parked.get': { ask: parkedGet, answer: parkedItem },
  'parked.retry': { ask: parkedDecision, answer: parkedItem },
  'parked.abandon': { ask: parkedDecision, answer: parkedItem },
  /** How far the read models are behind the log, per partition. */
  'projection.status': {
    ask: z.object({}),
    answer: z.object({
      partitions: z.array(z.object({ partition: count, position: z.number().int(), head: z.number().int() })),
      rebuilding: z.boolean(),
    }),
  },
} as const;
export type QueryName = keyof typeof QUERIES;
export type QueryAsk<N extends QueryName> = z.input<(typeof QUERIES)[N]['ask']>;
export type QueryAnswer<N extends QueryName> = z.infer<(typeof QUERIES)[N]['answer']>;
export type QueryReply<N extends QueryName> =
  | { readonly ok: true; readonly value: QueryAnswer<N> }
  | { readonly ok: false; readonly problem: { readonly code: string; readonly message: string; readonly next: string } };
