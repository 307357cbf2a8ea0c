import { jsonDepth, LIMITS, type ToolCommand, type WorkerAnswer, type WorkerErrorCode } from '@mandate/contracts';
import { StepFailed } from '@mandate/service-kit';
import { type CallToolResult, ProtocolError, SdkError, SdkErrorCode, SdkHttpError } from '@modelcontextprotocol/client';
import type { Lease, McpPool } from './mcp-pool/pool.ts';
import { ServerUnavailable } from './mcp-pool/slot.ts';
import { cutText, resultText } from './result-text.ts';
import { type Check, compileCheck, SchemaUnusable } from './schema/argument-check.ts';
import type { OfferedTool } from './tool-catalog.ts';
import { toolName } from './tool-name.ts';
import type { ToolServer } from './tools-file.ts';

/** What a call needs from its surroundings. */
export interface Runner {
  readonly servers: readonly ToolServer[];
  readonly pool: McpPool;
  /** What exists now. */
  readonly offered: () => ReadonlyMap<string, OfferedTool>;
}

type ToolAnswer = Extract<WorkerAnswer, { kind: 'tool' }>;

const notRun = (
  code: WorkerErrorCode,
  message: string,
  details: { readonly retryable?: boolean; readonly retryAfterMs?: number | undefined; readonly cause?: unknown } = {},
): StepFailed => new StepFailed(code, short(message), { billed: 'no', ...details });

/** A model reads these, and its prompt was paid for by an estimate. */
const short = (message: string): string => message.toWellFormed().slice(0, 300);

/**
 * The tool that a command may call. Waits for a server that is only just starting.
 * @throws StepFailed `tool_denied`, `tool_unknown` or `tool_unavailable`; nothing was sent
 */
export async function allowedTool(runner: Runner, { tenant, body }: ToolCommand, signal: AbortSignal): Promise<OfferedTool> {
  const server = runner.servers.find(
    (each) =>
      each.tenants.includes(tenant) && each.grants.some(({ tools }) => tools.some((tool) => toolName(each.name, tool) === body.tool)),
  );
  if (server === undefined) throw notRun('tool_denied', `Tool ${body.tool} is not granted to this tenant.`);
  if (runner.pool.tools(server.name) === undefined) (await leaseOf(runner, server, signal)).give();
  const found = runner.offered().get(body.tool);
  if (found === undefined) throw notRun('tool_unknown', `Server ${server.name} has no usable tool of this name now.`);
  // How a repetition is prevented was decided by the effect that the command says.
  if (found.effect !== body.effect)
    throw notRun('tool_denied', `Tool ${body.tool} was granted as ${body.effect} and is ${found.effect} now.`);
  return found;
}

function leaseOf({ pool }: Runner, server: ToolServer, signal: AbortSignal): Promise<Lease> {
  return pool.lease(server.name, signal).catch((error: unknown) => {
    if (error instanceof ServerUnavailable)
      throw notRun('tool_unavailable', error.message, { retryAfterMs: error.retryAfterMs, cause: error });
    throw error;
  });
}

const checks = new WeakMap<object, Check>();

function checkOf(schema: object): Check {
  const known = checks.get(schema);
  if (known !== undefined) return known;
  const check = compileCheck(schema);
  checks.set(schema, check);
  return check;
}

/** The arguments as an object that the tool's schema allows. @throws StepFailed `tool_arguments_invalid` naming the path; the server is not asked */
export function checkedArguments({ tool, name }: OfferedTool, args: unknown): Readonly<Record<string, unknown>> {
  const given = args ?? {};
  if (typeof given !== 'object' || Array.isArray(given)) throw notRun('tool_arguments_invalid', 'The arguments are not a JSON object.');
  const json = JSON.stringify(given);
  if (Buffer.byteLength(json) > LIMITS.toolArgsBytes)
    throw notRun('tool_arguments_invalid', `The arguments are larger than ${LIMITS.toolArgsBytes} bytes.`);
  if (jsonDepth(json) > LIMITS.jsonDepth)
    throw notRun('tool_arguments_invalid', `The arguments are nested deeper than ${LIMITS.jsonDepth} levels.`);
  if (isUnreadable(given, tool.inputSchema)) throw notRun('tool_arguments_invalid', 'The arguments are not a JSON object.');
  let problem: string | undefined;
  try {
    problem = checkOf(tool.inputSchema)(given);
  } catch (error) {
    if (error instanceof SchemaUnusable)
      throw notRun('tool_unavailable', `Tool ${name} cannot be called: ${error.message}.`, { retryable: false, cause: error });
    throw error;
  }
  if (problem !== undefined) throw notRun('tool_arguments_invalid', `${problem}.`);
  return given as Readonly<Record<string, unknown>>;
}

