import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import pg from 'pg';
import { seal, unseal } from './content-cipher.ts';
import { translate } from './failures.ts';

export interface DataKey {
  readonly id: string;
  readonly key: Buffer;
}

const POOL = 128;
const CACHED = 20_000;

/**
 * Keys of content: one per workflow, wrapped by a master key from a file. New ones are stored in stock, many at once,
 * so that starting a workflow costs no round trip. A destroyed key makes its content unreadable for ever.
 */
export class DataKeys {
  readonly #pool: pg.Pool;
  readonly #master: Buffer;
  readonly #cache = new Map<string, Buffer>();
  #stock: DataKey[] = [];
  #restocking: Promise<void> | undefined;

  private constructor(pool: pg.Pool, master: Buffer) {
    this.#pool = pool;
    this.#master = master;
  }

  /** `masterKeyFile` holds 32 bytes as 64 hex digits. @throws when it is missing or has another length */
  static async open(options: {
    readonly url: string;
    readonly masterKeyFile: string;
    readonly onError?: (error: Error) => void;
  }): Promise<DataKeys> {
    const text = (await readFile(options.masterKeyFile, 'utf8')).trim();
    if (!/^[0-9a-f]{64}$/i.test(text))
      throw new Error(`${options.masterKeyFile} must hold 64 hex digits (32 bytes). Make one with: openssl rand -hex 32`);
    const pool = new pg.Pool({ connectionString: options.url, max: 2, connectionTimeoutMillis: 3_000, application_name: 'mandate-keys' });
    pool.on('error', (error) => options.onError?.(error));
    return new DataKeys(pool, Buffer.from(text, 'hex'));
  }

  /** A key that nobody has used, already stored. */
  async fresh(): Promise<DataKey> {
    if (this.#stock.length < POOL / 4) this.#restocking ??= this.#restock().finally(() => (this.#restocking = undefined));
    // In the background it may fail without consequence: only an empty stock is waited for.
    this.#restocking?.catch(() => undefined);
    for (let key = this.#stock.pop(); ; key = this.#stock.pop()) {
      if (key !== undefined) return key;
      this.#restocking ??= this.#restock().finally(() => (this.#restocking = undefined));
      await this.#restocking;
    }
  }

  /** Keys by id; a missing one was destroyed. */
  async get(ids: readonly string[]): Promise<ReadonlyMap<string, Buffer>> {
    const wanted = [...new Set(ids)];
    const missing = wanted.filter((id) => !this.#cache.has(id));
    if (missing.length > 0) {
      const rows = await this.#pool
        .query<{ key_id: string; wrapped: Buffer }>({
          name: 'keys',
          text: 'select key_id, wrapped from keys.data_key where key_id = any ($1)',
          values: [missing],
        })
        .catch((error: unknown) => {
          throw translate(error);
        });
      for (const row of rows.rows) this.#remember(row.key_id, unseal(this.#master, row.key_id, row.wrapped));
    }
    return new Map(
      wanted.flatMap((id) => {
        const key = this.#cache.get(id);
        return key === undefined ? [] : [[id, key] as const];
      }),
    );
  }

  async close(): Promise<void> {
    await this.#restocking?.catch(() => undefined);
    await this.#pool.end();
  }

  async #restock(): Promise<void> {
    const keys = Array.from({ length: POOL }, (): DataKey => ({ id: `k_${randomBytes(12).toString('hex')}`, key: randomBytes(32) }));
    await this.#pool
      .query({
        name: 'restock',
        text: 'insert into keys.data_key (key_id, wrapped) select * from unnest($1::text[], $2::bytea[])',
        values: [keys.map(({ id }) => id), keys.map(({ id, key }) => seal(this.#master, id, key))],
      })
      .catch((error: unknown) => {
        throw translate(error);
      });
    for (const { id, key } of keys) this.#remember(id, key);
    this.#stock = [...keys, ...this.#stock];
  }

  #remember(id: string, key: Buffer): void {
    if (this.#cache.size >= CACHED) this.#cache.delete(this.#cache.keys().next().value ?? '');
    this.#cache.set(id, key);
  }
}
