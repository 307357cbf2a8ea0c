import type { Pool, PoolClient, QueryConfig, QueryResult, QueryResultRow } from 'pg';
import type { Generation } from './generations.ts';
import { openPool } from './pool.ts';

const QUERY_TIMEOUT_MS = 5_000;
const CONNECTIONS = 8;

/** What may be asked for one tenant. */
export interface TenantRows {
  query<Row extends QueryResultRow>(text: string | QueryConfig, values?: unknown[]): Promise<QueryResult<Row>>;
}

/**
 * The read models that serve now, as queries see them. Every connection is told whose rows it may see and sees no others,
 * whatever a statement says or forgets.
 */
export class ReadModels {
  readonly #databaseUrl: string;
  #pool: Pool | undefined;
  #generation: number | undefined;
  /** Those that served before, and when they are let go of. */
  readonly #leaving = new Map<Pool, NodeJS.Timeout>();
  /** Whose rows a connection shows. */
  readonly #shownTo = new WeakMap<PoolClient, string>();

  constructor(databaseUrl: string) {
    this.#databaseUrl = databaseUrl;
  }

  /** From now on these are asked. Questions that are under way end with the ones before, which stay for a while. */
  serve(generation: Generation): void {
    if (this.#generation === generation.id) return;
    const before = this.#pool;
    this.#generation = generation.id;
    this.#pool = openPool(this.#databaseUrl, {
      max: CONNECTIONS,
      timeoutMs: QUERY_TIMEOUT_MS,
      name: 'projector-queries',
      slot: generation.slot,
      role: 'mandate_reader',
    });
    if (before !== undefined)
      this.#leaving.set(
        before,
        setTimeout(() => void this.#end(before), 2 * QUERY_TIMEOUT_MS),
      );
  }

  /** For one question: all that it asks is answered by the same models. @throws before the first ones are there */
  of(tenant: string): TenantRows {
    const pool = this.#pool;
    if (pool === undefined) throw new Error('the read models are not prepared yet');
    return { query: async (text, values) => this.#ask(pool, tenant, text, values) };
  }

  async close(): Promise<void> {
    await Promise.all([...this.#leaving.keys()].map((pool) => this.#end(pool)));
    await this.#pool?.end();
  }

  async #end(pool: Pool): Promise<void> {
    clearTimeout(this.#leaving.get(pool));
    this.#leaving.delete(pool);
    await pool.end();
  }

  async #ask<Row extends QueryResultRow>(
    pool: Pool,
    tenant: string,
    text: string | QueryConfig,
    values?: unknown[],
  ): Promise<QueryResult<Row>> {
    const client = await pool.connect();
    let broken = true;
    try {
      if (this.#shownTo.get(client) !== tenant) {
        this.#shownTo.delete(client);
        await client.query({ name: 'show-to', text: "select set_config('mandate.tenant', $1, false)", values: [tenant] });
        this.#shownTo.set(client, tenant);
      }
      const found = await client.query<Row>(text as QueryConfig, values);
      broken = false;
      return found;
    } catch (error) {
      // What the server said is about the statement; anything else is about the connection.
      broken = (error as { severity?: string }).severity !== 'ERROR';
      throw error;
    } finally {
      client.release(broken);
    }
  }
}
