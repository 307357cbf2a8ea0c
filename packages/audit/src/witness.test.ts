import { expect, test } from 'vitest';
import { openCheckpoint, signCheckpoint } from './checkpoint.ts';
import { HASH_BYTES, leafHash } from './merkle.ts';
import { consistencyProof, rootOf } from './proofs.ts';
import { cosignNote, makeSigningKey } from './signed-note.ts';
import { parseWitnessRequest, witness, type Witnessed, witnessRequestText } from './witness.ts';

const log = makeSigningKey('mandate/log');
const own = makeSigningKey('witness.example', 'witness');
const keys = { log: log.verifier, own };
const treeOf = (size: number, seed = ''): Buffer => Buffer.concat(Array.from({ length: size }, (_, i) => leafHash(`${seed}${i}`)));
const tree = treeOf(20);

function request(leaves: Buffer, old: number, size: number, origin = 'mandate/x/p0'): string {
  const note = signCheckpoint({ origin, size, root: rootOf(leaves, 0, size) }, log);
  return witnessRequestText({ old, proof: old === 0 ? [] : consistencyProof(leaves, old, size), note });
}
const ask = (text: string, known: Witnessed): ReturnType<typeof witness> => witness(parseWitnessRequest(text), known, keys, 1_700_000_000);
const refused = (code: string): unknown => expect.objectContaining({ name: 'ProofRefused', code });

test('a growing log is co-signed, step by step', () => {
  const first = ask(request(tree, 0, 7), {});
  const second = ask(request(tree, 7, 20), first.witnessed);
  expect(openCheckpoint(second.note, [log.verifier, own.verifier])).toMatchObject({ size: 20, signatures: [{}, { time: 1_700_000_000 }] });
  expect(second.witnessed['mandate/x/p0']).toMatchObject({ size: 20 });
  expect(ask(request(tree, 20, 20), second.witnessed).witnessed['mandate/x/p0']?.size).toBe(20);
});

test('a checkpoint alone will do for a tree that was not seen before', () => {
  const note = signCheckpoint({ origin: 'mandate/x/p1', size: 7, root: rootOf(tree, 0, 7) }, log);
  expect(ask(note, {}).note).toBe(cosignNote(note, own, 1_700_000_000));
});

test('a forked log is refused, with a proof of its own, with the proof of the right one, and without any', () => {
  const { witnessed } = ask(request(tree, 0, 7), {});
  const fork = Buffer.concat([treeOf(5), leafHash('forged'), treeOf(20).subarray(6 * HASH_BYTES)]);
  expect(() => ask(request(fork, 7, 20), witnessed)).toThrow(refused('LogForked'));
  const proof = consistencyProof(tree, 7, 20);
  const note = signCheckpoint({ origin: 'mandate/x/p0', size: 20, root: rootOf(fork) }, log);
  expect(() => ask(witnessRequestText({ old: 7, proof, note }), witnessed)).toThrow(refused('LogForked'));
  expect(() => ask(witnessRequestText({ old: 7, proof: [], note }), witnessed)).toThrow(refused('LogForked'));
  expect(() => ask(request(fork, 7, 7), witnessed)).toThrow(refused('LogForked'));
});

test('an older checkpoint and a proof from elsewhere are told apart from a fork', () => {
  const { witnessed } = ask(request(tree, 0, 7), {});
  expect(() => ask(request(tree, 0, 5), witnessed)).toThrow(refused('CheckpointOlder'));
  expect(() => ask(request(tree, 5, 20), witnessed)).toThrow(refused('StaleProof'));
  expect(() => ask(request(tree, 0, 20), witnessed)).toThrow(refused('StaleProof'));
});

test('what the log did not sign is not looked at', () => {
  const stranger = signCheckpoint({ origin: 'mandate/x/p0', size: 7, root: rootOf(tree, 0, 7) }, makeSigningKey('mandate/log'));
  expect(() => ask(stranger, {})).toThrow(refused('NoteNotSigned'));
  expect(() => ask('old 07\n\n', {})).toThrow(refused('RequestMalformed'));
  expect(() => ask('old 7\nAAAA\n\nnote', {})).toThrow(refused('RequestMalformed'));
});
