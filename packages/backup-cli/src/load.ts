import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { type CopyRow, copyRows, HEADER, TRAILER } from './copy-rows.ts';
import { readCompressed } from './kept-file.ts';
import type { Backup, KeptFile } from './manifest.ts';
import { BackupRefused } from './refused.ts';

const fileOf = ({ manifest }: Backup, table: string): KeptFile | undefined => manifest.files.find((file) => file.table === table);

/**
 * Loads a file of a backup, whole or those of its rows that are wanted. @returns how many were loaded
 * @throws BackupRefused when there are not as many as were written
 */
export async function loadTable(
  client: pg.Client,
  backup: Backup,
  table: string,
  options: { readonly into?: string; readonly wants?: (row: CopyRow) => boolean } = {},
): Promise<number> {
  const file = fileOf(backup, table);
  if (file === undefined) return 0;
  const { into = table, wants } = options;
  const columns = file.columns.map((name) => pg.escapeIdentifier(name)).join(', ');
  const copy = client.query(copyFrom(`copy ${into} (${columns}) from stdin (format binary)`, { highWaterMark: 1024 * 1024 }));
  const rows = readCompressed(backup, file);
  await pipeline(wants === undefined ? rows : Readable.from(only(rows, wants)), copy);
  if (wants === undefined && copy.rowCount !== file.rows)
    throw new BackupRefused('Damaged', `${backup.folder}/${file.file} holds ${copy.rowCount} rows, and was written with ${file.rows}.`);
  return copy.rowCount;
}

async function* only(chunks: AsyncIterable<Buffer>, wants: (row: CopyRow) => boolean): AsyncGenerator<Buffer> {
  yield HEADER;
  for await (const rows of copyRows(chunks)) {
    const kept = rows.filter(wants);
    if (kept.length > 0) yield Buffer.concat(kept.map((row) => row.bytes));
  }
  yield TRAILER;
}

/** Every row of a table in a backup. */
export async function* rowsOf(backup: Backup, table: string): AsyncGenerator<CopyRow> {
  const file = fileOf(backup, table);
  if (file === undefined) return;
  for await (const rows of copyRows(readCompressed(backup, file))) yield* rows;
}