/** `{"_raw": text}` is how the router hands on what a model said instead of a JSON object. */
function isUnreadable(args: object, schema: { readonly properties?: object | undefined }): boolean {
  return Object.keys(args).join() === '_raw' && !Object.hasOwn(schema.properties ?? {}, '_raw');
}

/** Calls the tool, once. @throws StepFailed; `billed: 'no'` only when the call was provably not made */
export async function callTool(
  runner: Runner,
  found: OfferedTool,
  args: Readonly<Record<string, unknown>>,
  command: ToolCommand,
  run: { readonly signal: AbortSignal; readonly traceparent: string },
): Promise<ToolAnswer> {
  const lease = await leaseOf(runner, found.server, run.signal);
  const timeoutMs = Math.min(found.server.timeoutMs ?? Infinity, command.timeoutMs + 1_000);
  try {
    return toAnswer(found, await lease.session.call(found.tool, args, { ...run, timeoutMs }));
  } catch (error) {
    run.signal.throwIfAborted();
    throw failureOf(error, found, lease);
  } finally {
    lease.give();
  }
}

function toAnswer({ tool }: OfferedTool, result: CallToolResult): ToolAnswer {
  const mismatch = result.isError === true ? undefined : outputProblem(tool.outputSchema, result.structuredContent);
  const note = mismatch === undefined ? '' : `\n[the result does not match the tool's output schema: ${mismatch}]`;
  const { text, truncated } = cutText(resultText(result) + note, LIMITS.toolResultBytes);
  return { kind: 'tool', isError: result.isError === true || mismatch !== undefined, truncated, content: { text } };
}

/** A result that breaks the server's own promise is shown as an error; the call happened all the same. */
function outputProblem(schema: object | undefined, value: unknown): string | undefined {
  if (schema === undefined) return undefined;
  if (value === undefined) return 'no structured content';
  try {
    return checkOf(schema)(value);
  } catch (error) {
    if (error instanceof SchemaUnusable) return undefined;
    throw error;
  }
}

function failureOf(error: unknown, { server, tool }: OfferedTool, lease: Lease): StepFailed {
  const what = `${tool.name} of ${server.name}`;
  if (error instanceof ProtocolError)
    return new StepFailed('tool_failed', short(`${what} answered with error ${error.code}: ${error.message}`), {
      billed: 'maybe',
      cause: error,
    });
  if (error instanceof SdkHttpError) return refusedByHttp(error, what, lease);
  if (error instanceof SdkError && error.code === SdkErrorCode.RequestTimeout)
    return new StepFailed('timeout', `${what} did not answer in time.`, { billed: 'maybe', cause: error });
  const neverSent =
    (error instanceof SdkError && error.code === SdkErrorCode.NotConnected) || errorCodes(error).some((code) => NEVER_SENT.has(code));
  lease.broken((error as Error).message);
  return new StepFailed('tool_unavailable', short(`${what}: ${(error as Error).message}`), {
    billed: neverSent ? 'no' : 'maybe',
    cause: error,
  });
}

/** Statuses with which an HTTP server says that it did not even look at the call. */
const NOT_TAKEN: ReadonlySet<number> = new Set([401, 403, 404, 405, 429]);

function refusedByHttp(error: SdkHttpError, what: string, lease: Lease): StepFailed {
  lease.broken(error.message);
  const status = error.status ?? 0;
  return new StepFailed('tool_unavailable', short(`${what}: HTTP ${status}`), {
    billed: NOT_TAKEN.has(status) ? 'no' : 'maybe',
    cause: error,
  });
}

const NEVER_SENT: ReadonlySet<string> = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT']);

function errorCodes(error: unknown): readonly string[] {
  const found: string[] = [];
  for (let each = error, depth = 0; each instanceof Error && depth < 10; each = each.cause, depth++)
    if ('code' in each && typeof each.code === 'string') found.push(each.code);
  return found;
}
