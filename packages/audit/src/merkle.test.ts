import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EMPTY_ROOT, Frontier, HASH_BYTES, HashList, leafHash } from './merkle.ts';
import { consistencyProof, coveredRoot, coveringProof, inclusionProof, provesConsistency, provesInclusion, rootOf } from './proofs.ts';

/** The eight inputs that implementations of RFC 6962 are tested with, and the roots of their first 1 to 8. */
const INPUTS = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'];
const ROOTS = [
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];
const known = Buffer.concat(INPUTS.map((hex) => leafHash(Buffer.from(hex, 'hex'))));
const hexOf = (proof: readonly Buffer[]): string[] => proof.map((node) => node.toString('hex'));
const treeOf = (size: number): Buffer => Buffer.concat(Array.from({ length: size }, (_, i) => leafHash(`event ${i}`)));
const leafIn = (leaves: Buffer, i: number): Buffer => leaves.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES);
const flipped = (node: Buffer): Buffer => Buffer.from(node.map((byte, i) => (i === 7 ? byte ^ 1 : byte)));

describe('the vectors of RFC 6962', () => {
  test('the empty tree is SHA-256 of nothing', () => {
    expect(EMPTY_ROOT.toString('hex')).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
    expect(new Frontier().root()).toEqual(EMPTY_ROOT);
  });

  test.each(ROOTS.map((root, i) => [i + 1, root] as const))('the root of the first %i', (size, root) => {
    expect(rootOf(known, 0, size).toString('hex')).toBe(root);
  });

  test('proofs', () => {
    expect(hexOf(inclusionProof(known, 8, 0))).toEqual([
      '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
    ]);
    expect(hexOf(consistencyProof(known, 6, 8))).toEqual([
      '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a',
      'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    ]);
    expect(hexOf(consistencyProof(known, 2, 5))).toEqual([
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
    ]);
  });
});

test('a list keeps every hash as it was given, however many there are', () => {
  const list = new HashList();
  const given = Array.from({ length: 1_000 }, (_, i) => leafHash(`event ${i}`));
  expect(given.map((each) => list.push(each))).toEqual(given.map((_, i) => i));
  expect([list.length, list.bytes()]).toEqual([1_000, Buffer.concat(given)]);
  const changed = leafHash('another event');
  list.set(700, changed);
  expect([list.at(699), list.at(700), list.at(701)]).toEqual([given[699], changed, given[701]]);
});

test('a frontier goes on from its bytes', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 200 }), fc.integer({ min: 0, max: 200 }), (first, more) => {
      const leaves = treeOf(first + more);
      const begun = new Frontier();
      for (let i = 0; i < first; i++) begun.push(leafIn(leaves, i));
      const resumed = Frontier.of(begun.size, begun.bytes());
      for (let i = first; i < first + more; i++) resumed.push(leafIn(leaves, i));
      expect(resumed.root()).toEqual(rootOf(leaves));
    }),
  );
  expect(() => Frontier.of(3, Buffer.alloc(HASH_BYTES))).toThrow(/3 leaves has 2 peaks/);
});

test('every leaf is proven in every tree, and nothing else is', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 130 }), fc.nat(), fc.nat(), (size, nth, at) => {
      const leaves = treeOf(size);
      const index = nth % size;
      const claim = { index, size, leaf: leafIn(leaves, index), proof: inclusionProof(leaves, size, index), root: rootOf(leaves) };
      expect(provesInclusion(claim)).toBe(true);
      expect(provesInclusion({ ...claim, leaf: leafHash('another') })).toBe(false);
      expect(provesInclusion({ ...claim, index: index + 1 })).toBe(false);
      expect(provesInclusion({ ...claim, proof: [...claim.proof, claim.root] })).toBe(false);
      if (claim.proof.length === 0) return;
      expect(provesInclusion({ ...claim, proof: claim.proof.slice(1) })).toBe(false);
      const wrong = at % claim.proof.length;
      expect(provesInclusion({ ...claim, proof: claim.proof.map((node, i) => (i === wrong ? flipped(node) : node)) })).toBe(false);
    }),
  );
});

test('every tree is proven to continue every smaller one, and no other', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 130 }), fc.nat(), fc.nat(), (size, nth, changed) => {
      const leaves = treeOf(size);
      const from = 1 + (nth % size);
      const proof = consistencyProof(leaves, from, size);
      const claim = { from: { size: from, root: rootOf(leaves, 0, from) }, to: { size, root: rootOf(leaves) }, proof };
      expect(provesConsistency(claim)).toBe(true);
      const rewritten = Buffer.from(leaves);
      leafHash('rewritten').copy(rewritten, (changed % from) * HASH_BYTES);
      const fork = { from: claim.from, to: { size, root: rootOf(rewritten) } };
      expect(provesConsistency({ ...fork, proof: consistencyProof(rewritten, from, size) })).toBe(false);
      expect(provesConsistency({ ...fork, proof })).toBe(false);
      expect(provesConsistency({ ...claim, proof: proof.slice(1) })).toBe(from === size);
    }),
  );
});

test('one proof covers many leaves', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 130 }), fc.uniqueArray(fc.nat(), { minLength: 1, maxLength: 40 }), fc.nat(), (size, some, at) => {
      const leaves = treeOf(size);
      const indexes = [...new Set(some.map((nth) => nth % size))].sort((a, b) => a - b);
      const proof = coveringProof(leaves, size, indexes);
      const mine = Buffer.concat(indexes.map((i) => leafIn(leaves, i)));
      expect(coveredRoot(size, indexes, mine, proof)).toEqual(rootOf(leaves));
      expect(coveredRoot(size, indexes, mine, [...proof, EMPTY_ROOT])).toBeUndefined();
      const altered = Buffer.from(mine);
      altered[at % altered.length] = (altered[at % altered.length] ?? 0) ^ 1;
      expect(coveredRoot(size, indexes, altered, proof)).not.toEqual(rootOf(leaves));
    }),
  );
});

test('what is not in the tree has no proof', () => {
  expect(() => inclusionProof(known, 8, 8)).toThrow(RangeError);
  expect(() => inclusionProof(known, 9, 0)).toThrow(/8 leaves are known/);
  expect(() => consistencyProof(known, 7, 6)).toThrow(RangeError);
});
