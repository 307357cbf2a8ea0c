import { expect, test } from 'vitest';
import { signCheckpoint } from './checkpoint.ts';
import { checkLogProof, logProofText } from './log-proof.ts';
import { leafHash } from './merkle.ts';
import { inclusionProof, rootOf } from './proofs.ts';
import { makeSigningKey } from './signed-note.ts';

const key = makeSigningKey('mandate/log');
const envelopes = ['{"a":1}', '{"b":2}', '{"c":"так"}'];
const leaves = Buffer.concat(envelopes.map((text) => leafHash(text)));
const note = signCheckpoint({ origin: 'mandate/x/p0', size: 3, root: rootOf(leaves) }, key);
const proof = logProofText(1, inclusionProof(leaves, 3, 1), note);

test('a proof is a text that proves exact bytes', () => {
  expect(proof).toMatch(/^c2sp\.org\/tlog-proof@v1\nindex 1\n(?:[A-Za-z0-9+/]{43}=\n){2}\nmandate\/x\/p0\n3\n/);
  expect(checkLogProof(proof, '{"b":2}', key.verifier)).toMatchObject({ index: 1, origin: 'mandate/x/p0', size: 3 });
});

test.each([
  ['other bytes', proof, '{"b":3}', 'NotIncluded'],
  ['another position', proof.replace('index 1', 'index 2'), '{"b":2}', 'NotIncluded'],
  ['another checkpoint', proof.replace('\n3\n', '\n4\n'), '{"b":2}', 'NoteNotSigned'],
  ['something else', 'hello', '{"b":2}', 'ProofMalformed'],
])('%s is refused', (_, text, bytes, code) => {
  expect(() => checkLogProof(text, bytes, key.verifier)).toThrow(expect.objectContaining({ name: 'ProofRefused', code }));
});
