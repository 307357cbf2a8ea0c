import pg from 'pg';
import { unseal } from './content-cipher.ts';
import { DataKeys } from './data-keys.ts';
import { translate } from './failures.ts';
import type { MasterKeys } from './master-keys.ts';
import { partitionOf } from '@mandate/domain';

/** Reads content of events; for the read side, which holds no other part of the store. */
export interface ContentReader {
  /** Decrypted content by `<stream>/<version>`. What is missing has none, or was erased. */
  read(rows: readonly { readonly stream: string; readonly version: number }[]): Promise<ReadonlyMap<string, unknown>>;
  /** These keys were destroyed: nothing is opened with them any more. */
  forget(keys: readonly string[]): void;
  close(): Promise<void>;
}

export async function openContent(options: {
  readonly databaseUrl: string;
  readonly keysUrl: string;
  readonly masterKeys: MasterKeys;
  readonly onError?: (error: Error) => void;
}): Promise<ContentReader> {
  const report = options.onError === undefined ? {} : { onError: options.onError };
  const keys = await DataKeys.open({ url: options.keysUrl, masterKeys: options.masterKeys, ...report });
  const pool = new pg.Pool({
    connectionString: options.databaseUrl,
    max: 4,
    connectionTimeoutMillis: 3_000,
    application_name: 'mandate-content',
  });
  pool.on('error', (error) => options.onError?.(error));
  return {
    read: async (rows) => {
      if (rows.length === 0) return new Map();
      const found = await pool
        .query<{ stream_id: string; version: number; key_id: string; body: Buffer }>({
          name: 'content',
          text: 'select c.stream_id, c.version, c.key_id, c.body from unnest($1::smallint[], $2::text[], $3::int[]) w (p, s, v) join es.content c on c.p = w.p and c.stream_id = w.s and c.version = w.v',
          values: [rows.map((row) => partitionOf(row.stream) ?? -1), rows.map((row) => row.stream), rows.map((row) => row.version)],
        })
        .catch((error: unknown) => {
          throw translate(error);
        });
      return openAll(
        keys,
        found.rows.map((row) => ({ stream: row.stream_id, version: row.version, keyId: row.key_id, body: row.body })),
      );
    },
    forget: (ids) => keys.forget(ids),
    close: async () => {
      await Promise.all([pool.end(), keys.close()]);
    },
  };
}

/** What a sealed content is about: authenticated with it. */
export const aboutEvent = (stream: string, version: number): string => `${stream}/${version}`;

/**
 * The words of one stream: sealed until somebody asks. A workflow is loaded for its state far more often than for its
 * words, and opening them is most of the work of loading a long one.
 */
export class SealedWords {
  readonly #stream: string;
  #keys: ReadonlyMap<string, Buffer>;
  readonly #sealed: Map<number, { readonly keyId: string; readonly body: Buffer }>;
  readonly #opened = new Map<number, unknown>();

  /** `keys`: by id; content whose key is missing was erased. */
  constructor(
    stream: string,
    keys: ReadonlyMap<string, Buffer> = new Map(),
    sealed: readonly { readonly version: number; readonly keyId: string; readonly body: Buffer }[] = [],
  ) {
    this.#stream = stream;
    this.#keys = keys;
    this.#sealed = new Map(sealed.map((row) => [row.version, row]));
  }

  get(version: number): unknown {
    const sealed = this.#sealed.get(version);
    const key = sealed === undefined ? undefined : this.#keys.get(sealed.keyId);
    if (sealed !== undefined && key !== undefined) {
      this.#sealed.delete(version);
      this.#opened.set(version, JSON.parse(unseal(key, aboutEvent(this.#stream, version), sealed.body).toString('utf8')));
    }
    return this.#opened.get(version);
  }

  set(version: number, content: unknown): void {
    this.#opened.set(version, content);
  }

  /** They were erased. */
  forget(): void {
    this.#keys = new Map();
    this.#sealed.clear();
    this.#opened.clear();
  }
}

/** Opens sealed contents; those whose key was destroyed are left out. */
async function openAll(
  keys: DataKeys,
  sealed: readonly { readonly stream: string; readonly version: number; readonly keyId: string; readonly body: Buffer }[],
): Promise<ReadonlyMap<string, unknown>> {
  const found = await keys.get(sealed.map((row) => row.keyId));
  const opened = new Map<string, unknown>();
  for (const row of sealed) {
    const key = found.get(row.keyId);
    const about = aboutEvent(row.stream, row.version);
    if (key !== undefined) opened.set(about, JSON.parse(unseal(key, about, row.body).toString('utf8')));
  }
  return opened;
}
