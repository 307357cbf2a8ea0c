/** One file of a backup: rows as COPY gives and takes them, compressed, with its hash. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib';
import type { Backup, KeptFile } from './manifest.ts';
import { BackupRefused } from './refused.ts';

const CHUNK = 256 * 1024;
/** Hash, size and compressed bytes; the file is on the disk when it resolves. */
export interface Written {
  readonly bytes: number;
  readonly sha256: string;
}

export async function writeCompressed(path: string, rows: Readable): Promise<Written> {
  const hash = createHash('sha256');
  let bytes = 0;
  const count = new Transform({
    transform: (chunk: Buffer, _, done) => {
      hash.update(chunk);
      bytes += chunk.length;
      done(null, chunk);
    },
  });
  const handle = await open(path, 'wx', 0o600);
  // Level 3 is faster than the database gives rows; content is ciphertext, which no level makes smaller.
  const compress = createZstdCompress({
    chunkSize: CHUNK,
    params: { [constants.ZSTD_c_compressionLevel]: 3, [constants.ZSTD_c_checksumFlag]: 1 },
  });
  // It syncs and closes the file.
  await pipeline(rows, compress, count, handle.createWriteStream({ flush: true }));
  return { bytes, sha256: hash.digest('hex') };
}

/** Reads every file of a backup and compares its hash. @throws BackupRefused that names the first one that is not right */
export async function checkFiles({ folder, manifest }: Backup): Promise<void> {
  for (const { file, bytes, sha256 } of manifest.files) {
    const path = join(folder, file);
    const size = await stat(path).then(
      (found) => found.size,
      () => undefined,
    );
    if (size === undefined) throw new BackupRefused('Damaged', `${path} is missing.`);
    if (size !== bytes) throw new BackupRefused('Damaged', `${path} is damaged: it has ${size} bytes, and was written with ${bytes}.`);
    const hash = createHash('sha256');
    for await (const chunk of createReadStream(path, { highWaterMark: CHUNK })) hash.update(chunk as Buffer);
    if (hash.digest('hex') !== sha256)
      throw new BackupRefused('Damaged', `${path} is damaged: its SHA-256 is not the one that was written.`);
  }
}

/** The bytes as COPY wrote them. */
export function readCompressed({ folder }: Backup, { file }: KeptFile): Readable {
  const raw = createReadStream(join(folder, file), { highWaterMark: CHUNK });
  const rows = createZstdDecompress({ chunkSize: CHUNK });
  raw.on('error', (error) => rows.destroy(error));
  return raw.pipe(rows);
}
