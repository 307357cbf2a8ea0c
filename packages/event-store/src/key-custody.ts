import pg from 'pg';
import { translate } from './failures.ts';
import type { MasterKeys } from './master-keys.ts';

/** How many keys a master key wraps. */
export interface MasterKeyUse {
  /** Null: wrapped before there were versions. */
  readonly version: string | null;
  readonly keys: number;
}

export interface RewrapReport {
  readonly rewrapped: number;
  /** Ids of keys that the master keys at hand do not unwrap. */
  readonly unknown: readonly string[];
}

/** The two tables of wrapped keys; both are gone through alike. */
const TABLES = [
  { table: 'keys.data_key', id: 'key_id' },
  { table: 'keys.own_key', id: 'name' },
] as const;

/**
 * What the custodian of the keys does, beside running services: as owner of the keys' database. A service needs none of it.
 */
export class KeyCustody {
  readonly #pool: pg.Pool;

  private constructor(pool: pg.Pool) {
    this.#pool = pool;
  }

  static open(url: string): KeyCustody {
    const pool = new pg.Pool({ connectionString: url, max: 1, connectionTimeoutMillis: 3_000, application_name: 'mandate-key-custody' });
    pool.on('error', () => undefined);
    return new KeyCustody(pool);
  }

  /** The versions in use, the most used first. */
  async inUse(): Promise<readonly MasterKeyUse[]> {
    const rows = await this.#query<{ version: string | null; keys: number }>(
      `select master_key as version, count(*)::int as keys
         from (select master_key from keys.data_key union all select master_key from keys.own_key) k group by 1 order by 2 desc`,
      [],
    );
    return rows;
  }

  /**
   * Wraps every key by the current master key, in batches that each commit: it may be stopped at any time and run again,
   * beside services that make, read and destroy keys. Content is not touched: its keys stay the same.
   */
  async rewrap(
    master: MasterKeys,
    options: { readonly batch?: number; readonly onBatch?: (rewrapped: number) => void } = {},
  ): Promise<RewrapReport> {
    const { batch = 500, onBatch } = options;
    const [current] = await master.versions();
    const unknown = new Set<string>();
    let rewrapped = 0;
    for (const { table, id } of TABLES) {
      for (let after = ''; ; ) {
        const rows = await this.#query<{ id: string; wrapped: Buffer; master: string | null }>(
          `select ${id} as id, wrapped, master_key as master from ${table}
             where ${id} > $1 and master_key is distinct from $2 order by ${id} limit $3`,
          [after, current, batch],
        );
        const last = rows.at(-1);
        if (last === undefined) break;
        after = last.id;
        const moved = await this.#wrapAgain(master, rows, unknown);
        // A key that was destroyed meanwhile has no row any more, and gets none.
        rewrapped += (
          await this.#query<{ id: string }>(
            `update ${table} k set wrapped = n.wrapped, master_key = n.master
               from unnest($1::text[], $2::bytea[], $3::text[]) n (id, wrapped, master) where k.${id} = n.id returning k.${id} as id`,
            [moved.map((row) => row.id), moved.map((row) => row.wrapped), moved.map((row) => row.master)],
          )
        ).length;
        onBatch?.(rewrapped);
      }
    }
    return { rewrapped, unknown: [...unknown] };
  }

  async #wrapAgain(
    master: MasterKeys,
    rows: readonly { readonly id: string; readonly wrapped: Buffer; readonly master: string | null }[],
    unknown: Set<string>,
  ): Promise<readonly { readonly id: string; readonly wrapped: Buffer; readonly master: string | null }[]> {
    const again = await Promise.all(
      rows.map(async (row) => {
        const key = await master.unwrap(row.id, row).catch(() => undefined);
        if (key === undefined) unknown.add(row.id);
        return key === undefined ? [] : [{ id: row.id, ...(await master.wrap(row.id, key)) }];
      }),
    );
    return again.flat();
  }

  /** Destroys keys of erased workflows that came back, with a backup of this database, for instance. @returns how many there were */
  async destroy(erased: { readonly workflows: readonly string[]; readonly keys: readonly string[] }): Promise<number> {
    const gone = await this.#query(
      'delete from keys.data_key where key_id = any ($1) or key_id in (select key_id from keys.belongs where workflow = any ($2)) returning key_id',
      [erased.keys, erased.workflows],
    );
    return gone.length;
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }

  async #query<Row extends pg.QueryResultRow>(text: string, values: readonly unknown[]): Promise<Row[]> {
    try {
      return (await this.#pool.query<Row>(text, [...values])).rows;
    } catch (error) {
      throw translate(error);
    }
  }
}
