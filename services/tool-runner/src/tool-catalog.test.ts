import type { Tool } from '@modelcontextprotocol/client';
import { expect, test } from 'vitest';
import { catalogOf, offeredTools } from './tool-catalog.ts';
import { toolName } from './tool-name.ts';
import type { ToolServer } from './tools-file.ts';

const server = (name: string, tools: readonly string[], tenants: readonly string[] = ['acme']): ToolServer => ({
  name,
  transport: 'stdio',
  command: 'x',
  args: [],
  env: {},
  grants: [{ tools: [...tools], effect: 'read_only' }],
  tenants: [...tenants],
  instances: 1,
});
const tool = (name: string, more: Partial<Tool> = {}): Tool => ({ name, description: name, inputSchema: { type: 'object' }, ...more });
const quiet = (): void => undefined;
const names = (servers: readonly ToolServer[], tools: Readonly<Record<string, readonly Tool[]>>): string[] => [
  ...offeredTools(servers, (name) => tools[name], quiet).keys(),
];

test('only granted tools exist, whatever the server says about them', () => {
  const harmless = tool('write', { annotations: { readOnlyHint: true } });
  expect(names([server('files', ['read'])], { files: [tool('read'), harmless] })).toEqual(['files__read']);
});

test('two servers may have a tool of the same name', () => {
  expect(names([server('b', ['read']), server('a', ['read'])], { a: [tool('read')], b: [tool('read')] })).toEqual(['a__read', 'b__read']);
});

test('a server that is not there is left out', () => {
  expect(names([server('a', ['read']), server('b', ['read'])], { b: [tool('read')] })).toEqual(['b__read']);
});

test('a tool with a schema that nobody should compile is left out, and that is said', () => {
  const problems: string[] = [];
  const tools = [tool('read', { inputSchema: { type: 'object', properties: { a: { $ref: 'http://elsewhere' } } } })];
  expect(
    offeredTools(
      [server('a', ['read'])],
      () => tools,
      (problem) => problems.push(problem),
    ).size,
  ).toBe(0);
  expect(problems[0]).toContain('tool read of a is left out');
});

test('descriptions are cut, and the hash is that of the JSON others will see', () => {
  const offered = offeredTools([server('a', ['read'])], () => [tool('read', { description: 'é'.repeat(5_000) })], quiet);
  const { catalog, hash } = catalogOf(offered, quiet);
  expect(catalog.tools).toEqual([
    { name: 'a__read', description: 'é'.repeat(2_000), inputSchema: { type: 'object' }, effect: 'read_only', tenants: ['acme'] },
  ]);
  expect(hash).toMatch(/^[0-9a-f]{64}$/);
  expect(catalogOf(offered, quiet).hash).toBe(hash);
});

test('a catalogue fits into one message', () => {
  const problems: string[] = [];
  const many = Array.from({ length: 600 }, (_, i) => tool(`t${i}`, { description: 'x'.repeat(2_000) }));
  const offered = offeredTools(
    [
      server(
        'a',
        many.map(({ name }) => name),
      ),
    ],
    () => many,
    quiet,
  );
  const { catalog } = catalogOf(offered, (problem) => problems.push(problem));
  expect(JSON.stringify(catalog).length).toBeLessThan(1_000_000);
  expect(problems.length).toBe(600 - catalog.tools.length);
});

test('names have the characters and the length that every vendor takes, and stay distinct', () => {
  expect(toolName('files', 'read_text_file')).toBe('files__read_text_file');
  expect(toolName('a', 'x.y')).toMatch(/^a__x_y_[0-9a-f]{8}$/);
  expect(toolName('a', 'x.y')).not.toBe(toolName('a', 'x/y'));
  expect(toolName('a', 'y'.repeat(100))).toHaveLength(64);
});
