/*
 * How a rule waits for a tool without I/O.
 *
 * A rule is a generator that yields the tool calls it needs and is resumed with
 * their results. Each model turn runs the rule again from its start and feeds it
 * the results that the conversation already holds; the first calls without a
 * result become this turn's tool calls. The conversation is the only state, so
 * any process can take the next turn.
 */
import type { ModelMessage, ToolCall } from './model-request.ts';
import { toolSuffix } from './granted-tools.ts';

/** A tool call in the rule's own words: the tool's name without its server. */
export interface Ask {
  readonly tool: string;
  readonly args: Readonly<Record<string, unknown>>;
}

/** What came back for one ask. */
export interface Reply {
  readonly text: string;
  readonly isError: boolean;
}

/** A computation that may need tool results on its way to a `Value`. */
export type Asking<Value> = Generator<readonly Ask[], Value, readonly Reply[]>;

/** Tool calls made side by side in one model turn, at most. */
export const CALLS_PER_TURN = 8;

/** A call that was sent twice and never answered is given up. */
const SENDS_PER_CALL = 2;

/** Asks for one tool call. */
export function* ask(tool: string, args: Ask['args']): Asking<Reply> {
  const [reply] = yield [{ tool, args }];
  return reply ?? { text: 'no result came back', isError: true };
}

/** Asks for many tool calls, {@link CALLS_PER_TURN} at a time, in order. */
export function* askAll(asks: readonly Ask[]): Asking<Reply[]> {
  const replies: Reply[] = [];
  for (let start = 0; start < asks.length; start += CALLS_PER_TURN) {
    replies.push(...(yield asks.slice(start, start + CALLS_PER_TURN)));
  }
  return replies;
}

/** What the conversation says about earlier tool calls. */
export interface RecordedCalls {
  readonly callCount: number;
  replyTo(ask: Ask): Reply | undefined;
}

/** Reads the earlier calls and their results out of the conversation. */
export function recordedCalls(messages: readonly ModelMessage[]): RecordedCalls {
  const calls = messages.flatMap((message) => (message.role === 'assistant' ? message.toolCalls : []));
  const results = new Map(messages.flatMap((message) => (message.role === 'tool' ? [[message.callId, message] as const] : [])));
  const sends = new Map<string, number>();
  const replies = new Map<string, Reply>();
  for (const call of calls) {
    const key = callKey(toolSuffix(call.tool), call.args);
    sends.set(key, (sends.get(key) ?? 0) + 1);
    const result = results.get(call.callId);
    if (result) replies.set(key, { text: result.text, isError: result.isError });
  }
  return {
    callCount: calls.length,
    replyTo: ({ tool, args }) => {
      const key = callKey(tool, args);
      const isLost = (sends.get(key) ?? 0) >= SENDS_PER_CALL;
      return replies.get(key) ?? (isLost ? { text: 'no result came back', isError: true } : undefined);
    },
  };
}

/** Runs a rule as far as the recorded results allow. */
export function advance<Value>(
  work: Asking<Value>,
  recorded: RecordedCalls,
): { readonly value: Value } | { readonly owed: readonly Ask[] } {
  let step = work.next();
  while (!step.done) {
    const replies = step.value.map((wanted) => recorded.replyTo(wanted));
    const owed = step.value.filter((_, index) => replies[index] === undefined);
    if (owed.length > 0) return { owed };
    step = work.next(replies.filter((reply) => reply !== undefined));
  }
  return { value: step.value };
}

/** Names a call by its meaning; the order of argument names does not matter. */
function callKey(tool: string, args: unknown): string {
  return `${tool} ${canonicalJson(args)}`;
}

function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    inner !== null && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([left], [right]) => (left < right ? -1 : 1)))
      : inner,
  );
}

/** Turns owed asks into tool calls with ids that this conversation has not used. */
export function toToolCalls(owed: readonly Ask[], recorded: RecordedCalls, fullName: (tool: string) => string): ToolCall[] {
  return owed.map((wanted, index) => ({
    callId: `offline_${recorded.callCount + index + 1}`,
    tool: fullName(wanted.tool),
    args: wanted.args,
  }));
}
