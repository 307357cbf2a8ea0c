/** `npm run keys -- …`: the custody of master keys. See docs/erasure.md. */
import { EventLog, KeyCustody, MasterKeyInvalid, type MasterKeys, masterKeysFrom } from '@mandate/event-store';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { addMasterKey, removeMasterKey, useMasterKey } from './master-key-file.ts';
import { repositoryRoot } from './paths.ts';
import { readRunFile } from './run-file.ts';

const help = `keys status              which master keys wrap how many keys, and whether they are here
keys add                 put a new master key into the file, last: it unwraps, and nothing is wrapped by it yet
keys use <version>       wrap new keys by this one from now on
keys rewrap              wrap every key by the current master key, beside running services; stopped, it goes on where it was
keys remove <version>    take a master key that wraps nothing any more out of the file
keys sweep               destroy keys of erased content that came back, with a restored backup, for instance

  --batch N    rewrap: keys per transaction [500]
  --json       print JSON

The master keys are in MANDATE_MASTER_KEY_FILE (one line each, the current one first) or MANDATE_MASTER_KEY; the keys'
database is KEYS_DATABASE_URL (its owner, or a superuser), and for sweep the log is DATABASE_URL. Without them all is of
the stack that runs here (npm start). A file is read again by running services; the environment is not. No key is printed.

Ends with 0 when all is right, 1 when a key in use is not here, 2 when it could not be done.
`;

