import { createHmac } from 'node:crypto';
import type { Held } from './workflow-memory.ts';

/**
 * SHA-256 of somebody's words under the key of their workflow (HMAC): it stands in an event for ever, and once the key is
 * destroyed nobody can try out what the words may have been. 64 hex digits; nothing for a workflow without a key.
 */
export const keyedHash = ({ key }: Pick<Held, 'key'>, what: 'command' | 'body', words: string): string | undefined =>
  key === undefined ? undefined : createHmac('sha256', key.key).update(`${what}/`).update(words).digest('hex');
