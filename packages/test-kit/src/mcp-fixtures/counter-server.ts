/**
 * An MCP server over stdio whose effects can be counted from outside: `increment` appends one line to COUNTER_FILE. The other
 * tools are the ways in which a server can misbehave.
 */
import { spawn } from 'node:child_process';
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { McpServer } from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import { z } from 'zod';

const file = process.env['COUNTER_FILE'] ?? '';
const lines = (): number => (existsSync(file) ? readFileSync(file, 'utf8').split('\n').length - 1 : 0);
const said = (text: string): { content: { type: 'text'; text: string }[] } => ({ content: [{ type: 'text', text }] });

function counter(): McpServer {
  const server = new McpServer({ name: 'counter', version: '1.0.0' });
  server.registerTool('increment', { description: 'Adds one to the counter.', inputSchema: z.object({}) }, () => {
    appendFileSync(file, `${process.pid}\n`);
    return said(String(lines()));
  });
  server.registerTool('read', { description: 'Reads the counter.', inputSchema: z.object({}), annotations: { readOnlyHint: true } }, () =>
    said(String(lines())),
  );
  server.registerTool(
    'slow',
    { description: 'Answers after a while.', inputSchema: z.object({ ms: z.number().int() }) },
    async ({ ms }, context) => {
      appendFileSync(`${file}.slow`, 'started\n');
      context.mcpReq.signal.addEventListener('abort', () => appendFileSync(`${file}.slow`, 'cancelled\n'));
      await new Promise((done) => setTimeout(done, ms));
      return said('at last');
    },
  );
  server.registerTool('crash', { description: 'Ends the process without an answer.', inputSchema: z.object({}) }, () => process.exit(3));
  server.registerTool('environment', { description: 'Lists the names of its environment variables.', inputSchema: z.object({}) }, () =>
    said(Object.keys(process.env).sort().join(' ')),
  );
  server.registerTool(
    'talk',
    { description: 'Says as many bytes as asked.', inputSchema: z.object({ bytes: z.number().int() }) },
    ({ bytes }) => said('é'.repeat(bytes / 2)),
  );
  server.registerTool('fail', { description: 'Answers with an error.', inputSchema: z.object({}) }, () => ({
    ...said('the shelf is empty'),
    isError: true,
  }));
  server.registerTool('picture', { description: 'Answers with more than text.', inputSchema: z.object({}) }, () => ({
    content: [
      { type: 'text', text: 'see' },
      { type: 'image', data: 'AAAA', mimeType: 'image/png' },
      { type: 'resource_link', uri: 'file:///a.txt', name: 'a' },
      { type: 'resource', resource: { uri: 'file:///b.txt', text: 'inside b' } },
    ],
  }));
  server.registerTool('child', { description: 'Starts a process that ignores the end of its parent.', inputSchema: z.object({}) }, () => {
    const child = spawn(process.execPath, ['-e', 'process.on("SIGTERM",()=>{});setInterval(()=>{},1e6)'], { stdio: 'ignore' });
    return said(String(child.pid));
  });
  server.registerTool('learn', { description: 'Gets one more tool, "learned".', inputSchema: z.object({}) }, () => {
    server.registerTool('learned', { description: 'New.', inputSchema: z.object({}) }, () => said('new'));
    return said('ok');
  });
  return server;
}

void serveStdio(counter);
