import { createHash, randomBytes } from 'node:crypto';
import { base32 } from '@mandate/contracts';
import { GatewayProblem } from '../http/problem.ts';

const CHARACTERS = 26;
const KEY = /^[\x20-\x7e]{1,255}$/;

/** The same key of a tenant is the same request, and so the same workflow. @throws GatewayProblem for a key that is not printable */
export function requestIdOf(tenant: string, idempotencyKey: string | undefined): string {
  if (idempotencyKey === undefined) return randomRequestId();
  if (!KEY.test(idempotencyKey))
    throw new GatewayProblem({
      status: 400,
      code: 'IdempotencyKeyInvalid',
      detail: 'Idempotency-Key must be 1 to 255 printable ASCII characters.',
      next: 'Send a UUID, for example.',
    });
  return `k${base32(createHash('sha256').update(`${tenant}|${idempotencyKey}`).digest()).slice(0, CHARACTERS)}`;
}

export const randomRequestId = (): string => `r${base32(randomBytes(17)).slice(0, CHARACTERS)}`;
