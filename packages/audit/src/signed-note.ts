/**
 * Signed notes with Ed25519 (c2sp.org/signed-note, and c2sp.org/tlog-cosignature v1 for witnesses): a text, an empty line,
 * and signatures. Keys are text too, as Go's golang.org/x/mod/sumdb/note writes them.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, hash, type KeyObject, sign, verify } from 'node:crypto';
import { ProofRefused } from './refused.ts';

/** Ed25519 over the text: how a log signs. */
const LOG = 1;
/** Ed25519 over the time and the text: how a witness co-signs. */
const WITNESS = 4;
type Algorithm = typeof LOG | typeof WITNESS;

export interface VerifierKey {
  readonly name: string;
  /** First four bytes of SHA-256(name ‖ "\n" ‖ algorithm ‖ public key). */
  readonly id: Buffer;
  readonly signs: 'log' | 'witness';
  readonly publicKey: KeyObject;
  /** `<name>+<id>+<base64>`: what others are given. */
  readonly text: string;
}

export interface SigningKey {
  readonly verifier: VerifierKey;
  readonly privateKey: KeyObject;
  /** `PRIVATE+KEY+<name>+<id>+<base64>` */
  readonly text: string;
}

export interface OpenedNote {
  /** With its final newline. */
  readonly text: string;
  /** The keys whose signatures are right, with the time (epoch s) that a witness signed. */
  readonly signatures: readonly { readonly key: VerifierKey; readonly time?: number }[];
}

/** A verifier must accept 16 signatures; more than this are refused. */
const MOST_SIGNATURES = 100;
const PKCS8_ED25519 = Buffer.from('302e020100300506032b657004220420', 'hex');
const PRIVATE = 'PRIVATE+KEY+';
// eslint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u0009\u000b-\u001f]/;

/** A fresh key. @param name unique for its owner, best a URL without scheme; no space, no "+" */
export function makeSigningKey(name: string, signs: VerifierKey['signs'] = 'log'): SigningKey {
  const { privateKey } = generateKeyPairSync('ed25519');
  return signingKey(name, signs === 'log' ? LOG : WITNESS, privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(-32));
}

/** @throws ProofRefused */
export function parseSigningKey(text: string): SigningKey {
  const line = text.trim();
  const { name, id, algorithm, bytes } = keyParts(
    line.startsWith(PRIVATE) ? line.slice(PRIVATE.length) : '',
    'a signing key (PRIVATE+KEY+…)',
  );
  const key = signingKey(name, algorithm, bytes);
  if (!key.verifier.id.equals(id)) throw new ProofRefused('KeyMalformed', `the key of ${name} does not give its key id: it was damaged`);
  return key;
}

/** @throws ProofRefused */
export function parseVerifierKey(text: string): VerifierKey {
  const { name, id, algorithm, bytes } = keyParts(text.trim(), 'a public key (<name>+<id>+<base64>)');
  const key = verifierKey(name, algorithm, bytes);
  if (!key.id.equals(id)) throw new ProofRefused('KeyMalformed', `the key of ${name} does not give its key id: it was damaged`);
  return key;
}

/** The text with the signature of a log. Ed25519 is deterministic: the same text and key give the same note. */
export function signNote(text: string, key: SigningKey): string {
  refuseText(text);
  return `${text}\n${signatureLine(key.verifier, sign(undefined, Buffer.from(text), key.privateKey))}`;
}

/** The note with the signature of a witness added, which says that it saw this text at this time (epoch s). */
export function cosignNote(note: string, key: SigningKey, time: number): string {
  const stamp = Buffer.alloc(8);
  stamp.writeBigUInt64BE(BigInt(time));
  const signature = sign(undefined, cosigned(textOf(note), time), key.privateKey);
  return note + signatureLine(key.verifier, Buffer.concat([stamp, signature]));
}

/**
 * Checks a note. Signatures of unknown keys are ignored.
 * @throws ProofRefused when no known key signed it, or the signature of a known key is wrong
 */
export function openNote(note: string, keys: readonly VerifierKey[]): OpenedNote {
  const text = textOf(note);
  const signatures = signatureLines(note.slice(text.length + 1)).flatMap(({ name, id, signature }) => {
    const key = keys.find((each) => each.name === name && each.id.equals(id));
    return key === undefined ? [] : [checked(key, text, signature)];
  });
  if (signatures.length === 0)
    throw new ProofRefused('NoteNotSigned', `not signed by ${keys.map((key) => key.text).join(' or ')}: is it the key of this log?`);
  return { text, signatures };
}

