import { createHmac, timingSafeEqual } from 'node:crypto';

/** Header with the HMAC-SHA256 (base64url) of the whole command under the destination's key. */
export const SIGNATURE_HEADER = 'Mandate-Signature';

export const sign = (key: string, body: Uint8Array | string): string => createHmac('sha256', key).update(body).digest('base64url');

/** Constant time. */
export function isSigned(key: string, body: Uint8Array, signature: string | undefined): boolean {
  if (signature === undefined) return false;
  const want = Buffer.from(sign(key, body));
  const got = Buffer.from(signature);
  return want.length === got.length && timingSafeEqual(want, got);
}
