import { startPostgres } from '@mandate/local';
import { cp, mkdtemp, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import pg from 'pg';
import type { World } from '../../world.ts';

/** A log as it was at one moment. */
export interface LogExtent {
  /** By partition: the next position. */
  readonly heads: ReadonlyMap<number, number>;
  /** By partition: of the hashes of all events below its head. */
  readonly digests: ReadonlyMap<number, string>;
}

/** Of everything below `heads`; without them, of everything. */
export async function extentOf(
  ask: <Row extends pg.QueryResultRow>(text: string) => Promise<Row[]>,
  heads?: ReadonlyMap<number, number>,
): Promise<LogExtent> {
  const partitions = await ask<{ p: number; head: string }>('select p, next_pos as head from es.partition order by p');
  const found = heads ?? new Map(partitions.map(({ p, head }) => [p, Number(head)]));
  const digests = new Map<number, string>();
  for (const [p, head] of found) {
    const [row] = await ask<{ digest: string | null }>(
      `select md5(string_agg(encode(hash, 'hex'), '' order by pos)) as digest from es.event where p = ${p} and pos < ${head}`,
    );
    digests.set(p, row?.digest ?? '');
  }
  return { heads: found, digests };
}

/** An older state of Postgres, which takes the place of the one that runs. */
export class OlderCopy {
  readonly #world: World;
  readonly #folder: string;
  #kept: LogExtent = { heads: new Map(), digests: new Map() };
  #firstPositions = new Map<string, { readonly p: number; readonly pos: number }>();
  #lost = 0;

  private constructor(world: World, folder: string) {
    this.#world = world;
    this.#folder = folder;
  }

  /** Events that were in the log and are not any more, as far as they could be counted before the end. */
  get lost(): number {
    return this.#lost;
  }

  /** What the older state held. */
  get kept(): LogExtent {
    return this.#kept;
  }

  /** Whether a task that somebody was told is accepted may be missing: it began after the older state. */
  mayMiss(workflow: string): boolean {
    const first = this.#firstPositions.get(workflow);
    return first === undefined || first.pos >= (this.#kept.heads.get(first.p) ?? 0);
  }

  /** The state of a machine that lost power: every process killed, then copied. */
  static async take(world: World): Promise<OlderCopy> {
    const { postgres } = world.stack;
    const copy = new OlderCopy(world, await mkdtemp(join(dirname(postgres.dataFolder), 'older-')));
    await postgres.killAll();
    await cp(postgres.dataFolder, join(copy.#folder, 'data'), { recursive: true });
    await postgres.restart();
    return copy;
  }

  /** In the order of docs/operations.md: the copy gets its new incarnation before anybody may use it. */
  async takePlace(): Promise<void> {
    const { postgres, nats, secrets } = this.#world.stack;
    const older = await startPostgres({ dir: this.#folder, password: secrets.postgres.superuser, durability: 'off' });
    const client = new pg.Client({ connectionString: older.url('mandate') });
    await client.connect();
    const ask = async <Row extends pg.QueryResultRow>(text: string): Promise<Row[]> => (await client.query<Row>(text)).rows;
    this.#kept = await extentOf(ask);
    await ask('update es.log set incarnation = gen_random_uuid()');
    await client.end();
    await older.stop();
    await this.#readFirstPositions();
    await nats.kill();
    await postgres.killAll();
    await rename(postgres.dataFolder, join(this.#folder, 'replaced'));
    await rename(join(this.#folder, 'data'), postgres.dataFolder);
    await postgres.restart();
    await nats.wipe();
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #readFirstPositions(): Promise<void> {
    const { world, kept } = { world: this.#world, kept: this.#kept };
    const rows = await world.sql<{ stream_id: string; p: number; pos: string }>('select stream_id, p, pos from es.event where version = 1');
    this.#firstPositions = new Map(rows.map(({ stream_id, p, pos }) => [stream_id, { p, pos: Number(pos) }]));
    const heads = await world.sql<{ p: number; head: string }>('select p, next_pos as head from es.partition');
    this.#lost = heads.reduce((sum, { p, head }) => sum + Number(head) - (kept.heads.get(p) ?? 0), 0);
  }
}
