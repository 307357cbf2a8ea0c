import { createCipheriv, createDecipheriv, hash, randomFillSync } from 'node:crypto';

/**
 * AES-256-GCM: nonce (12) ‖ tag (16) ‖ ciphertext. `about` is authenticated with it, so a row cannot be moved to
 * another event.
 */
export function seal(key: Buffer, about: string, plain: Buffer): Buffer {
  const nonce = freshNonce();
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(about));
  const sealed = cipher.update(plain);
  cipher.final();
  return Buffer.concat([nonce, cipher.getAuthTag(), sealed]);
}

/** @throws when the key is another one, or a single bit was changed */
export function unseal(key: Buffer, about: string, sealed: Buffer): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, 12))
    .setAAD(Buffer.from(about))
    .setAuthTag(sealed.subarray(12, 28));
  return Buffer.concat([decipher.update(sealed.subarray(28)), decipher.final()]);
}

/** Random bytes are drawn many at a time: a draw of 12 costs as much as one of 4,096. */
const drawn = Buffer.alloc(4_096);
let used = drawn.length;

function freshNonce(): Buffer {
  if (used + 12 > drawn.length) {
    randomFillSync(drawn);
    used = 0;
  }
  used += 12;
  return Buffer.from(drawn.subarray(used - 12, used));
}

export const sha256Hex = (bytes: Buffer | string): string => hash('sha256', bytes, 'hex');

/** The next link of a stream's hash chain: SHA-256 over the link before it and the exact bytes of the envelope. */
export const chain = (head: Buffer, envelope: string): Buffer => hash('sha256', Buffer.concat([head, Buffer.from(envelope)]), 'buffer');
