import type { AgentId, AttemptId, RequestId } from '../ids.ts';
import { decide } from './decide.ts';
import type { EventData, WorkflowEvent } from './events.ts';
import type { Circumstances, Environment, WorkflowInput } from './inputs.ts';
import type { RecordedDecision } from './replay.ts';
import type { Answer, Ask, CallFacts, Casting, Errand, OpenAttempt } from './steps.ts';
import { ABSENT, type Agent, evolve, type Workflow } from './workflow.ts';

/** The words of the domain's tests: a workflow that is told one thing after another. */
export class Telling {
  workflow: Workflow = ABSENT;
  readonly events: WorkflowEvent[] = [];
  /** As the log would hold it. */
  readonly history: RecordedDecision[] = [];
  now = 1_000_000;
  bus = 'bus-1';

  /** @returns the types of the events that followed, or `nothing` or the refusal's code */
  tell(input: WorkflowInput, circumstances: Partial<Circumstances> = {}): readonly string[] {
    const decision = decide(input, this.workflow, { now: this.now, bus: this.bus, ...circumstances });
    if (decision.kind === 'nothing') return ['nothing'];
    if (decision.kind === 'refused') return [decision.refusal.code];
    for (const event of decision.events) this.workflow = evolve(this.workflow, event, this.now);
    this.events.push(...decision.events);
    this.history.push({ at: this.now, events: decision.events });
    return decision.events.map((event) => event.type);
  }

  open(kind?: OpenAttempt['owes']['kind']): OpenAttempt[] {
    return [...this.workflow.attempts.values()].filter((attempt) => kind === undefined || attempt.owes.kind === kind);
  }

  answer(attempt: OpenAttempt | undefined, answer: Answer): readonly string[] {
    return this.tell({ kind: 'result', attempt: attempt?.id ?? ('none' as AttemptId), outcome: 'succeeded', answer });
  }

  /** The model call of an agent that is open. */
  asked(agent = 'a0'): OpenAttempt | undefined {
    return this.open('llm').find((attempt) => attempt.agent === agent);
  }

  /** The model of an agent answers what it was asked. */
  model(agent: string, answer: Answer = modelSays()): readonly string[] {
    return this.answer(this.asked(agent), answer);
  }

  agent(id = 'a0'): Agent {
    const agent = this.workflow.agents.get(id as AgentId);
    if (agent === undefined) throw new Error(`there is no agent ${id}`);
    return agent;
  }

  all<T extends WorkflowEvent['type']>(type: T): readonly EventData<T>[] {
    return this.events
      .filter((event): event is Extract<WorkflowEvent, { type: T }> => event.type === type)
      .map(({ data }) => data as EventData<T>);
  }

  last<T extends WorkflowEvent['type']>(type: T): Extract<WorkflowEvent, { type: T }> | undefined {
    return this.events.findLast((event): event is Extract<WorkflowEvent, { type: T }> => event.type === type);
  }
}

/** Somebody of the role catalogue. */
export const casting = (role: string, tools: readonly string[] = ['files__read']): Casting => ({
  role,
  tools,
  baseBytes: 100,
  tier: 'medium',
});

export const environment: Environment = {
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
  team: [],
  lease: false,
};

export const submission = (
  options: Extract<WorkflowInput, { kind: 'submit' }>['options'] = { pattern: 'direct' },
): Extract<WorkflowInput, { kind: 'submit' }> => ({
  kind: 'submit',
  request: 'r1' as RequestId,
  source: 'gateway',
  bodyHash: 'b'.repeat(64),
  taskBytes: 50,
  options,
  environment,
});

/** A model answer that asks for these tools, or answers when there are none. */
export const modelSays = (...tools: readonly (string | null)[]): Answer => ({
  kind: 'llm',
  provider: 'stub',
  model: 'stub-1',
  priceVersion: 'p1',
  usage: { inputTokens: 40, outputTokens: 10, cachedInputTokens: 0, reasoningTokens: 0 },
  costMicroUsd: 60,
  finishReason: tools.length > 0 ? 'tool_calls' : 'stop',
  textBytes: 20,
  calls: tools.map((tool) => ({ tool, argsBytes: 10 })),
  upstreamRequests: 1,
});

/** A model answer that asks for something of ours. */
export const modelAsks = (...asks: readonly Ask[]): Answer => ({
  ...(modelSays() as Extract<Answer, { kind: 'llm' }>),
  finishReason: 'tool_calls',
  calls: asks.map((ask): CallFacts => ({ tool: null, argsBytes: 10, ask })),
});

export const delegating = (to: Casting | null, over: Partial<Errand> = {}): Ask => ({
  kind: 'delegate',
  to,
  taskBytes: 40,
  fingerprint: 'f1',
  ...over,
});

/** The same answer at another price. */
export const costing = (costMicroUsd: number, answer: Answer = modelSays()): Answer => ({ ...answer, costMicroUsd }) as Answer;

export const toolSays = (resultBytes = 200): Answer => ({ kind: 'tool', isError: false, resultBytes, truncated: false });