const options = {
  batch: { type: 'string', default: '500' },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

type Values = ReturnType<typeof parseArgs<{ options: typeof options }>>['values'];

/** The command was not right, or what it needs is not there. Nothing was changed. */
class CannotDo extends Error {
  override readonly name = 'CannotDo';
}

process.exitCode = await main(process.argv.slice(2));

async function main(argv: readonly string[]): Promise<number> {
  try {
    const { values, positionals } = parseArgs({ args: [...argv], options, allowPositionals: true });
    const [command, operand] = positionals;
    if (values.help || command === undefined) {
      process.stdout.write(help);
      return values.help ? 0 : 2;
    }
    return await run(command, operand, values);
  } catch (error) {
    const code = error instanceof MasterKeyInvalid ? ` (${error.code})` : '';
    process.stderr.write(`keys: ${(error as Error).message}${code}\n`);
    return 2;
  }
}

function run(command: string, operand: string | undefined, values: Values): Promise<number> {
  switch (command) {
    case 'status':
      return withCustody((custody) => status(custody, values));
    case 'add':
      return add();
    case 'use':
      return use(operand);
    case 'rewrap':
      return withCustody((custody) => rewrap(custody, values));
    case 'remove':
      return withCustody((custody) => remove(custody, operand));
    case 'sweep':
      return withCustody(sweep);
    default:
      throw new CannotDo(`there is no command "${command}". See keys --help.`);
  }
}

async function status(custody: KeyCustody, { json }: Values): Promise<number> {
  const here = await (await masterKeys()).versions();
  const used = await custody.inUse();
  const versions = [
    ...here.map((version, index) => ({
      version,
      keys: used.find((each) => each.version === version)?.keys ?? 0,
      state: index === 0 ? 'current' : 'unwraps',
    })),
    ...used
      .filter(({ version }) => version === null || !here.includes(version))
      .map(({ version, keys }) => ({
        version: version ?? 'none',
        keys,
        state: version === null ? 'of before there were versions' : 'NOT HERE',
      })),
  ];
  print(
    json,
    versions,
    versions.map(({ version, keys, state }) => `${version.padEnd(14)} ${String(keys).padStart(10)} keys  ${state}`),
  );
  return versions.some(({ state }) => state === 'NOT HERE') ? 1 : 0;
}

async function rewrap(custody: KeyCustody, { batch, json }: Values): Promise<number> {
  if (!/^[1-9]\d{0,5}$/.test(batch)) throw new CannotDo(`--batch must be a whole number from 1, not "${batch}"`);
  const master = await masterKeys();
  const report = await custody.rewrap(master, { batch: Number(batch), onBatch: (n) => process.stderr.write(`${n} keys rewrapped\n`) });
  const [current] = await master.versions();
  const lines = [`${report.rewrapped} keys are wrapped by ${current} now`];
  if (report.unknown.length > 0) lines.push(`${report.unknown.length} are wrapped by a master key that is not here: see keys status`);
  print(json, { current, rewrapped: report.rewrapped, unknown: report.unknown.length }, lines);
  return report.unknown.length === 0 ? 0 : 1;
}

async function add(): Promise<number> {
  const version = await addMasterKey(await masterKeyFile());
  process.stdout.write(`${version}\n`);
  return 0;
}

async function use(version: string | undefined): Promise<number> {
  await useMasterKey(await masterKeyFile(), named(version));
  return 0;
}

async function remove(custody: KeyCustody, version: string | undefined): Promise<number> {
  const wanted = named(version);
  const used = await custody.inUse();
  // Keys of before there were versions may be wrapped by any of them.
  const wraps = used.reduce((sum, each) => sum + (each.version === wanted || each.version === null ? each.keys : 0), 0);
  if (wraps > 0) throw new CannotDo(`${wanted} may still wrap ${wraps} keys. Run keys rewrap first.`);
  await removeMasterKey(await masterKeyFile(), wanted);
  return 0;
}

async function sweep(custody: KeyCustody): Promise<number> {
  const log = new EventLog({ url: process.env['DATABASE_URL'] ?? (await localDatabase('mandate')), connections: 1 });
  try {
    const erased = await log.erased();
    process.stdout.write(
      `${erased.workflows.length} workflows are erased; ${await custody.destroy(erased)} of their keys were back and are destroyed\n`,
    );
    return 0;
  } finally {
    await log.close();
  }
}

async function withCustody(work: (custody: KeyCustody) => Promise<number>): Promise<number> {
  const custody = KeyCustody.open(process.env['KEYS_DATABASE_URL'] ?? (await localDatabase('mandate_keys')));
  try {
    return await work(custody);
  } finally {
    await custody.close();
  }
}

const home = (): string => resolve(process.env['MANDATE_HOME'] ?? join(repositoryRoot, '.mandate'));

async function localDatabase(name: 'mandate' | 'mandate_keys'): Promise<string> {
  const run = await readRunFile(home());
  if (run === undefined)
    throw new CannotDo('which keys? Set KEYS_DATABASE_URL (and DATABASE_URL for sweep), or start a stack here (npm start).');
  const address = new URL(run.postgres.url);
  address.pathname = `/${name}`;
  return address.href;
}

async function masterKeys(): Promise<MasterKeys> {
  const { MANDATE_MASTER_KEY_FILE, MANDATE_MASTER_KEY } = process.env;
  if (MANDATE_MASTER_KEY_FILE !== undefined || MANDATE_MASTER_KEY !== undefined)
    return masterKeysFrom({ MANDATE_MASTER_KEY_FILE, MANDATE_MASTER_KEY });
  return masterKeysFrom({ MANDATE_MASTER_KEY_FILE: await masterKeyFile() });
}

async function masterKeyFile(): Promise<string> {
  const { MANDATE_MASTER_KEY_FILE, MANDATE_MASTER_KEY } = process.env;
  if (MANDATE_MASTER_KEY !== undefined && MANDATE_MASTER_KEY_FILE === undefined)
    throw new CannotDo(
      'the master keys are in MANDATE_MASTER_KEY: change them where it is set. Keys are separated by commas, the current one first.',
    );
  return MANDATE_MASTER_KEY_FILE ?? join(home(), 'secrets', 'master.key');
}

function named(version: string | undefined): string {
  if (version === undefined) throw new CannotDo('the version is missing. keys status shows them.');
  return version;
}

function print(json: boolean, value: unknown, lines: readonly string[]): void {
  process.stdout.write(json ? `${JSON.stringify(value, undefined, 2)}\n` : `${lines.join('\n')}\n`);
}
