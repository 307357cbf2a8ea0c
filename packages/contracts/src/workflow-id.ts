import { createHash } from 'node:crypto';
import { type AccountId, accountIdOf, partitionOf, partitionOfRequest, workflowIdOf, type WorkflowId } from '@mandate/domain';

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';

/** RFC 4648 base32, lower case, without padding. */
export function base32(bytes: Uint8Array): string {
  let text = '';
  let bits = 0;
  let held = 0;
  for (const byte of bytes) {
    held = (held << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += ALPHABET[(held >>> bits) & 31];
      held &= (1 << bits) - 1;
    }
  }
  return bits === 0 ? text : text + ALPHABET[(held << (5 - bits)) & 31];
}

/** The workflow of a request: whoever knows tenant and request knows its id before it exists. */
export function workflowIdFor(tenant: string, request: string): WorkflowId {
  const digest = createHash('sha256').update(`${tenant}|${request}`).digest();
  return workflowIdOf(partitionOfRequest(tenant, request), base32(digest).slice(0, 26));
}

/** The one account of a tenant. */
export function accountIdFor(tenant: string): AccountId {
  const digest = createHash('sha256').update(`account|${tenant}`).digest();
  return accountIdOf(partitionOfRequest('account', tenant), base32(digest).slice(0, 26));
}

/** Whose owner speaks for the tenant's account. */
export const accountPartition = (tenant: string): number => partitionOf(accountIdFor(tenant)) ?? 0;
