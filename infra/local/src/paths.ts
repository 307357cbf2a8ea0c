import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder that holds the root `package.json`. */
export const repositoryRoot: string = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));

/** Where a running stack keeps its data: `MANDATE_HOME`, else `.mandate/` of the repository. */
export function homeFolder(env: NodeJS.ProcessEnv = process.env): string {
  return resolve(env['MANDATE_HOME'] ?? join(repositoryRoot, '.mandate'));
}

/** Where the set-up keeps what can be had again: `MANDATE_CACHE`, else `.cache/` of the repository. */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  return resolve(env['MANDATE_CACHE'] ?? join(repositoryRoot, '.cache'));
}

/** The nats-server to run: `NATS_SERVER_BIN`, else the one that `npm start` keeps in its cache, else the one on PATH. */
export function natsServerBinary(env: NodeJS.ProcessEnv = process.env): string {
  if (env['NATS_SERVER_BIN']) return env['NATS_SERVER_BIN'];
  const cached = join(cacheFolder(env), 'nats', process.platform === 'win32' ? 'nats-server.exe' : 'nats-server');
  return existsSync(cached) ? cached : 'nats-server';
}
