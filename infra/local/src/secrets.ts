/**
 * The secrets of a local stack: made at random once, kept in `<home>/secrets` for their owner alone, reused by every later start.
 *
 * Each service is handed only what is its own. Keep the folder together with the data: without it, neither can be opened.
 */
import { makeSigningKey, parseSigningKey } from '@mandate/audit';
import { SERVICES } from '@mandate/contracts';
import { passwordVariable, tenantUser } from '@mandate/messaging';
import { createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { readIfThere, writePrivateFile } from './private-file.ts';

export type Secrets = {
  /** Password of a NATS user: a service, `admin`, or `tenant-<name>`. */
  readonly nats: Readonly<Record<string, string>>;
  /** Encrypts the JetStream store. */
  readonly natsStoreKey: string;
  readonly postgres: { readonly superuser: string; readonly orchestrator: string; readonly projector: string };
  /** The orchestrator signs commands with the key of their destination. */
  readonly commandKeys: { readonly analyzer: string; readonly llm: string; readonly tool: string };
  /** One key per tenant for the gateway's doors: `mk_<id>.<secret>`. */
  readonly apiKeys: Readonly<Record<string, string>>;
  /** The key of the operator, who defines budgets and freezes: `mk_operator-….<secret>`. */
  readonly operatorKey: string;
  /** What the gateway reads: which tenant a key belongs to, and the hash of its secret. */
  readonly apiKeysFile: string;
  /** 32 bytes in hexadecimal digits: wraps the keys that content is encrypted with. */
  readonly masterKeyFile: string;
  /** Signs checkpoints of the log (docs/audit.md). */
  readonly checkpointKeyFile: string;
  /** Its public key: what auditors and witnesses are given. */
  readonly checkpointPublicKeyFile: string;
};

/** The stored secrets of a data folder; what is missing is made and stored. */
export async function loadSecrets(home: string, tenants: readonly string[]): Promise<Secrets> {
  const at = (name: string): string => join(home, 'secrets', name);
  const users = ['admin', ...SERVICES, ...tenants.map(tenantUser)];
  const nats = await keep(at('nats.json'), users, password);
  const natsStore = await keep(at('nats-store.json'), ['key'], password);
  const postgres = await keep(at('postgres.json'), ['superuser', 'orchestrator', 'projector'], password);
  const commandKeys = await keep(at('command-keys.json'), ['analyzer', 'llm', 'tool'], () => randomBytes(32).toString('hex'));
  const apiKeys = await keep(at('api-keys.json'), tenants, (tenant) => `mk_${tenant}-${randomBytes(4).toString('hex')}.${password()}`);
  const { operator } = await keep(
    at('operator-key.json'),
    ['operator'],
    () => `mk_operator-${randomBytes(4).toString('hex')}.${password()}`,
  );
  const masterKeyFile = at('master.key');
  if ((await readIfThere(masterKeyFile)) === undefined) await writePrivateFile(masterKeyFile, `${randomBytes(32).toString('hex')}\n`);
  const checkpointKeyFile = at('checkpoint.key');
  if ((await readIfThere(checkpointKeyFile)) === undefined)
    await writePrivateFile(checkpointKeyFile, `${makeSigningKey('mandate/log').text}\n`);
  const checkpointPublicKeyFile = at('checkpoint.pub');
  const { verifier } = parseSigningKey((await readIfThere(checkpointKeyFile)) ?? '');
  await writePrivateFile(checkpointPublicKeyFile, `${verifier.text}\n`);
  const apiKeysFile = at('gateway-api-keys.json');
  await writePrivateFile(
    apiKeysFile,
    `${JSON.stringify({ keys: [...hashedKeys(apiKeys), ...operatorKeys(tenants[0], operator)] }, undefined, 2)}\n`,
  );
  const files = { apiKeysFile, masterKeyFile, checkpointKeyFile, checkpointPublicKeyFile };
  return { nats, natsStoreKey: natsStore.key, postgres, commandKeys, apiKeys, operatorKey: operator, ...files };
}

/** The variables that the NATS configuration names: `NATS_PASSWORD_LLM_ROUTER` and so on. */
export function natsPasswordVariables(passwords: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(passwords).map(([user, secret]) => [passwordVariable(user), secret]));
}

/** A fresh password. It begins with a letter, for the NATS configuration would read a value like `12e5` as a number. */
export function password(): string {
  return `p${randomBytes(24).toString('hex')}`;
}

async function keep<Name extends string>(
  file: string,
  names: readonly Name[],
  make: (name: Name) => string,
): Promise<Record<Name, string>> {
  const text = await readIfThere(file);
  const stored = text === undefined ? {} : parseSecrets(file, text);
  const missing = names.filter((name) => stored[name] === undefined);
  const all = { ...stored, ...Object.fromEntries(missing.map((name) => [name, make(name)])) } as Record<Name, string>;
  if (missing.length > 0) await writePrivateFile(file, `${JSON.stringify(all, undefined, 2)}\n`);
  return all;
}

function parseSecrets(file: string, text: string): Record<string, string> {
  try {
    return JSON.parse(text) as Record<string, string>;
  } catch (cause) {
    throw new Error(`${file} is not readable JSON. Restore it, or remove the whole data folder to begin anew.`, { cause });
  }
}

type HashedKey = { readonly tenant: string; readonly id: string; readonly sha256: string; readonly role?: 'operator' };

function hashedKeys(apiKeys: Readonly<Record<string, string>>): readonly HashedKey[] {
  return Object.entries(apiKeys).map(([tenant, key]) => {
    const dot = key.indexOf('.');
    const sha256 = createHash('sha256')
      .update(key.slice(dot + 1))
      .digest('hex');
    return { tenant, id: key.slice('mk_'.length, dot), sha256 };
  });
}

/** An operator belongs to a tenant too, for what it asks as a client. */
const operatorKeys = (tenant: string | undefined, key: string): readonly HashedKey[] =>
  tenant === undefined ? [] : hashedKeys({ [tenant]: key }).map((hashed) => ({ ...hashed, role: 'operator' }));
