/**
 * `<home>/tools.json`: the MCP servers that agents may use, and which of their tools. What is not granted does not exist for an agent.
 *
 * It is written at the first start and yours to edit from then on; later starts only keep the folder of the `files` server right.
 */
import { cp, mkdir, rename, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { readIfThere, writePrivateFile } from './private-file.ts';
import { repositoryRoot } from './paths.ts';

type ToolServer = {
  readonly name: string;
  readonly transport: 'stdio';
  readonly command: string;
  readonly args: readonly string[];
  readonly grants: readonly { readonly tools: readonly string[]; readonly effect: 'read_only' }[];
  readonly tenants: readonly string[];
};

const readOnlyTools = [
  'list_allowed_directories',
  'list_directory',
  'list_directory_with_sizes',
  'directory_tree',
  'search_files',
  'get_file_info',
  'read_text_file',
  'read_multiple_files',
] as const;

type ToolsFileOptions = {
  readonly tenants: readonly string[];
  /** Folder that agents may read. */
  readonly files: string;
  /** The file server's program. @default the one that is installed here */
  readonly fileServer?: string;
};

/** Writes the tools file of a data folder, or brings its `files` server up to date, and returns where it is. */
export async function writeToolsFile(home: string, options: ToolsFileOptions): Promise<string> {
  const file = join(home, 'tools.json');
  const stored = await readIfThere(file);
  const servers = stored === undefined ? [filesServer(options)] : parseServers(file, stored);
  const current = servers.map((server) => (server.name === 'files' ? { ...server, args: filesServer(options).args } : server));
  const text = `${JSON.stringify({ servers: current }, undefined, 2)}\n`;
  if (text !== stored) await writePrivateFile(file, text);
  return file;
}

/**
 * What the agents of a first run may read: a fresh copy of this repository's own text, without hidden folders, dependencies and large files.
 *
 * A copy, because the repository's folder also holds the stack's secrets, and the file server knows no exceptions below a folder.
 */
export async function copyOfRepository(home: string): Promise<string> {
  const folder = join(home, 'files');
  const fresh = join(home, 'files.new');
  await rm(fresh, { recursive: true, force: true });
  await mkdir(fresh, { recursive: true });
  for (const entry of ['README.md', 'docs', 'packages', 'services', 'infra', 'test', 'k8s', 'package.json', 'docker-compose.yml']) {
    const from = join(repositoryRoot, entry);
    await cp(from, join(fresh, entry), { recursive: true, filter: isReadable }).catch(ignoreMissing);
  }
  await rm(folder, { recursive: true, force: true });
  await rename(fresh, folder);
  return folder;
}

function filesServer(options: ToolsFileOptions): ToolServer {
  const installed = join(repositoryRoot, 'infra/local/node_modules/@modelcontextprotocol/server-filesystem/dist/index.js');
  return {
    name: 'files',
    transport: 'stdio',
    command: 'node',
    args: [options.fileServer ?? installed, options.files],
    grants: [{ tools: readOnlyTools, effect: 'read_only' }],
    tenants: options.tenants,
  };
}

function parseServers(file: string, text: string): readonly ToolServer[] {
  try {
    return (JSON.parse(text) as { servers: readonly ToolServer[] }).servers;
  } catch (cause) {
    throw new Error(`${file} is not readable JSON. Mend it, or remove it to get a new one.`, { cause });
  }
}

async function isReadable(path: string): Promise<boolean> {
  const name = basename(path);
  if (name === 'node_modules' || name.startsWith('.')) return false;
  return (await stat(path)).size <= 1_000_000;
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}
