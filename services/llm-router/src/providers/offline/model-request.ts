/** One entry of a conversation between a person, a model and its tools. */
export type ModelMessage =
  | { readonly role: 'user'; readonly text: string }
  | { readonly role: 'assistant'; readonly text: string; readonly toolCalls: readonly ToolCall[] }
  | {
      readonly role: 'tool';
      readonly callId: string;
      readonly tool: string;
      readonly text: string;
      readonly isError: boolean;
    };

/** A tool call that a model asks for. `callId` ties the result to it. */
export interface ToolCall {
  readonly callId: string;
  readonly tool: string;
  readonly args: unknown;
}

/** A tool that the model may call. */
export interface ToolSpec {
  readonly name: string;
  readonly description: string;
  readonly inputSchema: unknown;
}

/** One call of a model: everything that it may know. */
export interface ModelRequest {
  readonly system: string;
  readonly messages: readonly ModelMessage[];
  readonly tools: readonly ToolSpec[];
  readonly maxOutputTokens: number;
}

/** The offline provider's turn: tool calls to make, or the final answer. */
export interface OfflineAnswer {
  readonly text: string;
  readonly toolCalls: readonly ToolCall[];
  readonly finishReason: 'stop' | 'tool_calls';
}
