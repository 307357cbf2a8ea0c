/** Real servers for a test file: copies of the migrated databases, and a nats-server of its own. */
import { SERVICES } from '@mandate/contracts';
import { type Nats, natsPasswordVariables, password, startNats } from '@mandate/local';
import { natsConfig, provision, tenantUser } from '@mandate/messaging';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { inject } from 'vitest';
import { serversAreContainers, startNatsContainer } from './containers.ts';
import { keysTemplateDatabase, templateDatabase } from './global-setup.ts';

export type FreshDatabase = {
  /** Of the superuser. */
  readonly url: string;
  readonly keysUrl: string;
  readonly orchestratorUrl: string;
  readonly orchestratorKeysUrl: string;
  readonly projectorUrl: string;
  readonly projectorKeysUrl: string;
  /** Ends every session and removes both databases. */
  drop(): Promise<void>;
};

/** Migrated, empty databases that nobody else uses: copies of the templates, made in about 30 ms. */
export async function freshDatabase(): Promise<FreshDatabase> {
  const { url, orchestratorPassword, projectorPassword } = inject('postgres');
  const name = `t_${randomBytes(6).toString('hex')}`;
  const keysName = `${name}_keys`;
  await asSuperuser(url, [
    `create database ${name} template ${templateDatabase} strategy file_copy`,
    `create database ${keysName} template ${keysTemplateDatabase} strategy file_copy`,
  ]);
  const as = (role: 'orchestrator' | 'projector', database: string): string => {
    const address = new URL(`${url}/${database}`);
    address.username = `mandate_${role}`;
    address.password = role === 'orchestrator' ? orchestratorPassword : projectorPassword;
    return address.href;
  };
  return {
    url: `${url}/${name}`,
    keysUrl: `${url}/${keysName}`,
    orchestratorUrl: as('orchestrator', name),
    orchestratorKeysUrl: as('orchestrator', keysName),
    projectorUrl: as('projector', name),
    projectorKeysUrl: as('projector', keysName),
    drop: () =>
      asSuperuser(
        url,
        [name, keysName].map((each) => `drop database if exists ${each} with (force)`),
      ),
  };
}

export type FreshNats = Omit<Nats, 'stop'> & {
  /** @throws when there is no such user. */
  password(user: string): string;
  /** Makes the streams and consumers (again), for example after `wipe`. */
  provision(): Promise<void>;
  /** Ends the server and removes its store. */
  stop(): Promise<void>;
};

/** A nats-server with the real accounts, streams and consumers. */
export async function freshNats(options: { tenants?: readonly string[] } = {}): Promise<FreshNats> {
  const { tenants = ['acme', 'globex'] } = options;
  const passwords = Object.fromEntries(['admin', ...SERVICES, ...tenants.map(tenantUser)].map((user) => [user, password()]));
  const passwordOf = (user: string): string => {
    const found = passwords[user];
    if (found === undefined) throw new Error(`no NATS user "${user}"; there are ${Object.keys(passwords).join(', ')}`);
    return found;
  };
  const dir = await mkdtemp(join(tmpdir(), 'mandate-nats-'));
  const start = serversAreContainers ? startNatsContainer : startNats;
  const nats = await start({ dir, config: natsConfig({ tenants }), env: natsPasswordVariables(passwords), storeKey: password() });
  const stop = async (): Promise<void> => {
    await (serversAreContainers ? nats.stop() : nats.kill());
    await rm(dir, { recursive: true, force: true });
  };
  const prepare = (): Promise<void> => provision({ servers: nats.url, user: 'admin', password: passwordOf('admin') });
  try {
    await prepare();
  } catch (error) {
    await stop();
    throw error;
  }
  return { ...nats, password: passwordOf, provision: prepare, stop };
}

async function asSuperuser(url: string, statements: readonly string[]): Promise<void> {
  const client = new pg.Client({ connectionString: `${url}/postgres` });
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}
