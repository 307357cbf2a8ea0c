import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { grantedEffect, readToolsFile, withoutSecrets } from './tools-file.ts';

const file = (content: unknown): string => {
  const path = join(mkdtempSync(join(tmpdir(), 'tools-')), 'tools.json');
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
};
const files = {
  name: 'files',
  transport: 'stdio',
  command: 'node',
  args: ['server.js'],
  grants: [{ tools: ['read_text_file'], effect: 'read_only' }],
  tenants: ['acme'],
};
const web = {
  name: 'web',
  transport: 'http',
  url: 'https://mcp.example/${PLACE}',
  headers: { authorization: 'Bearer ${WEB_TOKEN}' },
  grants: [],
  tenants: [],
};

test('a right file is read, with what it leaves out filled in', () => {
  const { servers } = readToolsFile(file({ servers: [files] }), {});
  expect(servers).toEqual([{ ...files, env: {}, instances: 1 }]);
});

test('no file, no tools', () => {
  expect(readToolsFile(undefined, {})).toEqual({ servers: [], secrets: [] });
});

test('variables are filled in, and their values are secrets', () => {
  const { servers, secrets } = readToolsFile(file({ servers: [web] }), { PLACE: 'eu1x', WEB_TOKEN: 'sesame-open' });
  expect(servers[0]).toMatchObject({ url: 'https://mcp.example/eu1x', headers: { authorization: 'Bearer sesame-open' } });
  expect(withoutSecrets('refused: Bearer sesame-open at eu1x', secrets)).toBe('refused: Bearer ******** at ********');
});

test.each([
  ['{', 'is not readable JSON'],
  [{ servers: [{ ...files, transport: 'carrier-pigeon' }] }, 'servers.0.transport'],
  [{ servers: [{ ...files, name: 'Files' }] }, 'servers.0.name: must be a lower-case name'],
  [{ servers: [{ ...files, grants: [{ tools: ['x'], effect: 'harmless' }] }] }, 'servers.0.grants.0.effect'],
  [{ servers: [{ ...files, comand: 'x' }] }, 'servers.0: Unrecognized key: "comand"'],
  [{ servers: [files, files] }, 'servers.1.name: "files" is used twice'],
  [{ servers: [{ ...files, tenants: ['ACME'] }] }, 'servers.0.tenants.0: must be a tenant name'],
  [{ servers: [web] }, 'servers.0.headers.authorization: the variable WEB_TOKEN is not set'],
  [{ servers: [{ ...web, url: 'ftp://x', headers: {} }] }, 'servers.0.url: must be an http or https address'],
])('a wrong file is refused with its path: %j', (content, expected) => {
  const path = file(content);
  expect(() => readToolsFile(path, {})).toThrow(expected);
  expect(() => readToolsFile(path, {})).toThrow(path);
});

test('a tool that no grant names has no effect: it does not exist', () => {
  const [server] = readToolsFile(file({ servers: [files] }), {}).servers;
  if (server === undefined) throw new Error('no server');
  expect(grantedEffect(server, 'read_text_file')).toBe('read_only');
  expect(grantedEffect(server, 'write_file')).toBeUndefined();
});
