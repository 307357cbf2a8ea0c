/** `audit witness`: needs the log's public key, a key of its own and a file to remember in; neither log nor database. */
import { parseSigningKey, parseWitnessRequest, type VerifierKey, witness, type Witnessed } from '@mandate/audit';
import { open, readFile, rename, rm } from 'node:fs/promises';
import { CannotCheck, readText } from './where.ts';

/**
 * Co-signs a checkpoint if it continues what was witnessed before. What is witnessed is on the disk before the co-signed
 * note is handed out, so a crash in between never leads to two trees being signed.
 *
 * @returns the co-signed note
 * @throws ProofRefused when it does not continue it
 */
export async function witnessCheckpoint(wanted: {
  readonly request: string;
  readonly logKey: VerifierKey;
  readonly ownKeyFile: string;
  readonly stateFile: string;
  /** Epoch seconds. */
  readonly time: number;
}): Promise<string> {
  const own = parseSigningKey(await readText(wanted.ownKeyFile));
  if (own.verifier.signs !== 'witness')
    throw new CannotCheck(`${wanted.ownKeyFile} is the key of a log. Make one for a witness: audit key <name> --for witness --out <file>`);
  return alone(wanted.stateFile, async () => {
    const known = await readState(wanted.stateFile);
    const { note, witnessed } = witness(parseWitnessRequest(wanted.request), known, { log: wanted.logKey, own }, wanted.time);
    await writeState(wanted.stateFile, witnessed);
    return note;
  });
}

/** Two witnesses with the same memory could each sign one half of a fork. */
async function alone<Result>(stateFile: string, work: () => Promise<Result>): Promise<Result> {
  const lock = `${stateFile}.lock`;
  const held = await open(lock, 'wx').catch((error: unknown) => {
    const helps =
      (error as NodeJS.ErrnoException).code === 'EEXIST'
        ? `another witness uses ${stateFile}; if none runs, remove ${lock}`
        : String(error);
    throw new CannotCheck(helps, { cause: error });
  });
  try {
    return await work();
  } finally {
    await held.close();
    await rm(lock, { force: true });
  }
}

async function readState(file: string): Promise<Witnessed> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  });
  if (text === undefined) return {};
  try {
    return JSON.parse(text) as Witnessed;
  } catch (cause) {
    throw new CannotCheck(`${file} is not what a witness wrote. Restore it: without it a fork could be signed.`, { cause });
  }
}

async function writeState(file: string, witnessed: Witnessed): Promise<void> {
  const fresh = `${file}.part`;
  const out = await open(fresh, 'w', 0o600);
  try {
    await out.writeFile(`${JSON.stringify(witnessed, undefined, 2)}\n`);
    await out.sync();
  } finally {
    await out.close();
  }
  await rename(fresh, file);
}
