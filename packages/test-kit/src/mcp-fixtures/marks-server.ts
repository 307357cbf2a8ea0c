/**
 * An MCP server over stdio that must not be called twice for one thing: `put` appends the name that it is given as a line to
 * MARKS_FILE, so that every single effect can be told from every other one, from outside. It works for `ms` before that and
 * for as long after it.
 */
import { appendFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { McpServer } from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import { z } from 'zod';

const file = process.env['MARKS_FILE'] ?? '';

void serveStdio(() => {
  const server = new McpServer({ name: 'marks', version: '1.0.0' });
  const inputSchema = z.object({ name: z.string(), ms: z.number().int().default(0) });
  server.registerTool('put', { description: 'Writes a name down.', inputSchema }, async ({ name, ms }) => {
    await wait(ms);
    appendFileSync(file, `${name}\n`);
    await wait(ms);
    return { content: [{ type: 'text', text: 'written' }] };
  });
  return server;
});
