import { partitionOf } from '@mandate/domain';
import { EventLog, KeyCustody, migrateOne } from '@mandate/event-store';
import { loadTable } from './load.ts';
import { wholeBackups } from './restore-log.ts';
import { connect, migrateTo, requireEmpty } from './target.ts';

export interface RestoreKeysOptions {
  /** Of the owner of the empty database of the keys. */
  readonly url: string;
  readonly folder: string;
  /** The log that they belong to, when it is there: keys of erased content are destroyed again at once. */
  readonly logUrl?: string;
  /** Further workflows whose content was erased. */
  readonly erased?: readonly string[];
  readonly say: (line: string) => void;
}

/** Makes the database of the keys from its backup. @returns how many keys, and how many of them had been destroyed before */
export async function restoreKeys(options: RestoreKeysOptions): Promise<{ readonly keys: number; readonly destroyed: number }> {
  const { url, folder, logUrl, erased = [], say } = options;
  const [backup] = await wholeBackups([folder], 'keys', say);
  if (backup === undefined) return { keys: 0, destroyed: 0 };
  const client = await connect(url);
  let keys = 0;
  try {
    await requireEmpty(client, 'keys');
    await migrateTo(url, 'keys', backup.manifest, say);
    await client.query('begin');
    for (const { table } of backup.manifest.files) {
      const rows = await loadTable(client, backup, table);
      if (table === 'keys.data_key') keys = rows;
    }
    await client.query('commit');
  } finally {
    await client.end();
  }
  await migrateOne(url, 'keys', { log: say });
  return { keys, destroyed: await destroyAgain(url, logUrl, erased) };
}

/** A backup brings destroyed keys back; the log says which. */
async function destroyAgain(url: string, logUrl: string | undefined, later: readonly string[]): Promise<number> {
  if (logUrl === undefined) return 0;
  const log = new EventLog({ url: logUrl, connections: 1 });
  const custody = KeyCustody.open(url);
  try {
    const erased = await log.erased();
    const ofLater = await Promise.all(later.map((workflow) => log.keysOf(partitionOf(workflow) ?? -1, workflow)));
    return await custody.destroy({ workflows: [...erased.workflows, ...later], keys: [...erased.keys, ...ofLater.flat()] });
  } finally {
    await log.close();
    await custody.close();
  }
}
