/**
 * The files of a deployment, one folder per reader, so that each container is given its own and nothing else:
 *
 * - `<service>/service.env` and what it names, for each of the six services;
 * - `migrate/service.env`, `provision/service.env`: the two one-shot steps;
 * - `nats/nats.conf`, `nats/nats.env`; `postgres/password`;
 * - `auditor/checkpoint.pub`: the public key of the log's checkpoints;
 * - `client/<tenant>.json`: gateway, API key and NATS login of a tenant;
 * - `secrets/`: what all of them were made from. Nobody but `prepare` reads it; keep it together with the data.
 */
import { SERVICES, type ServiceName } from '@mandate/contracts';
import { tenantUser } from '@mandate/messaging';
import { chmod, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { adminPasswordVariable, natsConfigFile, natsEnvironment } from './deploy-nats.ts';
import { writePrivateFile } from './private-file.ts';
import { loadSecrets, type Secrets } from './secrets.ts';
import { serviceVariables } from './service-environment.ts';
import { writeToolsFile } from './tools-file.ts';

export type DeployOptions = {
  /** Where the files are written. */
  readonly folder: string;
  readonly tenants: readonly string[];
  /** Where each reader finds its own folder. */
  readonly mountedAt: string;
  readonly natsUrl: string;
  /** `host:port` */
  readonly postgres: string;
  /** JetStream's store, as nats-server sees it. */
  readonly natsStore: string;
  /** Folder that agents may read, and the file server's program, as the tool-runner sees them. */
  readonly files: string;
  readonly fileServer: string;
  /** Where clients reach the gateway. */
  readonly gatewayUrl: string;
};

/** Writes every file of a deployment. Secrets that exist are kept, so it may run before every start. */
export async function prepareFolder(options: DeployOptions): Promise<void> {
  const { folder, tenants } = options;
  const secrets = await loadSecrets(folder, tenants);
  for (const service of SERVICES) await writeEnvironment(folder, service, containerEnvironment(service, options, secrets));
  await writeEnvironment(folder, 'migrate', {
    DATABASE_URL: databaseUrl(options, 'postgres', secrets.postgres.superuser, 'postgres'),
    ORCHESTRATOR_PASSWORD: secrets.postgres.orchestrator,
    PROJECTOR_PASSWORD: secrets.postgres.projector,
  });
  await writeEnvironment(folder, 'provision', { NATS_URL: options.natsUrl, [adminPasswordVariable]: secrets.nats['admin'] ?? '' });
  await copySecret(secrets.apiKeysFile, join(folder, 'gateway', 'api-keys.json'));
  for (const reader of ['orchestrator', 'projector']) await copySecret(secrets.masterKeyFile, join(folder, reader, 'master.key'));
  await copySecret(secrets.checkpointKeyFile, join(folder, 'projector', 'checkpoint.key'));
  await copySecret(secrets.checkpointPublicKeyFile, join(folder, 'auditor', 'checkpoint.pub'));
  await writeToolsFile(join(folder, 'tool-runner'), options);
  await writeServerFiles(options, secrets);
  for (const tenant of tenants) await writeJson(clientFile(folder, tenant), clientOf(tenant, options, secrets));
}

/** @throws when the folder has no such tenant, with those it has. */
export async function apiKeyOf(folder: string, tenant: string): Promise<string> {
  const text = await readFile(clientFile(folder, tenant), 'utf8').catch(() => {
    throw new Error(`${folder} has no tenant "${tenant}". Prepare the folder first, or name one of its tenants (client/*.json).`);
  });
  return (JSON.parse(text) as { gateway: { apiKey: string } }).gateway.apiKey;
}

function containerEnvironment(service: ServiceName, options: DeployOptions, secrets: Secrets): Record<string, string> {
  const mounted = (name: string): string => `${options.mountedAt}/${name}`;
  const variables = serviceVariables(service, {
    secrets: {
      ...secrets,
      apiKeysFile: mounted('api-keys.json'),
      masterKeyFile: mounted('master.key'),
      checkpointKeyFile: mounted('checkpoint.key'),
    },
    natsUrl: options.natsUrl,
    databaseUrl: (role, database) => databaseUrl(options, `mandate_${role}`, secrets.postgres[role], database),
    toolsFile: mounted('tools.json'),
  });
  // A container's network is its own: what may reach it is decided by what is published.
  return service === 'gateway' ? { ...variables, GATEWAY_HOST: '0.0.0.0' } : variables;
}

async function writeServerFiles(options: DeployOptions, secrets: Secrets): Promise<void> {
  const { folder, tenants, natsStore } = options;
  await writePrivateFile(join(folder, 'nats', 'nats.conf'), natsConfigFile({ tenants, storeFolder: natsStore }));
  await writePrivateFile(join(folder, 'nats', 'nats.env'), environmentText(natsEnvironment(secrets)));
  // PostgreSQL runs as a user of its own. Only its container mounts this folder, and nobody else may enter the one above.
  const password = join(folder, 'postgres', 'password');
  await writePrivateFile(password, `${secrets.postgres.superuser}\n`);
  await chmod(join(folder, 'postgres'), 0o755);
  await chmod(password, 0o644);
}

function clientOf(tenant: string, { gatewayUrl, natsUrl }: DeployOptions, secrets: Secrets): object {
  const user = tenantUser(tenant);
  return { gateway: { url: gatewayUrl, apiKey: secrets.apiKeys[tenant] }, nats: { url: natsUrl, user, password: secrets.nats[user] } };
}

function databaseUrl({ postgres }: DeployOptions, user: string, password: string, database: string): string {
  return `postgres://${user}:${password}@${postgres}/${database}`;
}

function clientFile(folder: string, tenant: string): string {
  return join(folder, 'client', `${tenant}.json`);
}

function writeEnvironment(folder: string, reader: string, variables: Readonly<Record<string, string>>): Promise<void> {
  return writePrivateFile(join(folder, reader, 'service.env'), environmentText(variables));
}

/** Read by `node --env-file` and by a shell alike: no value needs quoting, for passwords are hexadecimal and addresses plain. */
function environmentText(variables: Readonly<Record<string, string>>): string {
  return Object.entries(variables)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
}

function writeJson(file: string, value: object): Promise<void> {
  return writePrivateFile(file, `${JSON.stringify(value, undefined, 2)}\n`);
}

async function copySecret(from: string, to: string): Promise<void> {
  await writePrivateFile(to, await readFile(from, 'utf8'));
}
