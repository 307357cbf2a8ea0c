/** `manifest.json` of a backup: what is in it, and the hashes that prove it. Written last: a folder without it is no backup. */
import { createHash } from 'node:crypto';
import { open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { BackupRefused } from './refused.ts';

export const FORMAT = 1;

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const position = z.int().nonnegative();
const name = z.string().regex(/^[a-z0-9_.]{1,60}$/);

const partition = z.object({
  p: z.int().nonnegative(),
  /** The backup holds the positions from here … */
  from: position,
  /** … up to, not including, here. */
  next: position,
  epoch: position,
  published: position,
  /** Size of the newest signed checkpoint of this log. */
  sealed: position,
});
export type KeptPartition = z.infer<typeof partition>;

const file = z.object({
  /** In the folder. */
  file: name,
  /** Binary COPY rows of these columns, zstd. */
  table: name,
  columns: z.array(name).min(1),
  rows: position,
  bytes: position,
  /** Of the file as it lies there. */
  sha256,
});
export type KeptFile = z.infer<typeof file>;

const manifest = z.object({
  format: z.literal(FORMAT),
  database: z.enum(['log', 'keys']),
  /** When its snapshot was taken, ISO 8601, by the database's clock. */
  at: z.iso.datetime({ precision: 3 }),
  migrations: z.array(z.object({ name, sha256 })),
  /** Of a log. */
  incarnation: z.uuid().nullable(),
  partitions: z.array(partition),
  /** `sha256` of the manifest of the backup that this one continues. */
  since: sha256.nullable(),
  files: z.array(file),
  /** Of this object without this field, as JSON. */
  sha256,
});
export type Manifest = Readonly<z.infer<typeof manifest>>;

/** A backup that is complete. Its files were not looked at. */
export interface Backup {
  readonly folder: string;
  readonly manifest: Manifest;
}

const NAME = 'manifest.json';

const digest = (content: Omit<Manifest, 'sha256'>): string => createHash('sha256').update(JSON.stringify(content)).digest('hex');

/** Seals the folder: before this, nobody takes it for a backup. */
export async function writeManifest(folder: string, content: Omit<Manifest, 'sha256'>): Promise<Manifest> {
  const whole = { ...content, sha256: digest(content) };
  const draft = await open(join(folder, `${NAME}.part`), 'w', 0o600);
  try {
    await draft.writeFile(`${JSON.stringify(whole, undefined, 2)}\n`);
    await draft.sync();
  } finally {
    await draft.close();
  }
  await rename(join(folder, `${NAME}.part`), join(folder, NAME));
  await syncFolder(folder);
  return whole;
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** @throws BackupRefused when the folder holds no whole backup, or one of another format */
export async function readBackup(folder: string): Promise<Backup> {
  const path = join(folder, NAME);
  const text = await readFile(path, 'utf8').catch(() => {
    throw new BackupRefused(
      'Damaged',
      `${folder} is no whole backup: it has no ${NAME}. A backup that was broken off has none; make it again.`,
    );
  });
  const found = parsed(text) as { format?: unknown; sha256?: unknown } | undefined;
  if (typeof found?.format === 'number' && found.format !== FORMAT)
    throw new BackupRefused('OtherVersion', `${path} has format ${found.format}; this program reads format ${FORMAT}.`);
  const read = manifest.safeParse(found);
  if (!read.success)
    throw new BackupRefused(
      'Damaged',
      `${path} is no manifest: ${read.error.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`).join(', ')}`,
    );
  const { sha256: said, ...content } = read.data;
  if (digest(content) !== said) throw new BackupRefused('Damaged', `${path} was changed: its own SHA-256 does not fit.`);
  return { folder, manifest: read.data };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Checks that each continues the one before it. @throws BackupRefused */
export function inSequence(backups: readonly Backup[], database: Manifest['database']): void {
  for (const [index, { folder, manifest: each }] of backups.entries()) {
    if (each.database !== database)
      throw new BackupRefused('NotPossible', `${folder} is a backup of the ${each.database} database, not of the ${database} database.`);
    const before = backups[index - 1];
    if (before === undefined && each.since !== null)
      throw new BackupRefused('NotContinued', `${folder} is incremental: the first --from must be a full backup.`);
    if (before !== undefined && each.since !== before.manifest.sha256)
      throw new BackupRefused(
        'NotContinued',
        `${folder} does not continue ${before.folder}: it was made ${each.since === null ? 'in full' : 'since another backup'}. Give them in the order in which they were made.`,
      );
  }
}
