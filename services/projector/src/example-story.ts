/** For tests: workflows that really decided, told one thing after another, and their events as they would be stored. */
import { EVENT_VERSIONS, type StoredEvent } from '@mandate/contracts';
import {
  ABSENT,
  type AgentId,
  type AnalysisFacts,
  type Answer,
  type Ask,
  type Casting,
  decide,
  type Environment,
  evolve,
  type OpenAttempt,
  PATTERN_NAMES,
  type RequestId,
  type TaskOptions,
  type Workflow,
  type WorkflowEvent,
  type WorkflowInput,
} from '@mandate/domain';

export class ExampleStory {
  readonly stream: string;
  readonly tenant: string;
  readonly events: StoredEvent[] = [];
  workflow: Workflow = ABSENT;
  now = 1_000_000;

  constructor(stream: string, tenant = 'acme') {
    this.stream = stream;
    this.tenant = tenant;
  }

  submit(options: TaskOptions = {}, environment: Partial<Environment> = {}): this {
    return this.tell({
      kind: 'submit',
      request: 'req' as RequestId,
      source: 'gateway',
      bodyHash: '0'.repeat(64),
      taskBytes: 50,
      options,
      environment: { ...ENVIRONMENT, ...environment },
    });
  }

  /** What is refused or decides nothing changes nothing. */
  tell(input: WorkflowInput): this {
    this.now += 10;
    const decision = decide(input, this.workflow, { now: this.now, bus: 'bus-1' });
    if (decision.kind !== 'events') return this;
    for (const event of decision.events) {
      this.workflow = evolve(this.workflow, event, this.now);
      this.events.push(this.#stored(event));
    }
    return this;
  }

  open(agent?: string): OpenAttempt[] {
    return [...this.workflow.attempts.values()].filter((attempt) => agent === undefined || attempt.agent === agent);
  }

  /** The agent's one open attempt ends well. */
  answer(agent: string, answer: Answer): this {
    return this.end(agent, { outcome: 'succeeded', answer });
  }

  end(agent: string, how: Omit<Extract<WorkflowInput, { kind: 'result' }>, 'kind' | 'attempt' | 'team'>): this {
    const [attempt] = this.open(agent);
    if (attempt === undefined) throw new Error(`${agent} has no open attempt`);
    return this.tell({ kind: 'result', attempt: attempt.id, worker: 'test/1', durationMs: 5, ...how, team: TEAM });
  }

  topUp(
    added: Partial<Record<'moneyMicroUsd' | 'tokens' | 'modelCalls' | 'toolCalls', number>>,
    request = 'more',
    deadlineMs?: number,
  ): this {
    const figures = { moneyMicroUsd: 0, tokens: 0, modelCalls: 0, toolCalls: 0, ...added };
    return this.tell({
      kind: 'top_up',
      request: request as RequestId,
      added: figures,
      ...(deadlineMs === undefined ? {} : { deadlineMs }),
    });
  }

  cancel(agent?: string): this {
    return this.tell({ kind: 'cancel', request: 'stop' as RequestId, ...(agent === undefined ? {} : { agent: agent as AgentId }) });
  }

  #stored(event: WorkflowEvent): StoredEvent {
    const version = this.events.length + 1;
    return {
      id: `${this.stream}.${version}`,
      schema: EVENT_VERSIONS[event.type],
      stream: this.stream,
      version,
      tenant: this.tenant,
      at: this.now,
      actor: 'key/test',
      causation: 'req',
      correlation: 'req',
      ...event,
    };
  }
}

export const cast = (role: string): Casting => ({ role: `${role}@1`, tools: ['files__read'], baseBytes: 100, tier: 'medium' });
const TEAM = [cast('researcher'), cast('analyst')];

