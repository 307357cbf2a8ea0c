/** Merkle trees of RFC 6962, section 2: leaf i of a partition's tree is the event at position i. */
import { hash } from 'node:crypto';

export const HASH_BYTES = 32;
const LEAF = Buffer.of(0);
const NODE = Buffer.of(1);

/** By way of a string it takes half as long: Node gives a digest that it returns as a Buffer memory of its own. */
export const sha256 = (data: Uint8Array | string): Buffer => Buffer.from(hash('sha256', data, 'binary'), 'latin1');

/** Root of the tree without leaves. */
export const EMPTY_ROOT: Buffer = sha256('');

/** SHA-256 over 0x00 and the data; of an event: the exact bytes of its envelope. */
export const leafHash = (data: Uint8Array | string): Buffer =>
  sha256(Buffer.concat([LEAF, typeof data === 'string' ? Buffer.from(data) : data]));

/** SHA-256 over 0x01 and both children. */
export const nodeHash = (left: Uint8Array, right: Uint8Array): Buffer => sha256(Buffer.concat([NODE, left, right]));

/** Hashes one after the other in 32 bytes each; a Buffer for each of them would take eight times as much. */
export class HashList {
  #room = Buffer.alloc(64 * HASH_BYTES);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** All of them; no copy. */
  bytes(): Buffer {
    return this.#room.subarray(0, this.#length * HASH_BYTES);
  }

  /** No copy: it is what `set` makes of it. @param index of one that is there */
  at(index: number): Buffer {
    return this.#room.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES);
  }

  /** @returns its index */
  push(added: Uint8Array): number {
    if ((this.#length + 1) * HASH_BYTES > this.#room.length) this.#room = Buffer.concat([this.#room, Buffer.alloc(this.#room.length)]);
    this.#room.set(added, this.#length * HASH_BYTES);
    return this.#length++;
  }

  /** @param index of one that is there */
  set(index: number, changed: Uint8Array): void {
    this.#room.set(changed, index * HASH_BYTES);
  }
}

/** The largest power of two that is smaller than `size`: where a tree of two leaves or more divides. */
export function splitOf(size: number): number {
  let left = 1;
  while (left * 2 < size) left *= 2;
  return left;
}

/** A tree that only grows: the roots of its complete subtrees, about log2(size) hashes, the largest first. */
export class Frontier {
  #size = 0;
  readonly #peaks: Buffer[] = [];

  /** The frontier that `bytes()` described. @throws when the bytes do not fit the size */
  static of(size: number, bytes: Uint8Array): Frontier {
    let peaks = 0;
    for (let n = size; n > 0; n = Math.floor(n / 2)) peaks += n % 2;
    if (bytes.length !== peaks * HASH_BYTES)
      throw new RangeError(`a tree of ${size} leaves has ${peaks} peaks; these are ${bytes.length} bytes`);
    const frontier = new Frontier();
    frontier.#size = size;
    for (let i = 0; i < peaks; i++) frontier.#peaks.push(Buffer.from(bytes.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES)));
    return frontier;
  }

  get size(): number {
    return this.#size;
  }

  push(leaf: Buffer): void {
    let node = leaf;
    for (let n = this.#size; n % 2 === 1; n = Math.floor(n / 2)) node = nodeHash(this.#peaks.pop() ?? EMPTY_ROOT, node);
    this.#peaks.push(node);
    this.#size++;
  }

  root(): Buffer {
    return this.#peaks.length === 0 ? EMPTY_ROOT : this.#peaks.reduceRight((right, left) => nodeHash(left, right));
  }

  bytes(): Buffer {
    return Buffer.concat(this.#peaks);
  }
}
