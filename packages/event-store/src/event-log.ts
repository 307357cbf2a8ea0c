import type { StoredAccountEvent, StoredEvent } from '@mandate/contracts';
import pg from 'pg';
import { translate } from './failures.ts';

/** One stream's share of a batch: decided events, ready to be stored. */
export interface StreamWrite {
  readonly partition: number;
  readonly stream: string;
  readonly tenant: string;
  /** 0 for a new stream. */
  readonly expectedVersion: number;
  readonly events: readonly EncodedEvent[];
  readonly headHash: Buffer;
  /** Whether something is still owed after these events. */
  readonly open: boolean;
}

export interface EncodedEvent {
  readonly version: number;
  readonly type: string;
  /** Version of the type's schema. */
  readonly schema: number;
  /** Decision time, epoch ms. */
  readonly at: number;
  /** The exact bytes that are hashed. */
  readonly envelope: string;
  readonly hash: Buffer;
  readonly content?: { readonly keyId: string; readonly body: Buffer };
}

export interface StoredStream {
  readonly stream: string;
  readonly tenant: string;
  /** What was folded from its events up to `version`; `events` begins with the last of those then. */
  readonly snapshot?: { readonly version: number; readonly state: Buffer };
  /** At least one. */
  readonly events: readonly StoredEvent[];
  /** Hash of the last event. */
  readonly headHash: Buffer;
  readonly contents: readonly { readonly version: number; readonly keyId: string; readonly body: Buffer }[];
}

export interface StoredAccount {
  readonly tenant: string;
  readonly events: readonly { readonly event: StoredAccountEvent; readonly hash: Buffer }[];
}

export interface TakenPartition {
  readonly partition: number;
  readonly epoch: number;
  /** Of the log that it was taken in. Another one ends the epoch. */
  readonly incarnation: string;
  readonly nextPosition: number;
  readonly publishedPosition: number;
}

export interface ParkedMessage {
  readonly service: string;
  readonly tenant: string | null;
  readonly subject: string;
  readonly reason: string;
  readonly detail: string;
  readonly sha256: string;
  readonly keyId: string;
  readonly body: Buffer;
  readonly traceparent?: string | undefined;
  /** Of a command: as it was sent with it. */
  readonly signature?: string | undefined;
  /** Whether the body is all of it. @default true */
  readonly whole?: boolean;
}

export type ParkedStatus = 'parked' | 'retrying' | 'retried' | 'abandoned';

/** A row of `es.parked`; times are epoch ms. */
export interface ParkedRow {
  readonly id: number;
  readonly service: string;
  readonly tenant: string | null;
  readonly subject: string;
  readonly reason: string;
  readonly detail: string;
  /** Of the message: equal ones of a tenant have the same. */
  readonly digest: string;
  /** Bytes. */
  readonly size: number;
  readonly whole: boolean;
  readonly traceparent: string | null;
  readonly signature: string | null;
  readonly status: ParkedStatus;
  /** How often it could not be handled. */
  readonly attempts: number;
  readonly at: number;
  readonly lastAt: number;
  readonly decidedBy: string | null;
  readonly decidedAt: number | null;
}

/** What some code folded from the events of a stream up to a version. */
export interface Snapshot {
  readonly partition: number;
  readonly stream: string;
  readonly version: number;
  /** Of the stream at that version. */
  readonly hash: Buffer;
  /** The code: nobody else takes it up. */
  readonly by: string;
  readonly state: Buffer;
}

interface Statement {
  readonly name: string;
  readonly text: string;
  /** Of pg: ms until its answer is not waited for any more. */
  readonly query_timeout?: number;
}

interface EventRow {
  readonly envelope: StoredEvent;
  /** With the last event. */
  readonly head_hash: Buffer | null;
  /** With the event that a snapshot was made at. */
  readonly folded: Buffer | null;
}

/** A sealed body is longer than its words by nonce and tag. */
const PARKED_COLUMNS = `id::int, service, tenant_id as tenant, subject, reason, detail, sha256 as digest, length(body) - 28 as size, whole, traceparent,
  signature, status, attempts, at_ms::float8 as at, last_ms::float8 as "lastAt", decided_by as "decidedBy", decided_ms::float8 as "decidedAt"`;
