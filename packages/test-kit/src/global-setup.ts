/**
 * Servers of a whole test run: one PostgreSQL without durability, with migrated template databases that every test file copies.
 *
 * A nats-server takes 30 ms to start, so each test file has its own (`freshNats`) and can hurt it as it likes.
 */
import { migrate } from '@mandate/event-store';
import { password, startPostgres } from '@mandate/local';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { serversAreContainers, startPostgresContainer } from './containers.ts';

/** Where the test run's PostgreSQL is; `freshDatabase` copies from it. */
export type TestPostgres = {
  /** Of the superuser, without a database: `postgres://user:password@host:port`. */
  readonly url: string;
  readonly orchestratorPassword: string;
  readonly projectorPassword: string;
};

export const templateDatabase = 'mandate_template';
export const keysTemplateDatabase = 'mandate_keys_template';

declare module 'vitest' {
  export interface ProvidedContext {
    postgres: TestPostgres;
  }
}

/** Runs once for the whole test run; unit tests alone need no servers. */
export default async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  if (project.vitest.projects.every((each) => each.name === 'unit')) return undefined;
  const dir = await mkdtemp(join(tmpdir(), 'mandate-tests-'));
  const start = serversAreContainers ? startPostgresContainer : startPostgres;
  const postgres = await start({ dir, password: password(), durability: 'off', maxConnections: 400 });
  const stop = async (): Promise<void> => {
    await postgres.stop();
    await rm(dir, { recursive: true, force: true });
  };
  try {
    const roles = { orchestrator: password(), projector: password() };
    await postgres.createDatabases(templateDatabase, keysTemplateDatabase);
    await migrate({ url: postgres.url(templateDatabase), keysUrl: postgres.url(keysTemplateDatabase), roles });
    project.provide('postgres', {
      url: postgres.url('').slice(0, -1),
      orchestratorPassword: roles.orchestrator,
      projectorPassword: roles.projector,
    });
    return stop;
  } catch (error) {
    await stop();
    throw error;
  }
}
