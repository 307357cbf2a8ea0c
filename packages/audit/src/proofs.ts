/**
 * Inclusion and consistency proofs of RFC 6962, section 2.1 (checked as RFC 9162, sections 2.1.3.2 and 2.1.4.2, says), and
 * one proof for many leaves at once.
 *
 * Leaves are given as their hashes, one after the other.
 */
import { Frontier, HASH_BYTES, nodeHash, splitOf } from './merkle.ts';

const leafAt = (leaves: Buffer, index: number): Buffer => leaves.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES);

/** Root over the leaves from `from` up to, not including, `to`. */
export function rootOf(leaves: Buffer, from = 0, to: number = leaves.length / HASH_BYTES): Buffer {
  const frontier = new Frontier();
  for (let i = from; i < to; i++) frontier.push(leafAt(leaves, i));
  return frontier.root();
}

/** The audit path of a leaf in the tree of the first `size` leaves: siblings from the leaf up. @throws RangeError */
export function inclusionProof(leaves: Buffer, size: number, index: number): readonly Buffer[] {
  refuseBeyond(leaves, size);
  if (!(index >= 0 && index < size)) throw new RangeError(`a tree of ${size} leaves has no leaf ${index}`);
  const path: Buffer[] = [];
  let from = 0;
  let to = size;
  while (to - from > 1) {
    const middle = from + splitOf(to - from);
    if (index < middle) {
      path.push(rootOf(leaves, middle, to));
      to = middle;
    } else {
      path.push(rootOf(leaves, from, middle));
      from = middle;
    }
  }
  return path.reverse();
}

export function provesInclusion(claim: {
  readonly index: number;
  readonly size: number;
  readonly leaf: Buffer;
  readonly proof: readonly Buffer[];
  readonly root: Buffer;
}): boolean {
  if (!(claim.index >= 0 && claim.index < claim.size)) return false;
  let index = claim.index;
  let last = claim.size - 1;
  let node = claim.leaf;
  for (const sibling of claim.proof) {
    if (last === 0) return false;
    if (index % 2 === 1 || index === last) {
      node = nodeHash(sibling, node);
      while (index % 2 === 0 && index !== 0) [index, last] = [index / 2, Math.floor(last / 2)];
    } else {
      node = nodeHash(node, sibling);
    }
    [index, last] = [Math.floor(index / 2), Math.floor(last / 2)];
  }
  return last === 0 && node.equals(claim.root);
}

/** That the tree of the first `to` leaves continues the one of the first `from`. @throws RangeError */
export function consistencyProof(leaves: Buffer, from: number, to: number): readonly Buffer[] {
  refuseBeyond(leaves, to);
  if (!(from >= 0 && from <= to)) throw new RangeError(`a tree of ${to} leaves does not continue one of ${from}`);
  if (from === 0 || from === to) return [];
  const proof: Buffer[] = [];
  let start = 0;
  let end = to;
  let whole = true;
  while (from !== end) {
    const middle = start + splitOf(end - start);
    if (from <= middle) {
      proof.push(rootOf(leaves, middle, end));
      end = middle;
    } else {
      proof.push(rootOf(leaves, start, middle));
      start = middle;
      whole = false;
    }
  }
  if (!whole) proof.push(rootOf(leaves, start, end));
  return proof.reverse();
}

export function provesConsistency(claim: {
  readonly from: { readonly size: number; readonly root: Buffer };
  readonly to: { readonly size: number; readonly root: Buffer };
  readonly proof: readonly Buffer[];
}): boolean {
  const { from, to, proof } = claim;
  if (from.size > to.size || from.size < 0) return false;
  if (from.size === to.size) return proof.length === 0 && from.root.equals(to.root);
  if (from.size === 0) return proof.length === 0;
  let index = from.size - 1;
  let last = to.size - 1;
  while (index % 2 === 1) [index, last] = [Math.floor(index / 2), Math.floor(last / 2)];
  // A complete first tree is a node of the second one, and its root is known already.
  const [seed, ...rest] = index === 0 ? [from.root, ...proof] : proof;
  if (seed === undefined) return false;
  let older = seed;
  let newer = seed;
  for (const node of rest) {
    if (last === 0) return false;
    if (index % 2 === 1 || index === last) {
      older = nodeHash(node, older);
      newer = nodeHash(node, newer);
      while (index % 2 === 0 && index !== 0) [index, last] = [index / 2, Math.floor(last / 2)];
    } else {
      newer = nodeHash(newer, node);
    }
    [index, last] = [Math.floor(index / 2), Math.floor(last / 2)];
  }
  return last === 0 && older.equals(from.root) && newer.equals(to.root);
}

/**
 * One proof for many leaves: going through the tree from left to right, the root of every largest subtree that holds none
 * of them. For one leaf these are the hashes of its audit path, in another order.
 *
 * @param indexes ascending
 */
export function coveringProof(leaves: Buffer, size: number, indexes: readonly number[]): readonly Buffer[] {
  refuseBeyond(leaves, size);
  const proof: Buffer[] = [];
  walk(size, indexes, {
    apart: (from, to) => void proof.push(rootOf(leaves, from, to)),
    leaf: () => undefined,
    join: () => undefined,
  });
  return proof;
}

/** The root that a covering proof leads to from these leaves, or undefined when it is too short or too long. */
export function coveredRoot(size: number, indexes: readonly number[], leaves: Buffer, proof: readonly Buffer[]): Buffer | undefined {
  let used = 0;
  const root = walk<Buffer | undefined>(size, indexes, {
    apart: () => proof[used++],
    leaf: (nth) => leafAt(leaves, nth),
    join: (left, right) => (left === undefined || right === undefined ? undefined : nodeHash(left, right)),
  });
  return used === proof.length ? root : undefined;
}

function walk<Node>(
  size: number,
  indexes: readonly number[],
  visit: { apart(from: number, to: number): Node; leaf(nth: number): Node; join(left: Node, right: Node): Node },
): Node {
  let nth = 0;
  const node = (from: number, to: number): Node => {
    const next = indexes[nth];
    if (next === undefined || next >= to) return visit.apart(from, to);
    if (to - from === 1) return visit.leaf(nth++);
    const middle = from + splitOf(to - from);
    const left = node(from, middle);
    return visit.join(left, node(middle, to));
  };
  return node(0, size);
}

function refuseBeyond(leaves: Buffer, size: number): void {
  if (size * HASH_BYTES > leaves.length) throw new RangeError(`${leaves.length / HASH_BYTES} leaves are known; the tree has ${size}`);
}
