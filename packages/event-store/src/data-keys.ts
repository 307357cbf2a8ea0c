import { createHmac, randomBytes } from 'node:crypto';
import pg from 'pg';
import { translate } from './failures.ts';
import { type MasterKeys, masterKeysInFile } from './master-keys.ts';

export interface DataKey {
  readonly id: string;
  readonly key: Buffer;
}

export type DataKeysOptions = {
  readonly url: string;
  readonly onError?: (error: Error) => void;
  /** How long a key is believed to be there without asking again, should the news of its destruction be missed. @default 60,000 */
  readonly believedMs?: number;
} & ({ readonly masterKeys: MasterKeys } | { readonly masterKeyFile: string });

const POOL = 128;
const CACHED = 20_000;
const BELIEVED_MS = 60_000;

/**
 * Keys of content: one per workflow, and one per parked message, each wrapped by a master key. New ones are stored in
 * stock, many at once, so that starting a workflow costs no round trip. A destroyed key makes its content unreadable for ever.
 */
export class DataKeys {
  readonly #pool: pg.Pool;
  readonly #master: MasterKeys;
  readonly #believedMs: number;
  readonly #cache = new Map<string, { readonly key: Buffer; readonly at: number }>();
  /** Destroyed while somebody may still be reading them: they are not remembered again. */
  readonly #forgotten = new Set<string>();
  #stock: DataKey[] = [];
  #restocking: Promise<void> | undefined;
  #digests: Promise<Buffer> | undefined;

  private constructor(pool: pg.Pool, master: MasterKeys, believedMs: number) {
    this.#pool = pool;
    this.#master = master;
    this.#believedMs = believedMs;
  }

  /** @throws MasterKeyInvalid when the master key file is missing, or holds something else than keys */
  static async open(options: DataKeysOptions): Promise<DataKeys> {
    const master = 'masterKeys' in options ? options.masterKeys : masterKeysInFile(options.masterKeyFile);
    const pool = new pg.Pool({ connectionString: options.url, max: 2, connectionTimeoutMillis: 3_000, application_name: 'mandate-keys' });
    pool.on('error', (error) => options.onError?.(error));
    return new DataKeys(pool, master, options.believedMs ?? BELIEVED_MS);
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
    const old = performance.now() - this.#believedMs;
    const missing = wanted.filter((id) => (this.#cache.get(id)?.at ?? -Infinity) < old);
    if (missing.length > 0) {
      const rows = await this.#query<{ key_id: string; wrapped: Buffer; master_key: string | null }>(
        { name: 'keys', text: 'select key_id, wrapped, master_key from keys.data_key where key_id = any ($1)' },
        [missing],
      );
      for (const id of missing) this.#cache.delete(id);
      for (const row of rows)
        this.#remember(row.key_id, await this.#master.unwrap(row.key_id, { master: row.master_key, wrapped: row.wrapped }));
    }
    return new Map(
      wanted.flatMap((id) => {
        const key = this.#cache.get(id)?.key;
        return key === undefined ? [] : [[id, key] as const];
      }),
    );
  }

  /**
   * Notes what a key is found by beside the log: the person whom its workflow is about, or the workflow whose parked
   * message it encrypts. Noted twice is noted once.
   */
  async note(key: string, owner: { readonly workflow: string; readonly tenant: string; readonly subject?: string }): Promise<void> {
    await this.#query(
      {
        name: 'note',
        text: 'insert into keys.belongs (key_id, workflow, tenant_id, subject) values ($1, $2, $3, $4) on conflict do nothing',
      },
      [key, owner.workflow, owner.tenant, owner.subject ?? null],
    );
  }

