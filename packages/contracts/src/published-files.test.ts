import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { FLOW, TYPES } from './flow.ts';
import { PUBLISH_COMMAND, publishedFiles } from './published-files.ts';
import { EVENTS, jsonSchemaOf, MESSAGES, PUBLISHED } from './published-schemas.ts';

const docs = new URL('../../../docs/', import.meta.url);
const files = publishedFiles();

test.each([...files])('docs/%s is what the code says', (path, text) => {
  const file = new URL(path, docs);
  const committed = existsSync(file) ? readFileSync(file, 'utf8') : 'missing';
  expect(committed === text, `docs/${path} differs from the code. Mend it: ${PUBLISH_COMMAND}`).toBe(true);
});

test('docs/schemas holds nothing else', () => {
  const strays = readdirSync(new URL('schemas/', docs)).filter((name) => !files.has(`schemas/${name}`));
  expect(strays, `left over in docs/schemas. Mend it: ${PUBLISH_COMMAND}`).toEqual([]);
});

test('every message type and every row of the flow table is published', () => {
  const document = files.get('asyncapi.json') ?? '';
  for (const type of [...Object.values(TYPES), ...Object.keys(EVENTS)]) {
    expect(Object.keys(PUBLISHED)).toContain(type);
    expect(document).toContain(`"#/components/messages/${type}"`);
  }
  const { channels } = JSON.parse(document) as { channels: Record<string, { readonly address: string | null }> };
  expect(Object.values(channels).filter(({ address }) => address !== null)).toHaveLength(FLOW.length);
});

test('a published string says whether it is a fact or content', () => {
  expect(jsonSchemaOf('x', MESSAGES[TYPES.taskSubmit])).toMatchObject({
    properties: { task: { type: 'string', 'x-holds': 'content' }, options: { properties: { model: { 'x-holds': 'fact' } } } },
    required: ['task'],
    additionalProperties: false,
  });
});
