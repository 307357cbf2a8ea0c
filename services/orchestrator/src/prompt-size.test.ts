import type { LlmCommand, LlmContent, ModelRequest, ToolCatalog } from '@mandate/contracts';
import {
  ABSENT,
  CLOSING,
  decide,
  evolve,
  type OpenAttempt,
  type RequestId,
  roleText,
  type TaskOptions,
  type Workflow,
  type WorkflowInput,
} from '@mandate/domain';
import { SealedWords } from '@mandate/event-store';
import { describe, expect, it } from 'vitest';
import { Cast } from './cast.ts';
import { composeCommand } from './compose-command.ts';
import { partResult } from './inbox-message.ts';
import type { Held } from './workflow-memory.ts';

/** A workflow with its words, told as the inbox tells it. */
class Spoken {
  workflow: Workflow = ABSENT;
  readonly contents = new SealedWords('wf');
  readonly cast = new Cast(CATALOG, CATALOG.tools, []);
  readonly #key = Buffer.alloc(32, 7);

  constructor(task: string, options: TaskOptions) {
    const base = this.cast.of('generalist')?.baseBytes ?? 0;
    this.#tell(
      {
        kind: 'submit',
        request: 'r1' as RequestId,
        source: 'gateway',
        bodyHash: 'b'.repeat(64),
        taskBytes: Buffer.byteLength(task),
        options: { maxCostMicroUsd: 100_000_000, maxTokens: 50_000_000, ...options },
        environment: {
          tools: TOOLS,
          catalogHash: 'c'.repeat(64),
          promptBaseBytes: base,
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
          team: this.cast.usualTeam(options.tuning?.roles),
          lease: false,
        },
      },
      { task },
    );
  }

  get held(): Held {
    return { id: 'wf', tenant: 'acme', state: this.workflow, contents: this.contents } as unknown as Held;
  }

  get open(): readonly OpenAttempt[] {
    return [...this.workflow.attempts.values()].filter((attempt) => attempt.owes.kind === 'llm');
  }

  /** The model says this to an open attempt. */
  says(attempt: OpenAttempt, text: string, ...calls: { readonly tool: string; readonly args: unknown }[]): void {
    const content: LlmContent = { text, calls: calls.map((call, n) => ({ callId: `c${n}`, ...call })) };
    const { input, content: words } = partResult(
      {
        workflow: 'wf',
        attempt: attempt.id,
        outcome: 'succeeded',
        worker: 'w',
        durationMs: 1,
        answer: {
          kind: 'llm',
          provider: 'p',
          model: 'm',
          priceVersion: 'v',
          usage: { inputTokens: 1, outputTokens: 1, cachedInputTokens: 0, reasoningTokens: 0 },
          costMicroUsd: 1,
          finishReason: 'stop',
          upstreamRequests: 1,
          content,
        },
      },
      { cast: this.cast, granted: new Set(TOOLS.map(({ name }) => name)), key: this.#key, votes: false },
    );
    this.#tell(input, words);
  }

  /** Every open model call asks for no more than was reserved for it. */
  fits(): void {
    for (const attempt of this.open) {
      const command = composeCommand(this.held, attempt, { catalog: CATALOG, instruction: roleText }) as LlmCommand;
      if (attempt.owes.kind !== 'llm') continue;
      const size = sizeOf(command.body);
      const reserved =
        attempt.owes.part?.name === 'closing' ? CLOSING : { promptBytes: attempt.owes.promptBytes, messages: attempt.owes.messages };
      expect({ attempt: attempt.id, most: size.bytes + 32 * size.messages }).toEqual({
        attempt: attempt.id,
        most: expect.toSatisfy(
          (most: number) => most <= reserved.promptBytes + 32 * reserved.messages,
          `at most ${JSON.stringify(reserved)}`,
        ),
      });
    }
  }

  #tell(input: WorkflowInput, words: unknown): void {
    const version = this.workflow.version + 1;
    const decision = decide(input, this.workflow, { now: 1_000_000, bus: 'bus-1' });
    if (decision.kind !== 'events') throw new Error(JSON.stringify(decision));
    this.workflow = decision.events.reduce((state, event) => evolve(state, event, 1_000_000), this.workflow);
    if (words !== undefined) this.contents.set(version, words);
    this.fits();
  }
}

const TOOLS = [{ name: 'files__read', effect: 'read_only' as const }];
const CATALOG: ToolCatalog = {
  tools: [{ name: 'files__read', description: 'Reads a file.', inputSchema: { type: 'object' }, effect: 'read_only', tenants: ['acme'] }],
};