const ENVIRONMENT: Environment = {
  tools: [
    { name: 'files__read', effect: 'read_only' },
    { name: 'mail__send', effect: 'non_idempotent' },
  ],
  catalogHash: 'c'.repeat(64),
  promptBaseBytes: 100,
  role: 'generalist@1',
  model: {
    model: null,
    priceVersion: 'p1',
    worstPrice: { inputMicroUsdPerMillionTokens: 1_000_000, outputMicroUsdPerMillionTokens: 2_000_000 },
    maxOutputTokens: 1_000,
  },
  timing: { queueMs: 60_000, analyzeMs: 10_000, llmMs: 60_000, toolMs: 30_000, graceMs: 5_000 },
  edition: 2,
  tier: 'medium',
  fingerprint: 'f0',
  delegation: { maxDepth: 2, maxAgents: 20, deepest: 'read_only' },
  team: TEAM,
  lease: false,
};

/** A reading by which `direct` fits best, and evaluator-optimizer next. */
export const READING: AnalysisFacts = {
  analyzerVersion: '1',
  intent: 'analysis',
  taskType: 'research',
  complexityScore: 4,
  tier: 'moderate',
  capabilities: ['search'],
  estimatedSteps: 3,
  confidence: 0.8,
  language: 'en',
  reasons: [{ claim: 'type.research', ruleId: 'verb.compare', start: 0, end: 7 }],
  fit: {
    table: 'fit@1',
    scores: PATTERN_NAMES.map((pattern) => ({
      pattern,
      score: { direct: 0.82, 'evaluator-optimizer': 0.61 }[pattern as string] ?? 0.2,
      reasons: ['+0.20 base'],
    })).toSorted((a, b) => b.score - a.score),
  },
};

export const reading: Answer = { kind: 'analyze', analysis: READING };

/** What a model asks for: a tool, or one of our own. */
export type Wish = string | Ask;
/** A model call: 40 + 10 tokens. It is the answer when it asks for nothing. */
export const modelSays = (costMicroUsd: number, ...wishes: readonly Wish[]): Answer => ({
  kind: 'llm',
  provider: 'stub',
  model: 'stub-1',
  priceVersion: 'p1',
  usage: { inputTokens: 40, outputTokens: 10, cachedInputTokens: 0, reasoningTokens: 0 },
  costMicroUsd,
  finishReason: wishes.length > 0 ? 'tool_calls' : 'stop',
  textBytes: 20,
  calls: wishes.map((wish) =>
    typeof wish === 'string' ? { tool: wish, argsBytes: 10 } : { tool: ownTool(wish), argsBytes: 10, ask: wish },
  ),
  upstreamRequests: 1,
});

const ownTool = (ask: Ask): string => (ask.kind === 'transfer' ? 'transfer_to' : ask.kind === 'invalid' ? 'delegate' : ask.kind);

/** The word of a task decides its fingerprint: the same twice on one way down is a cycle. */
export const delegateTo = (role: string | null, about: string, more: Partial<Extract<Ask, { kind: 'delegate' }>> = {}): Ask => ({
  kind: 'delegate',
  to: role === null ? null : cast(role),
  taskBytes: 30,
  fingerprint: Buffer.from(about).toString('hex').slice(0, 32),
  ...more,
});

export const toolSays: Answer = { kind: 'tool', isError: false, resultBytes: 64, truncated: false };

/**
 * The root reads its task, sends a researcher and an analyst (a third child is refused) and reads a file; the researcher
 * sends somebody who may send nobody; the analyst fails; the root answers.
 *
 *   a0 ─┬─ a0-1 (answers) ── a0-1-1 (answers)
 *       └─ a0-2 (fails)
 */
export const delegatedStory = (stream: string, tenant?: string): ExampleStory =>
  new ExampleStory(stream, tenant)
    .submit()
    .answer('a0', reading)
    .answer(
      'a0',
      modelSays(100, delegateTo('researcher', 'sources'), delegateTo('analyst', 'figures'), delegateTo(null, 'x'), 'files__read'),
    )
    .answer('a0', toolSays)
    .answer('a0-1', modelSays(200, delegateTo('researcher', 'archive')))
    .answer('a0-1-1', modelSays(400, delegateTo('analyst', 'deeper')))
    .answer('a0-1-1', modelSays(50))
    .end('a0-2', { outcome: 'failed', failure: { code: 'content_filter', retryable: false, billed: 'no' } })
    .answer('a0-1', modelSays(25))
    .answer('a0', modelSays(10));
