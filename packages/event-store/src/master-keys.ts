import { createHmac } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { seal, unseal } from './content-cipher.ts';
import { StoreUnavailable } from './failures.ts';

/** A key under a master key. */
export interface Wrapped {
  /** The version that wraps it; null for keys of before there were several. */
  readonly master: string | null;
  readonly wrapped: Buffer;
}

/**
 * Whoever holds the master keys: a file, the environment, or a key-management service, which never gives them away.
 * New keys are wrapped by the current version; every version that is known unwraps.
 */
export interface MasterKeys {
  /** @param about authenticated with the key, so that rows cannot be exchanged */
  wrap(about: string, key: Buffer): Promise<Wrapped>;
  /** @throws MasterKeyUnknown when it is wrapped by a version that is not here */
  unwrap(about: string, wrapped: Wrapped): Promise<Buffer>;
  /** The current version first. */
  versions(): Promise<readonly string[]>;
}

/** No master key, or one that is not: a service does not start with it. */
export class MasterKeyInvalid extends Error {
  override readonly name = 'MasterKeyInvalid';
  readonly code = 'master_key_invalid';
}

/** What is stored is wrapped by a master key that this process was not given. It may come: whoever needs it waits. */
export class MasterKeyUnknown extends StoreUnavailable {
  /** As it stands in the rows. */
  readonly version: string | null;
  constructor(version: string | null, message: string) {
    super(message);
    this.version = version;
  }
}

/** `MANDATE_MASTER_KEY_FILE`, or the keys themselves in `MANDATE_MASTER_KEY`. Never both, so that nobody rotates the wrong one. */
export interface MasterKeyVariables {
  readonly MANDATE_MASTER_KEY_FILE?: string | undefined;
  readonly MANDATE_MASTER_KEY?: string | undefined;
}

/** @throws MasterKeyInvalid when there is none, both are given, or a key has another length */
export function masterKeysFrom(env: MasterKeyVariables): MasterKeys {
  const { MANDATE_MASTER_KEY_FILE: file, MANDATE_MASTER_KEY: given } = env;
  if (file !== undefined && given !== undefined)
    throw new MasterKeyInvalid('MANDATE_MASTER_KEY_FILE and MANDATE_MASTER_KEY are both set. Set one of them.');
  if (file !== undefined) return masterKeysInFile(file);
  if (given !== undefined) return new HeldKeys(() => readMasterKeys(given, 'MANDATE_MASTER_KEY'));
  throw new MasterKeyInvalid(
    'There is no master key: set MANDATE_MASTER_KEY_FILE or MANDATE_MASTER_KEY. Make one with: openssl rand -hex 32',
  );
}

/** One key per line, the current one first. Read again when it changes, so a rotation needs no restart. @throws MasterKeyInvalid */
export function masterKeysInFile(file: string): MasterKeys {
  let known = readFileKeys(file);
  let seen = '';
  return new HeldKeys(() => {
    // While a new file is being put there, the keys stay what they were.
    try {
      const { mtimeMs, size, ino } = statSync(file);
      const now = `${mtimeMs}/${size}/${ino}`;
      if (now !== seen) known = readFileKeys(file);
      seen = now;
    } catch {
      seen = '';
    }
    return known;
  });
}

export interface MasterKey {
  /** Follows from the key: the same key has the same version everywhere, and nobody has to number them. */
  readonly version: string;
  readonly key: Buffer;
}

/** Keys as 64 hex digits each, separated by white space or commas. @throws MasterKeyInvalid; a key is never repeated */
export function readMasterKeys(text: string, where: string): readonly MasterKey[] {
  const words = text.split(/[\s,]+/).filter((word) => word !== '');
  if (words.length === 0 || words.some((word) => !/^[0-9a-f]{64}$/i.test(word)))
    throw new MasterKeyInvalid(
      `${where} must hold 64 hex digits (32 bytes) per key, the current one first. Make one with: openssl rand -hex 32`,
    );
  const keys = words.map((word): MasterKey => {
    const key = Buffer.from(word, 'hex');
    return { version: versionOf(key), key };
  });
  if (new Set(keys.map(({ version }) => version)).size < keys.length) throw new MasterKeyInvalid(`${where} holds a key twice. Remove one.`);
  return keys;
}

const versionOf = (key: Buffer): string => `m_${createHmac('sha256', key).update('mandate/master-key').digest('hex').slice(0, 12)}`;

function readFileKeys(file: string): readonly MasterKey[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new MasterKeyInvalid(`${file} cannot be read: ${(cause as Error).message}`, { cause });
  }
  return readMasterKeys(text, file);
}

/** Master keys that this process holds itself. */
class HeldKeys implements MasterKeys {
  readonly #keys: () => readonly MasterKey[];

  constructor(keys: () => readonly MasterKey[]) {
    this.#keys = keys;
    this.#keys();
  }

  async wrap(about: string, key: Buffer): Promise<Wrapped> {
    const [current] = this.#keys();
    if (current === undefined) throw new MasterKeyInvalid('There is no master key.');
    return { master: current.version, wrapped: seal(current.key, about, key) };
  }

  async unwrap(about: string, { master, wrapped }: Wrapped): Promise<Buffer> {
    const keys = this.#keys();
    for (const each of master === null ? keys : keys.filter(({ version }) => version === master)) {
      try {
        return unseal(each.key, about, wrapped);
      } catch (cause) {
        if (master !== null) throw cause;
      }
    }
    throw new MasterKeyUnknown(
      master,
      `${about} is wrapped by the master key ${master ?? 'of before there were versions'}, which is not here; there are ${keys.map(({ version }) => version).join(', ')}. Give it back to MANDATE_MASTER_KEY_FILE (docs/erasure.md).`,
    );
  }

  async versions(): Promise<readonly string[]> {
    return this.#keys().map(({ version }) => version);
  }
}
