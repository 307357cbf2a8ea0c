/** An MCP server over streamable HTTP, in this process: both protocol eras from one endpoint. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';

export type HttpMcpServer = {
  /** `http://127.0.0.1:<port>/mcp` */
  readonly url: string;
  /** Headers of every request so far. */
  readonly headers: readonly Readonly<Record<string, string | readonly string[] | undefined>>[];
  stop(): Promise<void>;
};

/** Tools: `add` {a, b}; `boom` throws. `token`: requests must bear it. */
export async function startHttpMcpServer(options: { readonly port?: number; readonly token?: string } = {}): Promise<HttpMcpServer> {
  const headers: HttpMcpServer['headers'][number][] = [];
  const node = toNodeHandler(createMcpHandler(adder));
  const server = createServer((request, response) => {
    headers.push(request.headers);
    if (options.token !== undefined && request.headers.authorization !== `Bearer ${options.token}`)
      return void response.writeHead(401).end();
    return void node(request as Parameters<typeof node>[0], response);
  });
  await new Promise<void>((listening, failed) => server.once('error', failed).listen(options.port ?? 0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/mcp`,
    headers,
    stop: () =>
      new Promise((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      }),
  };
}

function adder(): McpServer {
  const server = new McpServer({ name: 'adder', version: '1.0.0' });
  server.registerTool('add', { description: 'Adds two numbers.', inputSchema: z.object({ a: z.number(), b: z.number() }) }, ({ a, b }) => ({
    content: [{ type: 'text', text: String(a + b) }],
  }));
  server.registerTool('boom', { description: 'Throws.', inputSchema: z.object({}) }, () => {
    throw new Error('boom');
  });
  return server;
}
