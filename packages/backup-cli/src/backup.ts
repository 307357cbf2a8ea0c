/** `npm run backup -- …`. See docs/operations.md, "Backups". */
import { homeFolder, readRunFile } from '@mandate/local';
import { parseArgs } from 'node:util';
import { readBackup } from './manifest.ts';
import { problemOf, say } from './problem.ts';
import { BackupRefused } from './refused.ts';
import { wholeBackups } from './restore-log.ts';
import { writeBackup } from './write-backup.ts';

const help = `backup --to F                  write the log into the folder F, which must be empty or new
backup --to F --since B        only what came after the backup in B
backup --keys --to F           the same for the database of the data keys, always in full
backup --check F [--check G]…  look at every byte of a full backup, and of those that continue it; [--keys]

Everything goes on meanwhile. Keep the two apart, and those of the keys for a short time only: whoever has both, and a
master key, can read what was erased in between. Make the keys' after the log's: it then has every key that the log needs.

The log is DATABASE_URL (role mandate_projector), the keys' database is KEYS_DATABASE_URL (role mandate_orchestrator, for
nobody else may read whom a key is about). Without them both are those of the stack that runs here (npm start).

Ends with 0 when the backup is whole, 1 when it is not, 2 when it could not be made.
`;

const options = {
  to: { type: 'string' },
  since: { type: 'string' },
  check: { type: 'string', multiple: true },
  keys: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

type Values = ReturnType<typeof parseArgs<{ options: typeof options }>>['values'];

process.exitCode = await main(process.argv.slice(2));

async function main(argv: readonly string[]): Promise<number> {
  try {
    const { values } = parseArgs({ args: [...argv], options });
    if (values.check !== undefined) return await check(values, values.check);
    if (values.help || values.to === undefined) {
      process.stdout.write(help);
      return values.help ? 0 : 2;
    }
    return await write(values, values.to);
  } catch (error) {
    return problemOf('backup', error);
  }
}

async function write({ keys, since }: Values, to: string): Promise<number> {
  const database = keys ? 'keys' : 'log';
  if (keys && since !== undefined) throw new BackupRefused('NotPossible', 'the keys are always backed up in full: leave --since out.');
  const url = await databaseUrl(database);
  const base = since === undefined ? {} : { since: await readBackup(since) };
  const { at, partitions, files } = await writeBackup({ url, database, folder: to, say, ...base });
  const events = partitions.reduce((sum, { from, next }) => sum + next - from, 0);
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  const what = keys ? `${files[0]?.rows ?? 0} keys` : `${events} events`;
  process.stdout.write(`${to}: ${what} of ${at}, ${(bytes / 1e6).toFixed(1)} MB\n`);
  return 0;
}

async function check({ keys }: Values, folders: readonly string[]): Promise<number> {
  await wholeBackups(folders, keys ? 'keys' : 'log', say);
  process.stdout.write('OK: every file is as it was written.\n');
  return 0;
}

async function databaseUrl(database: 'log' | 'keys'): Promise<string> {
  const name = database === 'log' ? 'DATABASE_URL' : 'KEYS_DATABASE_URL';
  const given = process.env[name];
  if (given) return given;
  const run = await readRunFile(homeFolder());
  if (run === undefined) throw new BackupRefused('NotPossible', `which database? Set ${name}, or start a stack here (npm start).`);
  const address = new URL(run.postgres.url);
  address.pathname = database === 'log' ? '/mandate' : '/mandate_keys';
  return address.href;
}
