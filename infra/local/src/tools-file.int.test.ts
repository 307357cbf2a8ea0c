import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { mkdir, readFile, realpath, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { testFolder } from './test-folder.ts';
import { copyOfRepository, writeToolsFile } from './tools-file.ts';

type ToolsFile = { servers: { name: string; args: string[]; command: string; grants: { tools: string[] }[] }[] };

async function filesServerOf(file: string): Promise<ToolsFile['servers'][number]> {
  const { servers } = JSON.parse(await readFile(file, 'utf8')) as ToolsFile;
  const [server] = servers;
  if (!server) throw new Error('the tools file has no server');
  return server;
}

test('the granted tools are those of the real server that only read', async () => {
  const home = await testFolder();
  const files = join(home, 'files');
  await mkdir(files);
  await writeFile(join(files, 'note.md'), 'hello');
  const server = await filesServerOf(await writeToolsFile(home, { tenants: ['acme'], files }));
  const client = new Client({ name: 'test', version: '1' });
  await client.connect(new StdioClientTransport({ command: process.execPath, args: server.args, stderr: 'ignore' }));
  onTestFinished(() => client.close());
  const { tools } = await client.listTools();
  const readOnly = new Set(tools.filter((tool) => tool.annotations?.readOnlyHint === true).map((tool) => tool.name));
  const granted = server.grants.flatMap((grant) => grant.tools);
  expect(granted.length).toBeGreaterThan(5);
  expect(granted.filter((tool) => !readOnly.has(tool))).toEqual([]);
  const answer = await client.callTool({ name: 'read_text_file', arguments: { path: 'note.md' } });
  expect(JSON.stringify(answer)).toContain('hello');
});

test('what the operator wrote stays; only the folder of the files server follows', async () => {
  const home = await testFolder();
  const file = await writeToolsFile(home, { tenants: ['acme'], files: '/first' });
  const edited = (await readFile(file, 'utf8')).replace('"read_text_file",', '');
  await writeFile(file, edited);
  const server = await filesServerOf(await writeToolsFile(home, { tenants: ['acme'], files: '/second' }));
  expect(server.args.at(-1)).toBe('/second');
  expect(server.grants[0]?.tools).not.toContain('read_text_file');
});

test('the copy of the repository holds its text, and neither secrets nor dependencies', async () => {
  const home = await testFolder();
  const folder = await realpath(await copyOfRepository(home));
  expect(await readFile(join(folder, 'infra/local/src/tools-file.ts'), 'utf8')).toContain('copyOfRepository');
  for (const absent of ['.mandate', '.git', 'node_modules', 'infra/local/node_modules']) {
    await expect(readFile(join(folder, absent))).rejects.toThrow('ENOENT');
  }
});
