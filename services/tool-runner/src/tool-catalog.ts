import { createHash } from 'node:crypto';
import { type ToolCatalog, toolCatalog } from '@mandate/contracts';
import type { Effect } from '@mandate/domain';
import type { Tool } from '@modelcontextprotocol/client';
import { refuseUnboundedSchema } from './schema/argument-check.ts';
import { toolName } from './tool-name.ts';
import { grantedEffect, type ToolServer } from './tools-file.ts';

/** A tool that exists for somebody: granted, and offered by a server that is there. */
export interface OfferedTool {
  /** As models and mandates call it. */
  readonly name: string;
  readonly server: ToolServer;
  readonly effect: Effect;
  readonly tool: Tool;
}

const MAX_DESCRIPTION_CHARACTERS = 2_000;
/** The catalogue is one message on the bus. */
const MAX_CATALOG_BYTES = 900 * 1024;

/** Granted tools of the servers that are available, by name. Default deny: what no grant names is not there. */
export function offeredTools(
  servers: readonly ToolServer[],
  toolsOf: (server: string) => readonly Tool[] | undefined,
  onProblem: (problem: string) => void,
): ReadonlyMap<string, OfferedTool> {
  const offered = servers.flatMap((server) =>
    (toolsOf(server.name) ?? []).flatMap((tool): OfferedTool[] => {
      const effect = grantedEffect(server, tool.name);
      if (effect === undefined) return [];
      try {
        refuseUnboundedSchema(tool.inputSchema);
        return [{ name: toolName(server.name, tool.name), server, effect, tool }];
      } catch (error) {
        onProblem(`tool ${tool.name} of ${server.name} is left out: ${(error as Error).message}`);
        return [];
      }
    }),
  );
  return new Map(offered.sort((a, b) => (a.name < b.name ? -1 : 1)).map((each) => [each.name, each]));
}

/** The catalogue as others may see it. Parsed by its own schema, so that its JSON has one form and one hash. */
export function catalogOf(
  offered: ReadonlyMap<string, OfferedTool>,
  onProblem: (problem: string) => void,
): { readonly catalog: ToolCatalog; readonly hash: string } {
  const tools = [...offered.values()].map(({ name, server, effect, tool }) => ({
    name,
    description: (tool.description ?? tool.title ?? '').toWellFormed().slice(0, MAX_DESCRIPTION_CHARACTERS).toWellFormed(),
    inputSchema: tool.inputSchema as unknown,
    effect,
    tenants: server.tenants,
  }));
  while (Buffer.byteLength(JSON.stringify(tools)) > MAX_CATALOG_BYTES)
    onProblem(`the catalogue is too large for one message: ${tools.pop()?.name} is left out`);
  const catalog = toolCatalog.parse({ tools });
  return { catalog, hash: createHash('sha256').update(JSON.stringify(catalog)).digest('hex') };
}
