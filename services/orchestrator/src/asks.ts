import { createHmac } from 'node:crypto';
import type { LlmContent } from '@mandate/contracts';
import {
  type Ask,
  askedInText,
  type CallFacts,
  type Errand,
  fingerprintWords,
  type OwnTool,
  PATTERN_NAMES,
  type PatternName,
  type PlannedStep,
  RATINGS,
} from '@mandate/domain';
import { z } from 'zod';
import type { Cast } from './cast.ts';
import { isOwnTool } from './own-tools.ts';

/** What a model's calls are read against. */
export interface AskReader {
  readonly cast: Cast;
  /** Names of tools of the mandate. */
  readonly granted: ReadonlySet<string>;
  /** Key of the workflow's content. */
  readonly key: Buffer;
}

const agentName = z.string().min(1).max(60);
const errand = {
  agent: agentName.optional(),
  task: z
    .string()
    .max(8_000)
    .refine((text) => text.trim() !== ''),
  share: z.number().int().min(1).max(100).optional(),
  budget_micro_usd: z.number().int().min(1).max(1_000_000_000_000).optional(),
  tools: z.array(z.string().max(128)).max(100).optional(),
  pattern: z.enum(PATTERN_NAMES).optional(),
};
/** Loose where a model tends to be: unknown keys are ignored. */
const ARGUMENTS = {
  delegate: z.object({
    ...errand,
    estimated_tokens: z.number().int().min(1).max(10_000_000).optional(),
    estimated_hours: z.number().optional(),
  }),
  consult: z.object({ agent: agentName, question: z.string().min(1).max(8_000) }),
  transfer_to: z.object({ agent: agentName, note: z.string().max(4_000).optional() }),
  choose: z.object({ agent: agentName, reason: z.string().max(4_000).optional() }),
  plan: z.object({
    steps: z
      .array(
        z.object({
          ...errand,
          agent: agentName,
          id: z.string().regex(/^[A-Za-z0-9_-]{1,40}$/),
          after: z.array(z.string().max(40)).max(10).optional(),
        }),
      )
      .max(50),
    complete: z.boolean().optional(),
  }),
  rate: z.object({
    rating: z.preprocess((value) => (typeof value === 'string' ? value.toLowerCase() : value), z.enum(RATINGS)),
    feedback: z.string().optional(),
  }),
} as const satisfies Record<OwnTool, z.ZodType>;

/** The role of an errand that names nobody. */
const ANYBODY = 'generalist';

/** The calls of a model's answer in facts, and the content that their words stay in: what it asked for in its text is a call too. */
export function readCalls(content: LlmContent, reader: AskReader): { readonly facts: readonly CallFacts[]; readonly content: LlmContent } {
  const asked = callsInText(content.text, reader);
  const calls = asked.length === 0 ? content.calls : [...content.calls, ...asked.map(({ call }) => call)];
  const facts = calls.map((call, index): CallFacts => {
    const argsBytes = Buffer.byteLength(JSON.stringify(call.args) ?? '');
    if (!isOwnTool(call.tool)) return { tool: reader.granted.has(call.tool) ? call.tool : null, argsBytes };
    const problem = asked[index - content.calls.length]?.problem;
    return { tool: call.tool, argsBytes, ask: problem === undefined ? askOf(call.tool, call.args, reader) : { kind: 'invalid', problem } };
  });
  return { facts, content: asked.length === 0 ? content : { ...content, calls } };
}

/** Keyed, so that equal words can be told while the key lives, and nothing afterwards. Empty for a text without words. */
export function fingerprint(text: string, key: Buffer): string {
  const words = fingerprintWords(text);
  return words === '' ? '' : createHmac('sha256', key).update('fingerprint/').update(words).digest('hex').slice(0, 32);
}

