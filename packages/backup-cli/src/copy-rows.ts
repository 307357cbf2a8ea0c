/** Postgres' binary COPY format: a header, tuples of fields with their lengths, a trailer. */
import { BackupRefused } from './refused.ts';

const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1');
export const HEADER = Buffer.concat([SIGNATURE, Buffer.alloc(8)]);
export const TRAILER = Buffer.from([0xff, 0xff]);
/** Microseconds since 2000-01-01. */
const EPOCH_2000_MS = Date.UTC(2000, 0, 1);

export interface CopyRow {
  /** The tuple as it stands there. */
  readonly bytes: Buffer;
  readonly fields: readonly (Buffer | null)[];
}

/** The rows, as many at a time as have come in. @throws BackupRefused when it is no such stream, or ends before its end */
export async function* copyRows(chunks: AsyncIterable<Buffer>): AsyncGenerator<readonly CopyRow[]> {
  let rest: Buffer = Buffer.alloc(0);
  let isBegun = false;
  let isEnded = false;
  for await (const chunk of chunks) {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    if (!isBegun) {
      if (rest.length < HEADER.length) continue;
      if (!rest.subarray(0, SIGNATURE.length).equals(SIGNATURE)) throw new BackupRefused('Damaged', 'the file holds no binary COPY rows.');
      rest = rest.subarray(HEADER.length + rest.readInt32BE(SIGNATURE.length + 4));
      isBegun = true;
    }
    const rows: CopyRow[] = [];
    for (let row = firstRow(rest); row !== undefined; row = firstRow(rest)) {
      if (row === 'end') {
        isEnded = true;
        break;
      }
      rows.push(row);
      rest = rest.subarray(row.bytes.length);
    }
    if (rows.length > 0) yield rows;
  }
  if (!isEnded) throw new BackupRefused('Damaged', 'the file ends in the middle of its rows.');
}

function firstRow(bytes: Buffer): CopyRow | 'end' | undefined {
  if (bytes.length < 2) return undefined;
  const count = bytes.readInt16BE(0);
  if (count === -1) return 'end';
  const fields: (Buffer | null)[] = [];
  let at = 2;
  for (let field = 0; field < count; field++) {
    if (bytes.length < at + 4) return undefined;
    const length = bytes.readInt32BE(at);
    at += 4;
    if (length === -1) {
      fields.push(null);
      continue;
    }
    if (bytes.length < at + length) return undefined;
    fields.push(bytes.subarray(at, at + length));
    at += length;
  }
  return { bytes: bytes.subarray(0, at), fields };
}

/** Reads fields of rows by their names. */
export class Columns {
  readonly #index: ReadonlyMap<string, number>;

  constructor(names: readonly string[]) {
    this.#index = new Map(names.map((name, index) => [name, index]));
  }

  smallint(row: CopyRow, name: string): number {
    return this.#bytes(row, name).readInt16BE(0);
  }

  int(row: CopyRow, name: string): number {
    return this.#bytes(row, name).readInt32BE(0);
  }

  bigint(row: CopyRow, name: string): number {
    return Number(this.#bytes(row, name).readBigInt64BE(0));
  }

  text(row: CopyRow, name: string): string {
    return this.#bytes(row, name).toString('utf8');
  }

  /** Epoch ms. */
  time(row: CopyRow, name: string): number {
    return EPOCH_2000_MS + Number(this.#bytes(row, name).readBigInt64BE(0)) / 1_000;
  }

  #bytes(row: CopyRow, name: string): Buffer {
    const bytes = row.fields[this.#index.get(name) ?? -1];
    if (bytes === undefined || bytes === null) throw new BackupRefused('Damaged', `the file has a row without ${name}.`);
    return bytes;
  }
}
