import { asyncApi } from './async-api.ts';
import { flowPage } from './flow-page.ts';
import { jsonSchemaOf, PUBLISHED } from './published-schemas.ts';

/** The one command that brings docs/ up to date with the code. */
export const PUBLISH_COMMAND = 'node packages/contracts/src/publish.ts';

/** Everything under docs/ that is printed from code: path below docs/ and text. */
export function publishedFiles(): ReadonlyMap<string, string> {
  return new Map([
    ['flow.md', flowPage()],
    ['asyncapi.json', jsonText(asyncApi())],
    ...Object.entries(PUBLISHED).map(([name, schema]) => [`schemas/${name}.json`, jsonText(jsonSchemaOf(name, schema))] as const),
  ]);
}

const LINE_WIDTH = 140;

/** JSON as the repository's formatter leaves it: lists of plain values on one line where they fit. */
function jsonText(value: unknown): string {
  return `${print(value, '', 0)}\n`;
}

/** `before`: characters on the line that the value begins on. */
function print(value: unknown, indent: string, before: number): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const deeper = `${indent}  `;
  if (Array.isArray(value)) {
    const line = `[${value.map((item) => JSON.stringify(item)).join(', ')}]`;
    const isFlat = value.every((item) => typeof item !== 'object' || item === null);
    if (isFlat && before + line.length < LINE_WIDTH) return line;
    return `[\n${value.map((item) => deeper + print(item, deeper, deeper.length)).join(',\n')}\n${indent}]`;
  }
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  if (entries.length === 0) return '{}';
  const lines = entries.map(([key, item]) => {
    const start = `${deeper}${JSON.stringify(key)}: `;
    return start + print(item, deeper, start.length);
  });
  return `{\n${lines.join(',\n')}\n${indent}}`;
}