function callsInText(
  text: string,
  { cast }: AskReader,
): readonly { readonly call: LlmContent['calls'][number]; readonly problem?: string }[] {
  if (!/\[(?:delegate|use-mcp):|@/i.test(text)) return [];
  return askedInText(text, undefined, cast.named).map((ask, index) => {
    const callId = `text_${index + 1}`;
    switch (ask.kind) {
      case 'delegate':
        return {
          call: {
            callId,
            tool: 'delegate',
            args: { task: ask.description, ...(ask.hours === undefined ? {} : { estimated_hours: ask.hours }) },
          },
        };
      case 'consult':
        return { call: { callId, tool: 'consult', args: { agent: ask.role, question: ask.question } } };
      case 'use_tool':
        return { call: { callId, tool: `${ask.server}__${ask.tool}`, args: ask.args } };
      case 'malformed':
        return { call: { callId, tool: 'delegate', args: {} }, problem: ask.problem.slice(0, 300) };
    }
  });
}

function askOf(tool: OwnTool, args: unknown, reader: AskReader): Ask {
  const parsed = ARGUMENTS[tool].safeParse(args);
  if (!parsed.success) return { kind: 'invalid', problem: problemOf(tool, parsed.error) };
  switch (tool) {
    case 'delegate':
      return { kind: 'delegate', ...errandOf(parsed.data as z.infer<typeof ARGUMENTS.delegate>, reader) };
    case 'consult':
      return { kind: 'consult', to: reader.cast.of((parsed.data as z.infer<typeof ARGUMENTS.consult>).agent) };
    case 'transfer_to':
      return { kind: 'transfer', to: reader.cast.of((parsed.data as z.infer<typeof ARGUMENTS.transfer_to>).agent) };
    case 'choose':
      return { kind: 'choose', to: reader.cast.of((parsed.data as z.infer<typeof ARGUMENTS.choose>).agent) };
    case 'rate':
      return { kind: 'rate', rating: (parsed.data as z.infer<typeof ARGUMENTS.rate>).rating };
    case 'plan': {
      const { steps, complete } = parsed.data as z.infer<typeof ARGUMENTS.plan>;
      return {
        kind: 'plan',
        complete: complete ?? false,
        steps: steps.map((step): PlannedStep => ({ ...errandOf(step, reader), id: step.id, after: step.after ?? [] })),
      };
    }
  }
}

type ErrandArguments = {
  readonly agent?: string | undefined;
  readonly task: string;
  readonly share?: number | undefined;
  readonly budget_micro_usd?: number | undefined;
  readonly tools?: readonly string[] | undefined;
  readonly pattern?: PatternName | undefined;
  readonly estimated_tokens?: number | undefined;
};

function errandOf(args: ErrandArguments, { cast, granted, key }: AskReader): Errand {
  return {
    to: cast.of(args.agent ?? ANYBODY),
    taskBytes: Buffer.byteLength(args.task),
    fingerprint: fingerprint(args.task, key),
    ...(args.pattern === undefined ? {} : { pattern: args.pattern }),
    ...(args.tools === undefined
      ? {}
      : { tools: args.tools.map((name) => (granted.has(name) && cast.mayUse(args.agent ?? ANYBODY, name) ? name : null)) }),
    ...(args.share === undefined ? {} : { sharePercent: args.share }),
    ...(args.budget_micro_usd === undefined ? {} : { moneyMicroUsd: args.budget_micro_usd }),
    ...(args.estimated_tokens === undefined ? {} : { estimateTokens: args.estimated_tokens }),
  };
}

/** Names what is wrong by its path; a value is never repeated. */
function problemOf(tool: OwnTool, error: z.ZodError): string {
  const [issue] = error.issues;
  const path = (issue?.path ?? [])
    .map((part) => (typeof part === 'number' ? part : /^[a-z_]{1,30}$/.test(String(part)) ? part : '?'))
    .join('.');
  return `The arguments of ${tool} are not right${path === '' ? '' : ` at ${path}`} (${issue?.code ?? 'invalid'}).`;
}
