import { createHash, timingSafeEqual } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { isTenantId, PLATFORM } from '@mandate/domain';
import { z } from 'zod';

/** Who speaks: known from the credential, never from a claim. */
export interface Identity {
  readonly tenant: string;
  readonly keyId: string;
  /** Operators define budgets and freeze, for every tenant. */
  readonly role: 'client' | 'operator';
}

const KEY_ID = /^[A-Za-z0-9_-]{1,64}$/;
const keysFile = z.object({
  keys: z.array(
    z.object({
      tenant: z.string().refine((name) => isTenantId(name) && name !== PLATFORM, 'is not a tenant name'),
      id: z.string().regex(KEY_ID),
      sha256: z.string().regex(/^[0-9a-f]{64}$/i, 'must be the SHA-256 of the secret in hex'),
      role: z.enum(['client', 'operator']).default('client'),
    }),
  ),
});
type StoredKey = z.infer<typeof keysFile>['keys'][number];

/** @throws with the paths that are wrong; never with a value */
export function parseKeysFile(text: string): ReadonlyMap<string, StoredKey> {
  const parsed = keysFile.safeParse(safeJson(text));
  if (!parsed.success)
    throw new Error(
      `API keys are not right: ${parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ')}`,
    );
  return new Map(parsed.data.keys.map((key) => [key.id, key]));
}

const AUTHORIZATION = /^bearer mk_([A-Za-z0-9_-]{1,64})\.([\x21-\x7e]{1,256})$/i;
const NOBODY = Buffer.alloc(32);

/** The identity behind an Authorization header (`Bearer mk_<id>.<secret>`); unknown keys take as long as wrong secrets. */
export function identify(keys: ReadonlyMap<string, StoredKey>, authorization: string | undefined): Identity | undefined {
  const match = AUTHORIZATION.exec(authorization ?? '');
  if (match === null) return undefined;
  const key = keys.get(match[1] ?? '');
  const given = createHash('sha256')
    .update(match[2] ?? '')
    .digest();
  const isRight = timingSafeEqual(given, key === undefined ? NOBODY : Buffer.from(key.sha256, 'hex'));
  return isRight && key !== undefined ? { tenant: key.tenant, keyId: key.id, role: key.role } : undefined;
}

const LOOK_EVERY_MS = 400;

/** The keys in a file, read again within a second after it changed. A file that cannot be read leaves the keys as they were. */
export class ApiKeys {
  readonly #file: string;
  readonly #onProblem: (problem: string) => void;
  #keys: ReadonlyMap<string, StoredKey> = new Map();
  #seen = '';
  #looking: NodeJS.Timeout | undefined;

  private constructor(file: string, onProblem: (problem: string) => void) {
    this.#file = file;
    this.#onProblem = onProblem;
  }

  /** @throws when the file cannot be read at the start */
  static async open(file: string, onProblem: (problem: string) => void): Promise<ApiKeys> {
    const keys = new ApiKeys(file, onProblem);
    await keys.#look();
    keys.#looking = setInterval(() => void keys.#look().catch((error: unknown) => onProblem((error as Error).message)), LOOK_EVERY_MS);
    return keys;
  }

  identify(authorization: string | undefined): Identity | undefined {
    return identify(this.#keys, authorization);
  }

  stop(): void {
    clearInterval(this.#looking);
  }

  async #look(): Promise<void> {
    const { mtimeMs, size, ino } = await stat(this.#file);
    const now = `${mtimeMs}/${size}/${ino}`;
    if (now === this.#seen) return;
    const isFirst = this.#seen === '';
    // Remembered before parsing: a broken file is complained about once.
    this.#seen = now;
    this.#keys = parseKeysFile(await readFile(this.#file, 'utf8'));
    if (!isFirst) this.#onProblem(`API keys were read again: ${this.#keys.size} keys`);
  }
}

function safeJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
