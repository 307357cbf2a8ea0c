/** Where the log and its public key are: as said, or those of the stack that runs on this machine. */
import { parseVerifierKey, type VerifierKey } from '@mandate/audit';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

/** The command was not right, or what it needs is not there. Nothing was checked. */
export class CannotCheck extends Error {
  override readonly name = 'CannotCheck';
}

export type Environment = Readonly<Record<string, string | undefined>>;

const homeOf = (env: Environment): string => resolve(env['MANDATE_HOME'] ?? join(import.meta.dirname, '../../../.mandate'));

/** `DATABASE_URL`, else the database of the local stack. */
export async function databaseUrl(env: Environment): Promise<string> {
  if (env['DATABASE_URL']) return env['DATABASE_URL'];
  const file = join(homeOf(env), 'run.json');
  const text = await readFile(file, 'utf8').catch(() => {
    throw new CannotCheck(`which log? Set DATABASE_URL to it, or start a stack here (npm start); there is no ${file}.`);
  });
  const { postgres } = JSON.parse(text) as { postgres?: { url?: string } };
  if (postgres?.url === undefined) throw new CannotCheck(`${file} names no database. Start the stack again, or set DATABASE_URL.`);
  return postgres.url;
}

/** A key that was given as text or as a file; else, when the log is the local stack's, the key that the stack made. */
export async function logKey(given: string | undefined, env: Environment): Promise<VerifierKey> {
  if (given !== undefined) return givenKey(given);
  if (env['DATABASE_URL'])
    throw new CannotCheck('whose signature? Give --key: the public key of the log, as text or as a file (checkpoint.pub).');
  const file = join(homeOf(env), 'secrets', 'checkpoint.pub');
  const text = await readFile(file, 'utf8').catch(() => {
    throw new CannotCheck(`whose signature? Give --key: the public key of the log. There is no ${file}.`);
  });
  return parseVerifierKey(text);
}

export async function givenKey(given: string): Promise<VerifierKey> {
  return parseVerifierKey(given.split('+').length >= 3 ? given : await readText(given));
}

/** A file, or standard input for "-". @throws CannotCheck */
export async function readText(file: string): Promise<string> {
  try {
    return await readFile(file === '-' ? '/dev/stdin' : file, 'utf8');
  } catch (error) {
    throw new CannotCheck(`${file} cannot be read: ${(error as Error).message}`, { cause: error });
  }
}