/** As the router counts it (services/llm-router/src/worst-case.ts). */
function sizeOf(request: ModelRequest): { readonly bytes: number; readonly messages: number } {
  let bytes = Buffer.byteLength(request.system) + Buffer.byteLength(JSON.stringify(request.tools));
  let messages = 1;
  for (const message of request.messages) {
    bytes += Buffer.byteLength(message.text);
    messages += 1;
    if (message.role !== 'assistant') continue;
    for (const call of message.toolCalls) bytes += Buffer.byteLength(JSON.stringify(call.args ?? null));
    messages += message.toolCalls.length;
  }
  return { bytes, messages };
}

const LONG = 'Zürich — 東京 '.repeat(2_000);
const first = (spoken: Spoken): OpenAttempt => spoken.open[0]!;

describe('what is reserved for a model call covers the prompt that is composed for it', () => {
  it('when children answer at length, fail, are refused, and others are consulted', () => {
    const spoken = new Spoken(LONG, { pattern: 'direct' });
    spoken.says(
      first(spoken),
      LONG,
      { tool: 'delegate', args: { agent: 'researcher', task: 'a '.repeat(4_000) } },
      { tool: 'delegate', args: { agent: 'nobody', task: 'b' } },
      { tool: 'delegate', args: { task: '' } },
      { tool: 'consult', args: { agent: 'analyst', question: 'ö'.repeat(8_000) } },
    );
    for (const attempt of [...spoken.open]) spoken.says(attempt, LONG);
    expect(spoken.open).toHaveLength(1);
    spoken.says(first(spoken), 'done');
    expect(spoken.workflow.phase).toBe('completed');
  });

  it('when it asks in its text', () => {
    const spoken = new Spoken('task', { pattern: 'direct' });
    spoken.says(first(spoken), `I need help.\n[delegate:${'find '.repeat(500)}:2]\n\n@Analyst: ${'why '.repeat(500)}`);
    for (const attempt of [...spoken.open]) spoken.says(attempt, LONG);
    spoken.says(first(spoken), 'done');
    expect(spoken.workflow.phase).toBe('completed');
  });

  it('in a plan with ten workers, and in the call that joins them', () => {
    const spoken = new Spoken(LONG, { pattern: 'orchestrator-workers' });
    const steps = Array.from({ length: 10 }, (_, n) => ({
      id: `s${n}`,
      agent: 'analyst',
      task: 't'.repeat(8_000),
      after: n === 0 ? [] : ['s0'],
    }));
    spoken.says(first(spoken), 'here', { tool: 'plan', args: { steps: [{ ...steps[0], after: ['s9'] }] } });
    spoken.says(first(spoken), 'here', { tool: 'plan', args: { steps } });
    while (spoken.open.length > 0) spoken.says(first(spoken), LONG);
    expect(spoken.workflow.phase).toBe('completed');
  });

  it.each(['sequential', 'parallel', 'router', 'swarm'] as const)('in %s', (pattern) => {
    const spoken = new Spoken(LONG, { pattern });
    for (let turn = 0; spoken.open.length > 0 && turn < 20; turn++) {
      const attempt = first(spoken);
      const part = attempt.owes.kind === 'llm' ? attempt.owes.part?.name : undefined;
      if (part === 'choose') spoken.says(attempt, LONG, { tool: 'choose', args: { agent: turn === 0 ? 'nobody' : 'analyst' } });
      else if (pattern === 'swarm' && turn < 2)
        spoken.says(attempt, LONG, { tool: 'transfer_to', args: { agent: ['analyst', 'creator'][turn], note: LONG.slice(0, 3_000) } });
      else spoken.says(attempt, LONG);
    }
    expect(spoken.workflow.phase).toBe('completed');
  });

  it('in ratings and in what is said about an answer', () => {
    const spoken = new Spoken(LONG, { pattern: 'evaluator-optimizer', tuning: { roles: ['creator', 'reviewer'] } });
    while (spoken.open.length > 0) {
      const attempt = first(spoken);
      const rates = attempt.owes.kind === 'llm' && attempt.owes.part?.name === 'rate';
      if (rates) spoken.says(attempt, '', { tool: 'rate', args: { rating: 'poor', feedback: LONG } });
      else spoken.says(attempt, LONG);
    }
    expect(spoken.workflow.phase).toBe('completed');
  });

  it('in the closing turn, however long the work was', () => {
    const spoken = new Spoken(LONG, { pattern: 'direct', maxModelCalls: 5 });
    while (spoken.open.length > 0) {
      const attempt = first(spoken);
      if (attempt.owes.kind === 'llm' && attempt.owes.part?.name === 'closing') spoken.says(attempt, 'so far');
      else spoken.says(attempt, LONG, { tool: 'consult', args: { agent: 'analyst', question: LONG.slice(0, 7_000) } });
    }
    expect(spoken.workflow).toMatchObject({ phase: 'failed', failure: { code: 'ModelCallBudgetExceeded' } });
  });
});