const NOW_MS = 'floor(extract(epoch from clock_timestamp()) * 1000)';

/**
 * Planning the append anew for every batch costs more than running it; measured in docs/decisions. No compilation either.
 * No bitmaps: without statistics, as in a restored log, a page by position would be found by sorting all the rest of a partition.
 */
const OPTIONS = '-c plan_cache_mode=force_generic_plan -c jit=off -c enable_bitmapscan=off';

const APPEND = {
  name: 'append',
  text: 'select p, base from es.append($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19,$20,$21,$22,$23)',
};

const APPEND_ONE = {
  name: 'append-one',
  text: 'select es.append_one($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18) as base',
};

/** Many values as one, with where each begins (from 1, as SQL counts) and how long it is. */
function joined(parts: readonly Buffer[]): {
  readonly bytes: Buffer;
  readonly starts: readonly number[];
  readonly lengths: readonly number[];
} {
  let next = 1;
  const starts = parts.map((part) => {
    const start = next;
    next += part.length;
    return start;
  });
  return { bytes: Buffer.concat(parts), starts, lengths: parts.map((part) => part.length) };
}

/** A statement whose answer takes longer has a connection that leads nowhere: everything behind it in the lane would wait with it. */
const ANSWER_WITHIN_MS = 10_000;
/** Whatever reads much. */
const READ_WITHIN_MS = 120_000;

/** The append-only log in Postgres: append, read, and the leases that say who may append where. */
export class EventLog {
  readonly #pool: pg.Pool;
  readonly #answerWithinMs: number;

