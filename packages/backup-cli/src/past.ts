/** What of a backup belongs to a restore to the past: each partition up to its first event later than an instant. */
import { Columns, type CopyRow } from './copy-rows.ts';
import { rowsOf } from './load.ts';
import type { Backup } from './manifest.ts';

/** A workflow whose content was erased after the instant: that stays so. */
const ERASING = new Set(['erasure.requested', 'content.erased']);

export class Past {
  /** Partition → where it ends. */
  readonly ends: ReadonlyMap<number, number>;
  /** `<partition>/<stream>` → the first of its versions that is left out. */
  readonly #cut = new Map<string, number>();
  readonly #erased = new Set<string>();

  private constructor(ends: ReadonlyMap<number, number>) {
    this.ends = ends;
  }

  /** Reads all events once. */
  static async upTo(until: number, backups: readonly Backup[]): Promise<Past> {
    const ends = new Map(backups.at(-1)?.manifest.partitions.map(({ p, next }) => [p, next]));
    for (const backup of backups) {
      const columns = eventColumns(backup);
      for await (const row of rowsOf(backup, 'es.event')) {
        if (columns.time(row, 'at') <= until) continue;
        const p = columns.smallint(row, 'p');
        ends.set(p, Math.min(ends.get(p) ?? 0, columns.bigint(row, 'pos')));
      }
    }
    return new Past(ends);
  }

  /** For the events; it remembers what it leaves out, for `content` and what follows. */
  events(backup: Backup): (row: CopyRow) => boolean {
    const columns = eventColumns(backup);
    return (row) => {
      const p = columns.smallint(row, 'p');
      if (columns.bigint(row, 'pos') < (this.ends.get(p) ?? 0)) return true;
      const stream = columns.text(row, 'stream_id');
      const key = `${p}/${stream}`;
      this.#cut.set(key, Math.min(this.#cut.get(key) ?? Infinity, columns.int(row, 'version')));
      if (ERASING.has(columns.text(row, 'type'))) this.#erased.add(stream);
      return false;
    };
  }

  content(backup: Backup): (row: CopyRow) => boolean {
    const columns = new Columns(backup.manifest.files.find(({ table }) => table === 'es.content')?.columns ?? []);
    return (row) =>
      columns.int(row, 'version') < (this.#cut.get(`${columns.smallint(row, 'p')}/${columns.text(row, 'stream_id')}`) ?? Infinity);
  }

  /** Streams that go on from an earlier event than their last. */
  get shortened(): readonly { readonly p: number; readonly stream: string }[] {
    return [...this.#cut]
      .filter(([, version]) => version > 1)
      .map(([key]) => ({ p: Number(key.slice(0, key.indexOf('/'))), stream: key.slice(key.indexOf('/') + 1) }));
  }

  /** Workflows whose erasure is among the events that are left out. */
  get erased(): readonly string[] {
    return [...this.#erased];
  }
}

const eventColumns = (backup: Backup): Columns =>
  new Columns(backup.manifest.files.find(({ table }) => table === 'es.event')?.columns ?? []);
