import type { ToolSpec } from '@mandate/contracts';
import { OWN_TOOLS, type OwnTool, PATTERN_NAMES, RATINGS } from '@mandate/domain';

/**
 * Tools that the orchestrator carries out itself, as a model sees them. Commands of open workflows are composed again
 * after a crash: a text that was shipped is not edited while workflows that have seen it are open.
 */
const errand = {
  agent: { type: 'string', description: 'role of the agent, e.g. researcher, analyst, creator, developer, reviewer' },
  task: { type: 'string', minLength: 1, maxLength: 8_000, description: 'the whole task: the agent knows nothing else' },
  share: { type: 'integer', minimum: 1, maximum: 100, description: 'percent of your remaining budget; default an equal part' },
  budget_micro_usd: { type: 'integer', minimum: 1, description: 'budget in micro-USD, instead of a share' },
  tools: { type: 'array', items: { type: 'string' }, description: 'only these of your tools; default those that fit the role' },
  pattern: { type: 'string', enum: PATTERN_NAMES, description: 'default direct' },
} as const;

const SPECS: Readonly<Record<OwnTool, ToolSpec>> = {
  delegate: {
    name: 'delegate',
    description: 'Give a part of the task to another agent, paid from your budget. Several in one turn work at the same time.',
    inputSchema: {
      type: 'object',
      properties: {
        ...errand,
        estimated_tokens: { type: 'integer', minimum: 1, description: 'tokens of context that it will need, if you know' },
      },
      required: ['task'],
      additionalProperties: false,
    },
  },
  consult: {
    name: 'consult',
    description: 'Ask another role one question. It has no tools and answers once.',
    inputSchema: {
      type: 'object',
      properties: { agent: errand.agent, question: { type: 'string', minLength: 1, maxLength: 8_000 } },
      required: ['agent', 'question'],
      additionalProperties: false,
    },
  },
  transfer_to: {
    name: 'transfer_to',
    description: 'Hand the whole work over to another role. It sees everything that was said so far and goes on instead of you.',
    inputSchema: {
      type: 'object',
      properties: { agent: errand.agent, note: { type: 'string', maxLength: 4_000 } },
      required: ['agent'],
      additionalProperties: false,
    },
  },
  choose: {
    name: 'choose',
    description: 'Choose the one agent that will do the task.',
    inputSchema: {
      type: 'object',
      properties: { agent: errand.agent, reason: { type: 'string', maxLength: 1_000 } },
      required: ['agent'],
      additionalProperties: false,
    },
  },
  plan: {
    name: 'plan',
    description: 'Plan steps for other agents. Steps that do not depend on each other work at the same time.',
    inputSchema: {
      type: 'object',
      properties: {
        steps: {
          type: 'array',
          maxItems: 10,
          items: {
            type: 'object',
            properties: {
              id: { type: 'string', pattern: '^[A-Za-z0-9_-]{1,40}$' },
              ...errand,
              after: { type: 'array', items: { type: 'string' }, description: 'ids of steps whose results it needs' },
            },
            required: ['id', 'agent', 'task'],
            additionalProperties: false,
          },
        },
        complete: { type: 'boolean', description: 'true: nothing more is to be done' },
      },
      required: ['steps'],
      additionalProperties: false,
    },
  },
  rate: {
    name: 'rate',
    description: 'Rate the answer and say what would make it better.',
    inputSchema: {
      type: 'object',
      properties: { rating: { type: 'string', enum: RATINGS }, feedback: { type: 'string', maxLength: 8_000 } },
      required: ['rating'],
      additionalProperties: false,
    },
  },
};

export const isOwnTool = (name: string): name is OwnTool => (OWN_TOOLS as readonly string[]).includes(name);
export const ownToolSpecs = (names: readonly OwnTool[]): ToolSpec[] => names.map((name) => SPECS[name]);

/** Bytes that our own tools add to a prompt at most. */
export const OWN_TOOLS_BYTES = Buffer.byteLength(JSON.stringify(ownToolSpecs(['delegate', 'consult', 'transfer_to'])));