  constructor(options: {
    readonly url: string;
    readonly connections?: number;
    /** Appends and leases that are not answered by then are given up: `StoreUnavailable`. @default 10 s */
    readonly answerWithinMs?: number;
    readonly onError?: (error: Error) => void;
  }) {
    this.#answerWithinMs = options.answerWithinMs ?? ANSWER_WITHIN_MS;
    this.#pool = new pg.Pool({
      connectionString: options.url,
      max: options.connections ?? 6,
      connectionTimeoutMillis: 3_000,
      keepAlive: true,
      query_timeout: READ_WITHIN_MS,
      application_name: 'mandate-event-log',
      options: OPTIONS,
    });
    this.#pool.on('error', (error) => options.onError?.(error));
  }

  /**
   * Stores decisions of many streams, all or nothing.
   *
   * @returns the position of the first event per partition; the others follow in the order given
   * @throws WrongExpectedVersion when a stream has another version
   * @throws Fenced when a partition is owned under another epoch
   * @throws StoreUnavailable when it is not known whether it was stored
   */
  async append(writes: readonly StreamWrite[], epochs: ReadonlyMap<number, number>): Promise<ReadonlyMap<number, number>> {
    const [first] = writes;
    if (first !== undefined && writes.length === 1)
      return new Map([[first.partition, await this.#appendOne(first, epochs.get(first.partition) ?? -1)]]);
    const partitions = [...new Set(writes.map((write) => write.partition))].sort((a, b) => a - b);
    const events = writes.flatMap((write, index) => write.events.map((event) => ({ s: index + 1, ...event })));
    const contents = events.flatMap((event) =>
      event.content === undefined ? [] : [{ s: event.s, version: event.version, ...event.content }],
    );
    const envelopes = joined(events.map((event) => Buffer.from(event.envelope)));
    const bodies = joined(contents.map((content) => content.body));
    const rows = await this.#query<{ p: number; base: string }>(this.#soon(APPEND), [
      partitions,
      partitions.map((p) => epochs.get(p) ?? -1),
      writes.map((write) => write.partition),
      writes.map((write) => write.stream),
      writes.map((write) => write.tenant),
      writes.map((write) => write.expectedVersion),
      writes.map((write) => write.events.length),
      Buffer.concat(writes.map((write) => write.headHash)),
      writes.map((write) => write.open),
      events.map((event) => event.s),
      events.map((event) => event.version),
      events.map((event) => event.type),
      events.map((event) => event.at),
      envelopes.starts,
      envelopes.lengths,
      envelopes.bytes,
      Buffer.concat(events.map((event) => event.hash)),
      contents.map((content) => content.s),
      contents.map((content) => content.version),
      contents.map((content) => content.keyId),
      bodies.starts,
      bodies.lengths,
      bodies.bytes,
    ]);
    return new Map(rows.map((row) => [row.p, Number(row.base)]));
  }

  async #appendOne(write: StreamWrite, epoch: number): Promise<number> {
    const { events } = write;
    const contents = events.flatMap(({ version, content }) => (content === undefined ? [] : [{ version, ...content }]));
    const envelopes = joined(events.map((event) => Buffer.from(event.envelope)));
    const bodies = joined(contents.map((content) => content.body));
    const [row] = await this.#query<{ base: string }>(this.#soon(APPEND_ONE), [
      write.partition,
      epoch,
      write.stream,
      write.tenant,
      write.expectedVersion,
      write.headHash,
      write.open,
      events.map((event) => event.type),
      events.map((event) => event.at),
      envelopes.starts,
      envelopes.lengths,
      envelopes.bytes,
      Buffer.concat(events.map((event) => event.hash)),
      contents.map((content) => content.version),
      contents.map((content) => content.keyId),
      bodies.starts,
      bodies.lengths,
      bodies.bytes,
    ]);
    return Number(row?.base);
  }

  async readStream(partition: number, stream: string, snapshotBy?: string): Promise<StoredStream | undefined> {
    const [found] = await this.#readStreams(partition, [stream], snapshotBy);
    return found;
  }

  /** The hash chain of a stream, from its first event on. */
  async readChain(partition: number, stream: string): Promise<readonly Buffer[]> {
    const rows = await this.#query<{ hash: Buffer }>(
      { name: 'stream-chain', text: 'select hash from es.event where p = $1 and stream_id = $2 order by version' },
      [partition, stream],
    );
    return rows.map(({ hash }) => hash);
  }

  /** An account from the last event that carries everything over on; from the beginning when there is none. */
  async readAccount(partition: number, stream: string): Promise<StoredAccount | undefined> {
    const rows = await this.#query<{ tenant_id: string; envelope: StoredAccountEvent; hash: Buffer }>(
      {
        name: 'account-events',
        text: `select tenant_id, envelope, hash from es.event where p = $1 and stream_id = $2 and version >= coalesce(
          (select version from es.event where p = $1 and stream_id = $2 and type = 'account.carried' order by version desc limit 1), 1) order by version`,
      },
      [partition, stream],
    );
    const tenant = rows[0]?.tenant_id;
    return tenant === undefined ? undefined : { tenant, events: rows.map((row) => ({ event: row.envelope, hash: row.hash })) };
  }

  /** Every account of a partition that guards something. */
  async openAccounts(partition: number): Promise<readonly string[]> {
    const rows = await this.#query<{ stream_id: string }>(
      { name: 'open-accounts', text: "select stream_id from es.stream where p = $1 and open and stream_id ^@ 'ac_'" },
      [partition],
    );
    return rows.map((row) => row.stream_id);
  }

  /** Every workflow of a partition that still owes something. */
  async readOpenStreams(partition: number, snapshotBy: string): Promise<readonly StoredStream[]> {
    const open = await this.#query<{ stream_id: string }>(
      { name: 'open', text: "select stream_id from es.stream where p = $1 and open and stream_id ^@ 'wf_'" },
      [partition],
    );
    const found: StoredStream[] = [];
    for (let i = 0; i < open.length; i += 500)
      found.push(
        ...(await this.#readStreams(
          partition,
          open.slice(i, i + 500).map((row) => row.stream_id),
          snapshotBy,
        )),
      );
    return found;
  }

  async #readStreams(partition: number, streams: readonly string[], snapshotBy = ''): Promise<readonly StoredStream[]> {
    if (streams.length === 0) return [];
    const [events, contents] = await Promise.all([
      // The hash with the last event alone: thousands of rows are read here at once, and all else is in their envelopes.
      this.#query<EventRow>(
        {
          name: 'stream-events',
          text: `select e.envelope, case when e.version = s.version then s.head_hash end as head_hash,
              case when e.version = n.version then n.state end as folded
            from es.stream s
            left join es.snapshot n on n.p = s.p and n.stream_id = s.stream_id and n.folded_by = $3
              and n.hash = (select h.hash from es.event h where h.p = $1 and h.stream_id = n.stream_id and h.version = n.version)
            join es.event e on e.p = s.p and e.stream_id = s.stream_id and e.version >= coalesce(n.version, 1)
            where s.p = $1 and e.p = $1 and s.stream_id = any ($2) order by e.stream_id, e.version`,
        },
        [partition, streams, snapshotBy],
      ),
      // All of one key as one value: ten thousand rows of it would cost more than folding ten thousand events.
      this.#query<{ stream_id: string; key_id: string; bodies: Buffer }>(
        {
          name: 'stream-contents',
          text: `select stream_id, key_id, string_agg(int4send(version) || int4send(length(body)) || body, ''::bytea) as bodies
            from es.content where p = $1 and stream_id = any ($2) group by stream_id, key_id`,
        },
        [partition, streams],
      ),
    ]);
    const contentsOf = Map.groupBy(contents, (row) => row.stream_id);
    return [...Map.groupBy(events, (row) => row.envelope.stream)].map(([stream, rows]) => ({
      stream,
      tenant: rows[0]?.envelope.tenant ?? '',
      ...(rows[0]?.folded ? { snapshot: { version: rows[0].envelope.version, state: rows[0].folded } } : {}),
      events: rows.map((row) => row.envelope),
      headHash: headOf(stream, rows),
      contents: (contentsOf.get(stream) ?? []).flatMap(({ key_id, bodies }) => contentsIn(bodies, key_id)),
    }));
  }

  /** Takes the place of an older one of the stream, and of one by other code. */
  async saveSnapshot(of: Snapshot): Promise<void> {
    await this.#query(
      {
        name: 'snapshot-save',
        text: `insert into es.snapshot as n (p, stream_id, version, hash, folded_by, state) values ($1, $2, $3, $4, $5, $6)
          on conflict (p, stream_id) do update set version = excluded.version, hash = excluded.hash, folded_by = excluded.folded_by, state = excluded.state
          where n.version < excluded.version or n.folded_by <> excluded.folded_by`,
      },
      [of.partition, of.stream, of.version, of.hash, of.by, of.state],
    );
  }

  async dropSnapshot(partition: number, stream: string): Promise<void> {
    await this.#query({ name: 'snapshot-drop', text: 'delete from es.snapshot where p = $1 and stream_id = $2' }, [partition, stream]);
  }

  /** The keys that the content of a stream is encrypted with. */
  async keysOf(partition: number, stream: string): Promise<readonly string[]> {
    const rows = await this.#query<{ key_id: string }>(
      { name: 'keys-of', text: 'select distinct key_id from es.content where p = $1 and stream_id = $2' },
      [partition, stream],
    );
    return rows.map((row) => row.key_id);
  }

  /** Workflows whose content the log says is erased, and the keys that it was encrypted with: none of them may exist. */
  async erased(): Promise<{ readonly workflows: readonly string[]; readonly keys: readonly string[] }> {
    const rows = await this.#query<{ stream_id: string; keys: string[] }>(
      {
        name: 'erased',
        text: `select e.stream_id, array(select distinct c.key_id from es.content c where c.p = e.p and c.stream_id = e.stream_id) as keys
          from es.event e where e.type = 'content.erased'`,
      },
      [],
    );
    return { workflows: rows.map((row) => row.stream_id), keys: rows.flatMap((row) => row.keys) };
  }

  /** Events of one partition from a position on, as they are stored. */
  async readPositions(
    partition: number,
    from: number,
    limit: number,
  ): Promise<readonly { readonly position: number; readonly envelope: string }[]> {
    const rows = await this.#query<{ pos: string; envelope: string }>(
      { name: 'positions', text: 'select pos, envelope::text from es.event where p = $1 and pos >= $2 order by pos limit $3' },
      [partition, from, limit],
    );
    return rows.map((row) => ({ position: Number(row.pos), envelope: row.envelope }));
  }

  async takePartitions(owner: string, ttlMs: number, wanted: number): Promise<readonly TakenPartition[]> {
    const rows = await this.#query<{ p: number; epoch: string; next_pos: string; published_pos: string; incarnation: string }>(
      { name: 'take', text: "select t.*, l.incarnation from es.log l, es.take_partitions($1, $2 * interval '1 ms', $3) t" },
      [owner, ttlMs, wanted],
    );
    return rows.map((row) => ({
      partition: row.p,
      epoch: Number(row.epoch),
      incarnation: row.incarnation,
      nextPosition: Number(row.next_pos),
      publishedPosition: Number(row.published_pos),
    }));
  }

  /** Prolongs the owner's leases. @returns the partitions that it still owns, and how many owners live */
  async keepPartitions(owner: string, ttlMs: number): Promise<{ readonly owned: readonly number[]; readonly members: number }> {
    const [row] = await this.#query<{ members: number; owned: number[] }>(
      this.#soon({ name: 'keep', text: "select * from es.keep_partitions($1, $2 * interval '1 ms')" }),
      [owner, ttlMs],
    );
    return { owned: row?.owned ?? [], members: row?.members ?? 1 };
  }

  async releasePartitions(owner: string, partitions: readonly number[]): Promise<void> {
    await this.#query({ name: 'release', text: 'select es.release_partitions($1, $2)' }, [owner, partitions]);
  }

  /** Frees what earlier processes of the same slot (`<slot>-…`) still held. */
  async succeed(owner: string, slot: string): Promise<void> {
    await this.#query({ name: 'succeed', text: 'select es.succeed($1, $2)' }, [owner, slot]);
  }

  /** It takes no more partitions, so that others take its share; what it holds stays its own. */
  async resign(owner: string): Promise<void> {
    await this.#query({ name: 'resign', text: 'delete from es.member where owner = $1' }, [owner]);
  }

  /** Frees whatever it still holds, too. */
  async leave(owner: string): Promise<void> {
    await this.#query({ name: 'leave', text: 'select es.leave($1)' }, [owner]);
  }

  /** Notes how far the events of a partition were published. Ignored when the epoch is over. */
  async notePublished(
    positions: readonly { readonly partition: number; readonly epoch: number; readonly position: number }[],
  ): Promise<void> {
    if (positions.length === 0) return;
    await this.#query(
      {
        name: 'published',
        text: 'update es.partition l set published_pos = n.pos from unnest($1::smallint[], $2::bigint[], $3::bigint[]) n (p, epoch, pos) where l.p = n.p and l.epoch = n.epoch',
      },
      [positions.map((n) => n.partition), positions.map((n) => n.epoch), positions.map((n) => n.position)],
    );
  }

  /** The same message parked again is the same row, once more to be decided about. */
  async park(message: ParkedMessage): Promise<void> {
    await this.#query(
      {
        name: 'park',
        text: `insert into es.parked as p (service, tenant_id, subject, reason, detail, sha256, key_id, body, traceparent, signature, whole)
          values ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11) on conflict (sha256, subject) do update set attempts = p.attempts + 1, status = 'parked',
          reason = excluded.reason, detail = excluded.detail, key_id = excluded.key_id, body = excluded.body, traceparent = excluded.traceparent,
          signature = excluded.signature, whole = excluded.whole, last_ms = ${NOW_MS}`,
      },
      [
        ...[message.service, message.tenant, message.subject, message.reason, message.detail, message.sha256, message.keyId, message.body],
        ...[message.traceparent ?? null, message.signature ?? null, message.whole ?? true],
      ],
    );
  }

  /** Newest first. `tenant` null: of all of them; `before`: those after the page that ended there. */
  async parked(ask: {
    readonly tenant: string | null;
    readonly status: ParkedStatus | null;
    readonly before: { readonly at: number; readonly id: number } | null;
    readonly limit: number;
  }): Promise<readonly ParkedRow[]> {
    return this.#query<ParkedRow>(
      {
        name: 'parked',
        text: `select ${PARKED_COLUMNS} from es.parked where ($1::text is null or tenant_id = $1) and ($2::text is null or status = $2)
          and ($3::bigint is null or (at_ms, id) < ($3, $4)) order by at_ms desc, id desc limit $5`,
      },
      [ask.tenant, ask.status, ask.before?.at ?? null, ask.before?.id ?? 0, ask.limit],
    );
  }

  async parkedMessage(id: number): Promise<(ParkedRow & { readonly keyId: string; readonly body: Buffer }) | undefined> {
    const [row] = await this.#query<ParkedRow & { keyId: string; body: Buffer }>(
      { name: 'parked-message', text: `select ${PARKED_COLUMNS}, key_id as "keyId", body from es.parked where id = $1` },
      [id],
    );
    return row;
  }

  /** Moves a parked message on, if it is in one of the states `from` after `attempts` failures. @returns whether it was */
  async decideParked(
    id: number,
    attempts: number,
    from: readonly ParkedStatus[],
    to: { readonly status: ParkedStatus; readonly by?: string },
  ): Promise<boolean> {
    const rows = await this.#query<{ id: string }>(
      {
        name: 'parked-decide',
        text: `update es.parked set status = $4, decided_by = coalesce($5, decided_by), decided_ms = case when $5 is null then decided_ms else ${NOW_MS} end
          where id = $1 and attempts = $2 and status = any ($3) returning id`,
      },
      [id, attempts, from, to.status, to.by ?? null],
    );
    return rows.length === 1;
  }

  /** A retry that could not be handled either. Nothing when it was said before. */
  async parkAgain(id: number, attempts: number, why: { readonly reason: string; readonly detail: string }): Promise<void> {
    await this.#query(
      {
        name: 'park-again',
        text: `update es.parked set status = 'parked', attempts = attempts + 1, reason = $3, detail = $4, last_ms = ${NOW_MS}
          where id = $1 and attempts = $2 and status = 'retrying'`,
      },
      [id, attempts, why.reason, why.detail],
    );
  }

  async saveArtifact(hash: string, kind: string, body: string): Promise<void> {
    await this.#query(
      { name: 'artifact-save', text: 'insert into es.artifact (hash, kind, body) values ($1, $2, $3) on conflict do nothing' },
      [hash, kind, body],
    );
  }

  async readArtifact(hash: string): Promise<string | undefined> {
    const [row] = await this.#query<{ body: string }>({ name: 'artifact-read', text: 'select body from es.artifact where hash = $1' }, [
      hash,
    ]);
    return row?.body;
  }

  async latestArtifact(kind: string): Promise<{ readonly hash: string; readonly body: string } | undefined> {
    const [row] = await this.#query<{ hash: string; body: string }>(
      { name: 'artifact-latest', text: 'select hash, body from es.artifact where kind = $1 order by at desc limit 1' },
      [kind],
    );
    return row;
  }

  /** All whose kind begins so, the oldest first. */
  async artifactsUnder(prefix: string): Promise<readonly { readonly kind: string; readonly body: string }[]> {
    return this.#query<{ kind: string; body: string }>(
      { name: 'artifacts-under', text: 'select kind, body from es.artifact where starts_with(kind, $1) order by at, hash' },
      [prefix],
    );
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }

  #soon(statement: Statement): Statement {
    return { ...statement, query_timeout: this.#answerWithinMs };
  }

  async #query<Row extends pg.QueryResultRow>(statement: Statement, values: readonly unknown[]): Promise<Row[]> {
    try {
      return (await this.#pool.query<Row>({ ...statement, values: [...values] })).rows;
    } catch (error) {
      throw translate(error);
    }
  }
}

/** Version, length and bytes of one content after the other. */
function contentsIn(bodies: Buffer, keyId: string): StoredStream['contents'] {
  const found: StoredStream['contents'][number][] = [];
  for (let at = 0; at < bodies.length; ) {
    const [version, length] = [bodies.readInt32BE(at), bodies.readInt32BE(at + 4)];
    found.push({ version, keyId, body: bodies.subarray(at + 8, at + 8 + length) });
    at += 8 + length;
  }
  return found;
}

function headOf(stream: string, rows: readonly { readonly head_hash: Buffer | null }[]): Buffer {
  const head = rows.at(-1)?.head_hash;
  if (head === null || head === undefined) throw new Error(`${stream} does not end with the event that es.stream says. Run audit verify.`);
  return head;
}
