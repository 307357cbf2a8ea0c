/** The master key file: one key a line, the current one first. Services read it again when it changes. */
import { MasterKeyInvalid, readMasterKeys } from '@mandate/event-store';
import { randomBytes } from 'node:crypto';
import { readIfThere, writePrivateFile } from './private-file.ts';

/** A new key, last in the file. @returns its version */
export async function addMasterKey(file: string): Promise<string> {
  const key = randomBytes(32);
  await change(file, (keys) => [...keys, key]);
  return readMasterKeys(key.toString('hex'), file)[0]?.version ?? '';
}

/** @throws MasterKeyInvalid when it is not in the file */
export async function useMasterKey(file: string, version: string): Promise<void> {
  await change(file, (keys, at) => [keys[at(version)] as Buffer, ...keys.filter((_, index) => index !== at(version))]);
}

/** @throws MasterKeyInvalid when it is not in the file, or is the current one */
export async function removeMasterKey(file: string, version: string): Promise<void> {
  await change(file, (keys, at) => {
    if (at(version) === 0) throw new MasterKeyInvalid(`${version} is the current master key. Use another one first (keys use).`);
    return keys.filter((_, index) => index !== at(version));
  });
}

async function change(file: string, to: (keys: readonly Buffer[], at: (version: string) => number) => readonly Buffer[]): Promise<void> {
  const text = await readIfThere(file);
  if (text === undefined) throw new MasterKeyInvalid(`${file} is not there. Make it with: openssl rand -hex 32`);
  const known = readMasterKeys(text, file);
  const at = (version: string): number => {
    const index = known.findIndex((each) => each.version === version);
    if (index === -1) throw new MasterKeyInvalid(`${file} holds ${known.map((each) => each.version).join(', ')}, and not ${version}.`);
    return index;
  };
  const keys = to(
    known.map(({ key }) => key),
    at,
  );
  await writePrivateFile(file, `${keys.map((key) => key.toString('hex')).join('\n')}\n`);
}