  /** Digest under a key of our own: equal words of a tenant are found again, and nothing can be learned from it. 64 hex digits. */
  async digest(what: 'subject' | 'parked', tenant: string, words: string | Buffer): Promise<string> {
    this.#digests ??= this.#ownKey('digests');
    const key = await this.#digests.catch((error: unknown) => {
      this.#digests = undefined;
      throw error;
    });
    return createHmac('sha256', key).update(`${what}/${tenant}/`).update(words).digest('hex');
  }

  /** The digest of whom a workflow of this tenant is about, if it was noted. */
  async subjectOf(workflow: string, tenant: string): Promise<string | undefined> {
    const [row] = await this.#query<{ subject: string }>(
      {
        name: 'subject-of',
        text: 'select subject from keys.belongs where workflow = $1 and tenant_id = $2 and subject is not null limit 1',
      },
      [workflow, tenant],
    );
    return row?.subject;
  }

  /** Every workflow that is noted to be about this person, with its key. */
  async ofSubject(tenant: string, digest: string): Promise<readonly { readonly workflow: string; readonly key: string }[]> {
    return this.#query<{ workflow: string; key: string }>(
      {
        name: 'of-subject',
        text: 'select workflow, key_id as key from keys.belongs where tenant_id = $1 and subject = $2 order by workflow',
      },
      [tenant, digest],
    );
  }

  /**
   * Destroys these keys and whatever else belongs to the workflow. What is gone already does not matter.
   * @returns the ids of all of them, those that were gone included, for everybody else to forget
   */
  async destroy(workflow: string, ids: readonly string[]): Promise<{ readonly keys: readonly string[]; readonly destroyed: number }> {
    const rows = await this.#query<{ key_id: string }>(
      {
        name: 'destroy',
        text: 'delete from keys.data_key where key_id = any ($1) or key_id in (select key_id from keys.belongs where workflow = $2) returning key_id',
      },
      [ids, workflow],
    );
    const keys = [...new Set([...ids, ...rows.map((row) => row.key_id)])];
    this.forget(keys);
    return { keys, destroyed: rows.length };
  }

  /** These were destroyed by somebody. */
  forget(ids: readonly string[]): void {
    for (const id of ids) {
      this.#cache.delete(id);
      this.#forgotten.add(id);
    }
    for (const id of this.#forgotten) if (this.#forgotten.size > CACHED) this.#forgotten.delete(id);
  }

  async close(): Promise<void> {
    await this.#restocking?.catch(() => undefined);
    await this.#pool.end();
  }

  async #restock(): Promise<void> {
    const keys = Array.from({ length: POOL }, (): DataKey => ({ id: `k_${randomBytes(12).toString('hex')}`, key: randomBytes(32) }));
    const wrapped = await Promise.all(keys.map(({ id, key }) => this.#master.wrap(id, key)));
    await this.#query(
      {
        name: 'restock',
        text: 'insert into keys.data_key (key_id, wrapped, master_key) select * from unnest($1::text[], $2::bytea[], $3::text[])',
      },
      [keys.map(({ id }) => id), wrapped.map((each) => each.wrapped), wrapped.map((each) => each.master)],
    );
    for (const { id, key } of keys) this.#remember(id, key);
    this.#stock = [...keys, ...this.#stock];
  }

  /** One of our own keys, made by whoever asks first. */
  async #ownKey(name: string): Promise<Buffer> {
    const { master, wrapped } = await this.#master.wrap(name, randomBytes(32));
    await this.#query(
      { name: 'own-key-make', text: 'insert into keys.own_key (name, wrapped, master_key) values ($1, $2, $3) on conflict do nothing' },
      [name, wrapped, master],
    );
    const [row] = await this.#query<{ wrapped: Buffer; master_key: string }>(
      { name: 'own-key', text: 'select wrapped, master_key from keys.own_key where name = $1' },
      [name],
    );
    if (row === undefined) throw new Error(`the key ${name} is gone from keys.own_key`);
    return this.#master.unwrap(name, { master: row.master_key, wrapped: row.wrapped });
  }

  async #query<Row extends pg.QueryResultRow>(
    statement: { readonly name: string; readonly text: string },
    values: readonly unknown[],
  ): Promise<Row[]> {
    try {
      return (await this.#pool.query<Row>({ ...statement, values: [...values] })).rows;
    } catch (error) {
      throw translate(error);
    }
  }

  #remember(id: string, key: Buffer): void {
    if (this.#forgotten.has(id)) return;
    if (this.#cache.size >= CACHED) this.#cache.delete(this.#cache.keys().next().value ?? '');
    this.#cache.set(id, { key, at: performance.now() });
  }
}
