import pg from 'pg';
import { translate } from './failures.ts';

/** The newest checkpoint of a partition, as far as the next one needs it. */
export interface CheckpointHead {
  readonly size: number;
  readonly note: string;
  readonly frontier: Buffer;
}

/** A checkpoint and what it added: the events from `first` up to, not including, `size`. */
export interface StoredCheckpoint {
  readonly first: number;
  readonly size: number;
  readonly note: string;
  /** 32 bytes per event. */
  readonly leaves: Buffer;
}

/** An event with the columns that copy its envelope. */
export interface StoredRow {
  readonly partition: number;
  readonly position: number;
  readonly stream: string;
  readonly version: number;
  readonly tenant: string;
  readonly type: string;
  /** Epoch ms. */
  readonly at: number;
  readonly envelope: string;
  readonly hash: Buffer;
}

export interface PartitionHead {
  readonly partition: number;
  /** Next position of the log. */
  readonly head: number;
  /** Size of the newest checkpoint. */
  readonly sealed: number;
}

/** Which events are asked for: everything that is given must hold. Times are epoch ms, both ends included. */
export interface WantedEvents {
  readonly workflow?: string;
  readonly tenant?: string;
  readonly types?: readonly string[];
  readonly since?: number;
  readonly until?: number;
}

/** A stream and the version of its last event. */
export interface StreamHead {
  readonly partition: number;
  readonly stream: string;
  readonly version: number;
}

/** A log that was made of another one by a restore, and how many events of a partition it took over. */
export interface Lineage {
  readonly incarnation: string;
  readonly before: string;
  readonly partition: number;
  readonly kept: number;
}

/** The log as its auditors read it, and its signed checkpoints: added to by one role, changed by nobody. */
export class ProofStore {
  readonly #database: Pick<pg.Pool, 'query' | 'end'>;

  private constructor(database: Pick<pg.Pool, 'query' | 'end'>) {
    this.#database = database;
  }

  /** For whoever runs for long: connections that break are replaced. */
  static open(options: { readonly url: string; readonly onError?: (error: Error) => void }): ProofStore {
    const pool = new pg.Pool({ ...settings(options.url), max: 1 });
    pool.on('error', (error) => options.onError?.(error));
    return new ProofStore(pool);
  }

  /** For whoever compares rows: all is read as it stands now, nothing can be written. @throws StoreUnavailable */
  static async snapshot(url: string): Promise<ProofStore> {
    const client = new pg.Client(settings(url));
    client.on('error', () => undefined);
    try {
      await client.connect();
      await client.query('begin isolation level repeatable read read only');
    } catch (error) {
      await client.end().catch(() => undefined);
      throw translate(error);
    }
    return new ProofStore(client);
  }

