import { readFileSync } from 'node:fs';
import type { Effect } from '@mandate/domain';
import { z } from 'zod';

/**
 * MANDATE_TOOLS_FILE: the MCP servers, and which of their tools exist for whom. What is not granted does not exist.
 * `${NAME}` in `env`, `args`, `url` and `headers` is replaced by that variable of this process; such values are never logged.
 */
const text = z.string().min(1).max(4_096);
const texts = z.record(z.string().min(1).max(200), z.string().max(16_384));

const grant = z.strictObject({
  tools: z.array(z.string().min(1).max(128)),
  /** What calling them may do to the world. The server's own `readOnlyHint` is only a hint; this decides. */
  effect: z.enum(['read_only', 'idempotent', 'non_idempotent']),
});

const common = {
  /** First half of a tool's name: `<server>__<tool>`. */
  name: z.string().regex(/^[a-z][a-z0-9-]{0,31}$/, 'must be a lower-case name of at most 32 characters'),
  grants: z.array(grant),
  tenants: z.array(z.string().regex(/^[a-z][a-z0-9-]{0,31}$/, 'must be a tenant name')),
  /** A call is given up after this long, or after the command's own time if that is shorter. */
  timeoutMs: z.number().int().min(1).optional(),
  /** Sessions held at most; calls go to the least busy one. */
  instances: z.number().int().min(1).max(64).default(1),
  /** Protocol era. Default: `legacy` over stdio, where probing would start a process more; `auto` over HTTP. */
  protocol: z.enum(['legacy', 'auto', '2026-07-28']).optional(),
};

const server = z.discriminatedUnion('transport', [
  z.strictObject({
    ...common,
    transport: z.literal('stdio'),
    command: text,
    args: z.array(z.string().max(4_096)).default([]),
    env: texts.default({}),
    cwd: text.optional(),
  }),
  z.strictObject({ ...common, transport: z.literal('http'), url: text, headers: texts.default({}) }),
]);
export type ToolServer = z.infer<typeof server>;

const toolsFile = z.strictObject({ servers: z.array(server) }).superRefine(({ servers }, context) => {
  servers.forEach(({ name }, index) => {
    if (servers.findIndex((other) => other.name === name) < index)
      context.addIssue({ code: 'custom', path: ['servers', index, 'name'], message: `"${name}" is used twice` });
  });
});

class ToolsFileInvalid extends Error {
  override readonly name = 'ToolsFileInvalid';
}

/** The configured servers, and the values that must not be seen in a log. */
export interface Tools {
  readonly servers: readonly ToolServer[];
  readonly secrets: readonly string[];
}

/** @throws ToolsFileInvalid naming the file, and the path of every wrong field */
export function readToolsFile(file: string | undefined, env: NodeJS.ProcessEnv): Tools {
  if (file === undefined) return { servers: [], secrets: [] };
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new ToolsFileInvalid(`MANDATE_TOOLS_FILE ${file} is not readable JSON: ${(cause as Error).message}`, { cause });
  }
  const parsed = toolsFile.safeParse(json);
  if (!parsed.success)
    throw invalid(
      file,
      parsed.error.issues.map((issue) => `${issue.path.join('.') || 'file'}: ${issue.message}`),
    );
  return fillIn(file, parsed.data.servers, env);
}

const invalid = (file: string, problems: readonly string[]): ToolsFileInvalid =>
  new ToolsFileInvalid(`MANDATE_TOOLS_FILE ${file} is not right:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);

function fillIn(file: string, servers: readonly ToolServer[], env: NodeJS.ProcessEnv): Tools {
  const problems: string[] = [];
  const secrets = new Set<string>();
  const fill = (value: string, path: string): string =>
    value.replace(/\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g, (_, name: string) => {
      const found = env[name];
      if (found === undefined) problems.push(`${path}: the variable ${name} is not set`);
      else if (found.length >= 4) secrets.add(found);
      return found ?? '';
    });
  const fillAll = (values: Readonly<Record<string, string>>, path: string): Record<string, string> =>
    Object.fromEntries(Object.entries(values).map(([name, value]) => [name, fill(value, `${path}.${name}`)]));
  const filled = servers.map((each, index): ToolServer => {
    const path = `servers.${index}`;
    if (each.transport === 'stdio')
      return { ...each, args: each.args.map((arg, at) => fill(arg, `${path}.args.${at}`)), env: fillAll(each.env, `${path}.env`) };
    const url = fill(each.url, `${path}.url`);
    if (!/^https?:\/\//.test(url) || !URL.canParse(url)) problems.push(`${path}.url: must be an http or https address`);
    return { ...each, url, headers: fillAll(each.headers, `${path}.headers`) };
  });
  if (problems.length > 0) throw invalid(file, problems);
  return { servers: filled, secrets: [...secrets] };
}

/** Replaces secret values by stars, for logs and messages. */
export const withoutSecrets = (words: string, secrets: readonly string[]): string =>
  secrets.reduce((result, secret) => result.replaceAll(secret, '********'), words);

/** What a server's grants say about one of its tools, or undefined: it does not exist. */
export const grantedEffect = (of: ToolServer, tool: string): Effect | undefined =>
  of.grants.find(({ tools }) => tools.includes(tool))?.effect;