function checked(key: VerifierKey, text: string, signature: Buffer): OpenedNote['signatures'][number] {
  const time = key.signs === 'witness' && signature.length >= 8 ? Number(signature.readBigUInt64BE()) : undefined;
  const isRight =
    time === undefined
      ? key.signs === 'log' && verify(undefined, Buffer.from(text), key.publicKey, signature)
      : verify(undefined, cosigned(text, time), key.publicKey, signature.subarray(8));
  if (!isRight) throw new ProofRefused('NoteNotSigned', `the signature of ${key.name} is wrong: the note or the signature was altered`);
  return { key, ...(time === undefined ? {} : { time }) };
}

const cosigned = (text: string, time: number): Buffer => Buffer.from(`cosignature/v1\ntime ${time}\n${text}`);

const signatureLine = (key: VerifierKey, signature: Buffer): string =>
  `— ${key.name} ${Buffer.concat([key.id, signature]).toString('base64')}\n`;

function textOf(note: string): string {
  const end = note.lastIndexOf('\n\n');
  if (end < 0) throw new ProofRefused('NoteMalformed', 'not a signed note: a text, an empty line and signatures are expected');
  const text = note.slice(0, end + 1);
  refuseText(text);
  return text;
}

function refuseText(text: string): void {
  if (!text.endsWith('\n') || !text.isWellFormed() || CONTROL.test(text))
    throw new ProofRefused('NoteMalformed', 'the text of a note ends with a newline and has no other control characters');
}

function signatureLines(block: string): readonly { readonly name: string; readonly id: Buffer; readonly signature: Buffer }[] {
  const lines = block.split('\n');
  if (lines.pop() !== '' || lines.length === 0 || lines.length > MOST_SIGNATURES)
    throw new ProofRefused('NoteMalformed', `a note ends with 1 to ${MOST_SIGNATURES} signature lines`);
  return lines.map((line) => {
    const [, name, base64] = /^— ([^\s+]+) (\S+)$/u.exec(line) ?? [];
    const bytes = base64 === undefined ? undefined : fromBase64(base64);
    if (name === undefined || bytes === undefined || bytes.length < 5)
      throw new ProofRefused('NoteMalformed', 'a signature line is "— <key name> <base64>"');
    return { name, id: bytes.subarray(0, 4), signature: bytes.subarray(4) };
  });
}

function signingKey(name: string, algorithm: Algorithm, seed: Buffer): SigningKey {
  const privateKey = createPrivateKey({ key: Buffer.concat([PKCS8_ED25519, seed]), format: 'der', type: 'pkcs8' });
  const verifier = verifierKey(name, algorithm, rawPublicKey(createPublicKey(privateKey)));
  return { verifier, privateKey, text: PRIVATE + keyText(name, verifier.id, algorithm, seed) };
}

function verifierKey(name: string, algorithm: Algorithm, bytes: Buffer): VerifierKey {
  if (!/^[^\s+]+$/u.test(name) || CONTROL.test(name)) throw new ProofRefused('KeyMalformed', 'the name of a key has no spaces and no "+"');
  const id = hash('sha256', Buffer.concat([Buffer.from(`${name}\n`), Buffer.of(algorithm), bytes]), 'buffer').subarray(0, 4);
  const publicKey = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: bytes.toString('base64url') }, format: 'jwk' });
  return { name, id, signs: algorithm === LOG ? 'log' : 'witness', publicKey, text: keyText(name, id, algorithm, bytes) };
}

const rawPublicKey = (key: KeyObject): Buffer => Buffer.from(key.export({ format: 'jwk' }).x ?? '', 'base64url');

const keyText = (name: string, id: Buffer, algorithm: Algorithm, bytes: Buffer): string =>
  `${name}+${id.toString('hex')}+${Buffer.concat([Buffer.of(algorithm), bytes]).toString('base64')}`;

function keyParts(
  text: string,
  what: string,
): { readonly name: string; readonly id: Buffer; readonly algorithm: Algorithm; readonly bytes: Buffer } {
  const [, name, id, base64] = /^([^\s+]+)\+([0-9a-f]{8})\+(\S+)$/u.exec(text) ?? [];
  const bytes = base64 === undefined ? undefined : fromBase64(base64);
  const algorithm = bytes?.[0];
  if (name === undefined || id === undefined || bytes?.length !== 33 || (algorithm !== LOG && algorithm !== WITNESS))
    throw new ProofRefused('KeyMalformed', `this is not ${what}`);
  return { name, id: Buffer.from(id, 'hex'), algorithm, bytes: bytes.subarray(1) };
}

/** Exactly one encoding per value. */
function fromBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : undefined;
}