  /** Where log and checkpoints stand. @throws when the database holds no log */
  async state(): Promise<{ readonly incarnation: string; readonly partitions: readonly PartitionHead[] }> {
    const rows = await this.#query<{ incarnation: string; p: number; head: string; sealed: string }>(
      `select l.incarnation, s.p, s.next_pos as head,
              coalesce((select max(c.size) from proof.checkpoint c where c.incarnation = l.incarnation and c.p = s.p), 0) as sealed
       from es.log l cross join es.partition s order by s.p`,
      [],
    );
    const [first] = rows;
    if (first === undefined) throw new Error('es.log is empty: run the migrations.');
    return {
      incarnation: first.incarnation,
      partitions: rows.map((row) => ({ partition: row.p, head: Number(row.head), sealed: Number(row.sealed) })),
    };
  }

  async newest(incarnation: string, partition: number): Promise<CheckpointHead | undefined> {
    const [row] = await this.#query<{ size: string; note: string; frontier: Buffer }>(
      'select size, note, frontier from proof.checkpoint where incarnation = $1 and p = $2 order by size desc limit 1',
      [incarnation, partition],
    );
    return row === undefined ? undefined : { ...row, size: Number(row.size) };
  }

  /** Adds a checkpoint. @returns false when another one already begins or ends there */
  async add(incarnation: string, partition: number, checkpoint: StoredCheckpoint & { readonly frontier: Buffer }): Promise<boolean> {
    const { first, size, note, leaves, frontier } = checkpoint;
    const added = await this.#query<{ size: string }>(
      `insert into proof.checkpoint (incarnation, p, first_pos, size, note, leaves, frontier) values ($1, $2, $3, $4, $5, $6, $7)
       on conflict do nothing returning size`,
      [incarnation, partition, first, size, note, leaves, frontier],
    );
    return added.length === 1;
  }

  /** A partition's checkpoints from the first one on, up to and including the first whose size is `upTo` or more. */
  async checkpoints(incarnation: string, partition: number, upTo?: number): Promise<readonly StoredCheckpoint[]> {
    const rows = await this.#query<{ first_pos: string; size: string; note: string; leaves: Buffer }>(
      `select first_pos, size, note, leaves from proof.checkpoint where incarnation = $1 and p = $2 and first_pos < $3 order by size`,
      [incarnation, partition, upTo ?? Number.MAX_SAFE_INTEGER],
    );
    return rows.map((row) => ({ first: Number(row.first_pos), size: Number(row.size), note: row.note, leaves: row.leaves }));
  }

  /** Events of a partition from a position on. */
  async rows(partition: number, from: number, limit: number): Promise<readonly StoredRow[]> {
    return this.#rows('e.p = $1 and e.pos >= $2 order by e.pos limit $3', [partition, from, limit]);
  }

  /** Events of one stream from a version on. */
  async streamRows(partition: number, stream: string, from: number, limit: number): Promise<readonly StoredRow[]> {
    return this.#rows('e.p = $1 and e.stream_id = $2 and e.version >= $3 order by e.version limit $4', [partition, stream, from, limit]);
  }

  /** Events of a partition that match, from a position on. */
  async matching(partition: number, wanted: WantedEvents, from: number, limit: number): Promise<readonly StoredRow[]> {
    return this.#rows(`${MATCHES} and e.pos >= $7 order by e.pos limit $8`, [partition, ...valuesOf(wanted), from, limit]);
  }

  /** The last position of a partition that matches, or undefined when none does. */
  async lastMatching(partition: number, wanted: WantedEvents): Promise<number | undefined> {
    const [row] = await this.#query<{ pos: string }>(`select e.pos from es.event e where ${MATCHES} order by e.pos desc limit 1`, [
      partition,
      ...valuesOf(wanted),
    ]);
    return row === undefined ? undefined : Number(row.pos);
  }

  /** Stream → its version, as the log says it. */
  async versions(partition: number): Promise<ReadonlyMap<string, number>> {
    const rows = await this.#query<{ stream_id: string; version: number }>('select stream_id, version from es.stream where p = $1', [
      partition,
    ]);
    return new Map(rows.map((row) => [row.stream_id, row.version]));
  }

  /** The streams that were appended to last, the latest first. */
  async latest(limit: number): Promise<readonly StreamHead[]> {
    return this.#query<StreamHead>(
      `select s.p as partition, s.stream_id as stream, s.version
       from es.stream s join es.event e on e.p = s.p and e.stream_id = s.stream_id and e.version = s.version
       order by e.at desc, s.stream_id limit $1`,
      [limit],
    );
  }

  /** Every restore that this log, and those that it was made of, went through. */
  async lineage(): Promise<readonly Lineage[]> {
    const [known] = await this.#query<{ there: boolean }>("select to_regclass('proof.lineage') is not null as there", []);
    if (known?.there !== true) return [];
    const rows = await this.#query<{ incarnation: string; before: string; p: number; kept: string }>(
      'select incarnation, before, p, kept from proof.lineage order by incarnation, p',
      [],
    );
    return rows.map(({ incarnation, before, p, kept }) => ({ incarnation, before, partition: p, kept: Number(kept) }));
  }

  async close(): Promise<void> {
    await this.#database.end();
  }

  async #rows(where: string, values: readonly unknown[]): Promise<readonly StoredRow[]> {
    const rows = await this.#query<{
      p: number;
      pos: string;
      stream_id: string;
      version: number;
      tenant_id: string;
      type: string;
      at: number;
      envelope: string;
      hash: Buffer;
    }>(
      `select e.p, e.pos, e.stream_id, e.version, e.tenant_id, e.type, round(extract(epoch from e.at) * 1000)::float8 as at,
              e.envelope::text as envelope, e.hash from es.event e where ${where}`,
      values,
    );
    return rows.map((row) => ({
      partition: row.p,
      position: Number(row.pos),
      stream: row.stream_id,
      version: row.version,
      tenant: row.tenant_id,
      type: row.type,
      at: row.at,
      envelope: row.envelope,
      hash: row.hash,
    }));
  }

  async #query<Row extends pg.QueryResultRow>(text: string, values: readonly unknown[]): Promise<Row[]> {
    try {
      return (await this.#database.query<Row>(text, [...values])).rows;
    } catch (error) {
      throw translate(error);
    }
  }
}

const MATCHES = `e.p = $1 and ($2::text is null or e.stream_id = $2) and ($3::text is null or e.tenant_id = $3)
  and ($4::text[] is null or e.type = any($4))
  and ($5::bigint is null or e.at >= to_timestamp($5 / 1000.0)) and ($6::bigint is null or e.at <= to_timestamp($6 / 1000.0))`;

const valuesOf = ({ workflow, tenant, types, since, until }: WantedEvents): readonly unknown[] => [
  workflow ?? null,
  tenant ?? null,
  types ?? null,
  since ?? null,
  until ?? null,
];

/**
 * Without bitmap scans: of a log that Postgres has no statistics of yet (a new one, a restored one) it would read and sort
 * all the rest of a partition for each page.
 */
const settings = (url: string): pg.ClientConfig => ({
  connectionString: url,
  connectionTimeoutMillis: 3_000,
  application_name: 'mandate-proofs',
  options: '-c jit=off -c enable_bitmapscan=off',
});
