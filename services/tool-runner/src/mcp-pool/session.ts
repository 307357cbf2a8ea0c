import {
  type CallToolResult,
  Client,
  type JsonSchemaValidator,
  type jsonSchemaValidator,
  StreamableHTTPClientTransport,
  type Tool,
  type Transport,
} from '@modelcontextprotocol/client';
import { VERSION } from '@mandate/service-kit';
import type { ToolServer } from '../tools-file.ts';
import { StdioTransport } from './stdio-transport.ts';

/** One live connection to one MCP server, kept for as long as it works. */
export interface Session {
  /** Tools as last listed. */
  readonly tools: readonly Tool[];
  /** Process id of a stdio server. */
  readonly pid: number | undefined;
  call(tool: Tool, args: Readonly<Record<string, unknown>>, options: CallOptions): Promise<CallToolResult>;
  close(): Promise<void>;
}

interface CallOptions {
  /** Aborting it tells the server that the call is cancelled. */
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
  readonly traceparent: string;
}

export interface SessionEvents {
  /** The server told that its tools changed, and they were listed again. */
  readonly onTools: () => void;
  /** The connection ended, and not because `close` was called. */
  readonly onGone: () => void;
  readonly onNoise: (from: 'stdout' | 'stderr', line: string) => void;
}

/** Results are checked by ourselves, with bounds; the SDK would compile hostile schemas without. */
const TRUSTING: jsonSchemaValidator = {
  getValidator: <T>() => ((data: T) => ({ valid: true, data, errorMessage: undefined })) as JsonSchemaValidator<T>,
};
const LIST_AGAIN_AFTER_MS = 20;

/** Connects and lists the tools. @throws when either fails within the time; nothing is left running */
export async function openSession(server: ToolServer, connectWithinMs: number, events: SessionEvents): Promise<Session> {
  const transport = transportFor(server, events);
  let tools: readonly Tool[] = [];
  let closing = false;
  const list = async (): Promise<void> => {
    tools = (await client.listTools(undefined, { timeout: connectWithinMs, cacheMode: 'refresh' })).tools;
  };
  const listAgain = (): void => void list().then(events.onTools, () => undefined);
  const client = new Client(
    { name: 'mandate-tool-runner', version: VERSION },
    {
      versionNegotiation: { mode: eraOf(server), probe: { timeoutMs: connectWithinMs } },
      jsonSchemaValidator: TRUSTING,
      listChanged: { tools: { autoRefresh: false, debounceMs: LIST_AGAIN_AFTER_MS, onChanged: listAgain } },
    },
  );
  client.onclose = () => {
    if (!closing) events.onGone();
  };
  const close = async (): Promise<void> => {
    closing = true;
    // The client does not wait for its transport when it never came to be connected.
    await client.close().catch(() => undefined);
    await transport.close().catch(() => undefined);
  };
  try {
    await client.connect(transport, { timeout: connectWithinMs });
    await list();
  } catch (error) {
    await close();
    throw error;
  }
  return {
    get tools() {
      return tools;
    },
    pid: transport instanceof StdioTransport ? transport.pid : undefined,
    call: (tool, args, { signal, timeoutMs, traceparent }) => {
      const { outputSchema: _, ...toolDefinition } = tool;
      const params = { name: tool.name, arguments: args, _meta: { traceparent } };
      return client.callTool(params, { signal, timeout: timeoutMs, maxTotalTimeout: timeoutMs, toolDefinition });
    },
    close,
  };
}

function transportFor(server: ToolServer, events: SessionEvents): Transport {
  if (server.transport === 'stdio') return new StdioTransport({ ...server, onNoise: events.onNoise });
  return new StreamableHTTPClientTransport(new URL(server.url), { requestInit: { headers: server.headers } });
}

function eraOf({ transport, protocol }: ToolServer): 'legacy' | 'auto' | { pin: string } {
  if (protocol === undefined) return transport === 'stdio' ? 'legacy' : 'auto';
  return protocol === 'legacy' || protocol === 'auto' ? protocol : { pin: protocol };
}
