import { createHash } from 'node:crypto';

/** Longest tool name that every vendor takes. */
const MAX_LENGTH = 64;

/** A tool's name for models: `<server>__<tool>`, of the characters and the length that every vendor takes. */
export function toolName(server: string, tool: string): string {
  const name = `${server}__${tool}`;
  const plain = name.replace(/[^A-Za-z0-9_-]/g, '_');
  if (plain === name && name.length <= MAX_LENGTH) return name;
  // Two tools that differ only in what was replaced or cut must not become one.
  const mark = createHash('sha256').update(name).digest('hex').slice(0, 8);
  return `${plain.slice(0, MAX_LENGTH - mark.length - 1)}_${mark}`;
}
