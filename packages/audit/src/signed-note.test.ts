import { describe, expect, test } from 'vitest';
import { openCheckpoint, parseCheckpoint, signCheckpoint } from './checkpoint.ts';
import { leafHash } from './merkle.ts';
import { ProofRefused } from './refused.ts';
import { cosignNote, makeSigningKey, openNote, parseSigningKey, parseVerifierKey, signNote } from './signed-note.ts';

/** The example of Go's golang.org/x/mod/sumdb/note, which the format comes from. */
const VERIFIER = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
const SIGNER = 'PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz';
const TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const NOTE = `${TEXT}\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n`;
const peter = parseVerifierKey(VERIFIER);

describe('the example of the format', () => {
  test('its key signs its text to exactly its bytes', () => {
    const key = parseSigningKey(SIGNER);
    expect(key.verifier.text).toBe(VERIFIER);
    expect(key.text).toBe(SIGNER);
    expect(signNote(TEXT, key)).toBe(NOTE);
  });

  test('it is opened with its public key', () => {
    const { text, signatures } = openNote(NOTE, [makeSigningKey('other').verifier, peter]);
    expect(text).toBe(TEXT);
    expect(signatures.map(({ key }) => key.name)).toEqual(['PeterNeumann']);
  });

  test('a changed byte anywhere is refused', () => {
    for (let i = 0; i < NOTE.length; i++) {
      const changed = NOTE.slice(0, i) + (NOTE[i] === 'x' ? 'y' : 'x') + NOTE.slice(i + 1);
      expect(() => openNote(changed, [peter]), `byte ${i}`).toThrow(ProofRefused);
    }
  });
});

test.each([
  ['no signature', TEXT],
  ['an empty signature block', `${TEXT}\n`],
  ['a line that is no signature', `${NOTE}hello\n`],
  ['a signature that is not whole', NOTE.slice(0, -6)],
  ['a hyphen in place of the dash', NOTE.replace('—', '-')],
  ['a control character', NOTE.replace('think', 'th\u0000nk')],
])('a note with %s is refused', (_, note) => {
  expect(() => openNote(note, [peter])).toThrow(expect.objectContaining({ name: 'ProofRefused', code: 'NoteMalformed' }));
});

test('a stranger with the same name is not believed', () => {
  const stranger = makeSigningKey('PeterNeumann');
  expect(() => openNote(signNote(TEXT, stranger), [peter])).toThrow(expect.objectContaining({ code: 'NoteNotSigned' }));
});

test.each([
  ['a damaged id', VERIFIER.replace('c74f20a3', 'c74f20a4')],
  ['a damaged key', VERIFIER.replace('ARpc2', 'ARpc3')],
  ['another algorithm', 'PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW'],
  ['a longer key', 'PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY=='],
  ['no key at all', 'hello'],
])('a public key with %s is refused', (_, text) => {
  expect(() => parseVerifierKey(text)).toThrow(expect.objectContaining({ code: 'KeyMalformed' }));
});

test('a private key is not taken for a public one, nor the other way round', () => {
  expect(() => parseVerifierKey(SIGNER)).toThrow(expect.objectContaining({ code: 'KeyMalformed' }));
  expect(() => parseSigningKey(VERIFIER)).toThrow(expect.objectContaining({ code: 'KeyMalformed' }));
});

test('fresh keys survive being written down', () => {
  for (const signs of ['log', 'witness'] as const) {
    const key = makeSigningKey('example.org/log', signs);
    expect(parseSigningKey(`${key.text}\n`).verifier).toMatchObject({ text: key.verifier.text, signs });
    expect(parseVerifierKey(key.verifier.text).id).toEqual(key.verifier.id);
  }
});

describe('checkpoints', () => {
  const log = makeSigningKey('mandate/log');
  const checkpoint = { origin: 'mandate/x/p3', size: 17, root: leafHash('some') };
  const note = signCheckpoint(checkpoint, log);

  test('say origin, size and root, a line each', () => {
    expect(note).toMatch(/^mandate\/x\/p3\n17\n[A-Za-z0-9+/]{43}=\n\n— mandate\/log [A-Za-z0-9+/]+=*\n$/);
    expect(openCheckpoint(note, [log.verifier])).toMatchObject(checkpoint);
  });

  test('carry what witnesses add, with its time, and the log signature still holds', () => {
    const own = makeSigningKey('witness.example', 'witness');
    const cosigned = cosignNote(note, own, 1_700_000_000);
    expect(openCheckpoint(cosigned, [log.verifier]).signatures).toHaveLength(1);
    expect(openCheckpoint(cosigned, [log.verifier, own.verifier]).signatures[1]).toEqual({ key: own.verifier, time: 1_700_000_000 });
    expect(() => openCheckpoint(cosigned.replace('\n17\n', '\n18\n'), [own.verifier])).toThrow(
      /the signature of witness\.example is wrong/,
    );
  });

  test.each(['mandate\n017\n', 'mandate\n-1\n', 'mandate\n1\nAAAA\n', '\n1\n', `mandate\n1\n${'A'.repeat(42)}B=\n`])(
    '%j is none',
    (text) => {
      expect(() => parseCheckpoint(text)).toThrow(expect.objectContaining({ code: 'CheckpointMalformed' }));
    },
  );
});
