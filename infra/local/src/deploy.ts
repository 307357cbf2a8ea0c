/** Sets up a deployment in containers: its secrets and configuration files, its database, its streams. */
import { parseArgs } from 'node:util';
import { apiKeyOf, prepareFolder } from './deploy-folder.ts';
import { accountsFile, referenceTenants } from './deploy-nats.ts';
import { migrateStep, provisionStep } from './deploy-steps.ts';

const help = `deploy prepare <folder>        make secrets once, and write every reader's files into a folder of its own
deploy key <folder> [tenant]   print the API key of a tenant (default: the first)
deploy migrate                 make the databases and bring them to today's schema
deploy provision               make streams and consumers, or change those that differ
deploy accounts                print the NATS accounts of ${referenceTenants.join(' and ')}, as infra/nats/accounts.conf keeps them

Each may run again at any time; what exists is kept. Options of prepare, with their defaults for docker-compose.yml:

  --tenants acme,globex                  each gets an API key and a NATS account (MANDATE_TENANTS)
  --mounted-at /secrets                  where each reader finds its own folder
  --nats-url nats://nats:4222
  --nats-store /data/jetstream           JetStream's store, as nats-server sees it
  --postgres postgres:5432
  --gateway-url http://127.0.0.1:8080    where clients reach the gateway (MANDATE_GATEWAY_URL)
  --files /files                         folder that agents may read, as the tool-runner sees it
  --file-server /app/mcp/files.mjs       program of the MCP file server, as the tool-runner sees it

migrate reads DATABASE_URL (of a superuser), ORCHESTRATOR_PASSWORD and PROJECTOR_PASSWORD; provision reads NATS_URL and
NATS_PASSWORD_ADMIN. prepare writes them into migrate/service.env and provision/service.env.
`;

const optionDefaults = {
  tenants: process.env['MANDATE_TENANTS'] || referenceTenants.join(','),
  'mounted-at': '/secrets',
  'nats-url': 'nats://nats:4222',
  'nats-store': '/data/jetstream',
  postgres: 'postgres:5432',
  'gateway-url': process.env['MANDATE_GATEWAY_URL'] || 'http://127.0.0.1:8080',
  files: '/files',
  'file-server': '/app/mcp/files.mjs',
};

type Values = Record<keyof typeof optionDefaults, string>;

process.exit(await main(process.argv.slice(2)));

async function main(argv: readonly string[]): Promise<number> {
  try {
    const { values, positionals } = readArguments(argv);
    if (values.help || positionals.length === 0) {
      print(help);
      return values.help ? 0 : 1;
    }
    await run(positionals, values);
    return 0;
  } catch (error) {
    process.stderr.write(`deploy: ${messageOf(error)}\n`);
    return 1;
  }
}

async function run([step = '', ...operands]: readonly string[], values: Values): Promise<void> {
  switch (step) {
    case 'prepare':
      return prepare(folderIn(operands), values);
    case 'key':
      return print(`${await apiKeyOf(folderIn(operands), operands[1] ?? tenantsIn(values)[0] ?? '')}\n`);
    case 'migrate':
      return migrateStep(process.env, say);
    case 'provision':
      return provisionStep(process.env, say);
    case 'accounts':
      return print(accountsFile());
    default:
      throw new Error(`there is no step "${step}". See deploy --help.`);
  }
}

async function prepare(folder: string, values: Values): Promise<void> {
  const tenants = tenantsIn(values);
  await prepareFolder({
    folder,
    tenants,
    mountedAt: values['mounted-at'],
    natsUrl: values['nats-url'],
    natsStore: values['nats-store'],
    postgres: values.postgres,
    gatewayUrl: values['gateway-url'],
    files: values.files,
    fileServer: values['file-server'],
  });
  say(`${folder} is prepared for the tenants ${tenants.join(', ')}`);
}

function readArguments(argv: readonly string[]): { values: Values & { help?: boolean }; positionals: string[] } {
  const named = Object.entries(optionDefaults).map(([name, value]) => [name, { type: 'string', default: value }] as const);
  const options = { ...Object.fromEntries(named), help: { type: 'boolean', short: 'h' } } as const;
  const { values, positionals } = parseArgs({ args: [...argv], allowPositionals: true, options });
  return { values: values as Values & { help?: boolean }, positionals };
}

function tenantsIn(values: Values): readonly string[] {
  const tenants = values.tenants.split(',').map((name) => name.trim());
  const wrong = tenants.find((name) => !/^[a-z][a-z0-9-]{0,31}$/.test(name));
  if (wrong !== undefined)
    throw new Error(`"${wrong}" is no tenant name: a lower-case letter, then letters, digits and "-", at most 32 in all`);
  return tenants;
}

function folderIn(operands: readonly string[]): string {
  const [folder] = operands;
  if (folder === undefined) throw new Error('a folder is missing. See deploy --help.');
  return folder;
}

/** A refused connection has its reasons in a list, one per address, and no message of its own. */
function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(messageOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

function print(text: string): void {
  process.stdout.write(text);
}
