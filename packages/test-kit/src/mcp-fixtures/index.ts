/** MCP servers for tests: programs to start over stdio, and one that answers HTTP in this process. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export { type HttpMcpServer, startHttpMcpServer } from './http-server.ts';

const program = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** The official file server, as `npm start` installs it. Its argument is the folder that it may show. */
const filesystem = join(program('../../../../infra/local/node_modules'), '@modelcontextprotocol', 'server-filesystem', 'dist', 'index.js');

/** Paths of programs to run with `node`. */
export const mcpPrograms = {
  counter: program('counter-server.ts'),
  garbage: program('garbage-server.ts'),
  marks: program('marks-server.ts'),
  filesystem,
} as const;
