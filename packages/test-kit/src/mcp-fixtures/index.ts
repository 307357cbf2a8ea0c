/** MCP servers for tests: programs to start over stdio, and one that answers HTTP in this process. */
import { fileURLToPath } from 'node:url';

export { type HttpMcpServer, startHttpMcpServer } from './http-server.ts';

const program = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** Paths of programs to run with `node`. */
export const mcpPrograms = { counter: program('counter-server.ts'), garbage: program('garbage-server.ts') } as const;
