/** `npm run restore -- …`. See docs/operations.md, "Backups". */
import { homeFolder, loadSecrets, lockFolder, startPostgres } from '@mandate/local';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { problemOf, say } from './problem.ts';
import { BackupRefused } from './refused.ts';
import { restoreKeys } from './restore-keys.ts';
import { type RestoredLog, restoreLog } from './restore-log.ts';

const help = `restore --from F [--from I]…   make the log from the full backup F and those that continue it, in order
restore --keys K               make the database of the data keys; both may be given at once

  --until T           the log as it was at an instant (2026-11-21T14:00:00Z): each partition ends before its first later event
  --same-incarnation  the log goes on as the same one: only for a move, when nothing was written after the backup

Stop every service first. The databases must be empty, and are made whole or not at all; every SHA-256 is compared before
anything is written, and every hash chain is walked afterwards. A restored log is another one (a new incarnation), unless you
say otherwise: read models are then made anew, and the bus must be emptied before services start, for its claims and
answers belong to the log that was.

The databases are DATABASE_URL and KEYS_DATABASE_URL (their owner, or a superuser, who may create roles). Without them they are
those of this folder's stack, which must not run: its Postgres is started for this, and its bus is emptied.

Ends with 0 when all is right, 1 when a backup is damaged or its log was not right, 2 when it could not be restored.
`;

const options = {
  from: { type: 'string', multiple: true },
  keys: { type: 'string' },
  until: { type: 'string' },
  'same-incarnation': { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

type Values = ReturnType<typeof parseArgs<{ options: typeof options }>>['values'];

interface Databases {
  readonly log: string | undefined;
  readonly keys: string | undefined;
  /** What is to be done about the bus, when the log is another one. */
  readonly emptyBus: () => Promise<string>;
  readonly close: () => Promise<void>;
}

process.exitCode = await main(process.argv.slice(2));

async function main(argv: readonly string[]): Promise<number> {
  try {
    const { values } = parseArgs({ args: [...argv], options });
    if (values.help || (values.from === undefined && values.keys === undefined)) {
      process.stdout.write(help);
      return values.help ? 0 : 2;
    }
    const until = instant(values.until);
    const databases = await databasesToFill();
    try {
      return await restore(values, until, databases);
    } finally {
      await databases.close();
    }
  } catch (error) {
    return problemOf('restore', error);
  }
}

function instant(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const at = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(at)) throw new BackupRefused('NotPossible', `--until must be an instant like 2026-11-21T14:00:00Z, not "${text}".`);
  return at;
}

async function restore(values: Values, until: number | undefined, databases: Databases): Promise<number> {
  const isSameLog = values['same-incarnation'];
  let log: RestoredLog | undefined;
  if (values.from !== undefined) {
    const url = needed(databases.log, 'DATABASE_URL');
    log = await restoreLog({ url, folders: values.from, isSameLog, say, ...(until === undefined ? {} : { until }) });
    process.stdout.write(describeLog(log));
  }
  if (values.keys !== undefined) {
    const { keys, destroyed } = await restoreKeys({
      url: needed(databases.keys, 'KEYS_DATABASE_URL'),
      folder: values.keys,
      say,
      erased: log?.erasedLater ?? [],
      ...(databases.log === undefined ? {} : { logUrl: databases.log }),
    });
    const swept =
      databases.log === undefined
        ? 'Run "keys sweep" when the log is there: destroyed keys are back.'
        : `${destroyed} of them had been destroyed, and are again.`;
    process.stdout.write(`keys: ${keys} restored. ${swept}\n`);
  }
  if (log !== undefined && !isSameLog) process.stdout.write(`bus: ${await databases.emptyBus()}\n`);
  return log === undefined || log.findings.length === 0 ? 0 : 1;
}

function describeLog({ incarnation, before, events, open, erasedLater, findings }: RestoredLog): string {
  const which = incarnation === before ? `the same log, ${incarnation}` : `log ${incarnation}, made of ${before}`;
  return [
    `${which}: ${events} events, ${open} streams still owe something`,
    ...findings.map(({ partition, position, kind, detail }) => `FAILED: partition ${partition}, position ${position}: ${kind}: ${detail}`),
    ...(findings.length > 0
      ? ['The log was so when it was backed up: docs/audit.md, "When it fails".']
      : ['OK: every hash chain is whole. "audit verify" compares it with what was signed.']),
    ...erasedLater.map(
      (workflow) => `erased after the instant that you restored to: ${workflow}. Erase it again, so that this log says so too.`,
    ),
    '',
  ].join('\n');
}

function needed(url: string | undefined, name: string): string {
  if (url === undefined) throw new BackupRefused('NotPossible', `which database? Set ${name} too.`);
  return url;
}

async function databasesToFill(): Promise<Databases> {
  const { DATABASE_URL, KEYS_DATABASE_URL } = process.env;
  if (!DATABASE_URL && !KEYS_DATABASE_URL) return localDatabases();
  return {
    log: DATABASE_URL || undefined,
    keys: KEYS_DATABASE_URL || undefined,
    emptyBus: () =>
      Promise.resolve(
        "empty it before you start any service (delete JetStream's store or its streams, then provision): what it holds is of the log that was.",
      ),
    close: () => Promise.resolve(),
  };
}

/** The stack's own, while it does not run. @throws FolderInUse */
async function localDatabases(): Promise<Databases> {
  const home = homeFolder();
  const lock = await lockFolder(home);
  try {
    const secrets = await loadSecrets(home, ['acme', 'globex']);
    const postgres = await startPostgres({
      dir: join(home, 'postgres'),
      password: secrets.postgres.superuser,
      logFile: join(home, 'logs', 'postgres.log'),
    });
    await postgres.createDatabases('mandate', 'mandate_keys');
    return {
      log: postgres.url('mandate'),
      keys: postgres.url('mandate_keys'),
      emptyBus: async () => {
        await rm(join(home, 'nats'), { recursive: true, force: true });
        return 'emptied, for what it held is of the log that was.';
      },
      close: async () => {
        await postgres.stop();
        await lock.release();
      },
    };
  } catch (error) {
    await lock.release();
    throw error;
  }
}
