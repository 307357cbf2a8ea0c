/** For tests: a partition of a log with properly chained events, and its checkpoints. */
import { type Checkpoint, originOf, signCheckpoint } from './checkpoint.ts';
import { eventIdOf, hashesOf, type LogRow, NO_HASH } from './log-rows.ts';
import { Frontier } from './merkle.ts';
import type { KeptCheckpoint } from './sealed-leaves.ts';
import type { SigningKey } from './signed-note.ts';

export const LOG = '6b2f3c1e-0000-4000-8000-000000000001';

/** The stream of every event, in order; rows get positions, versions and hashes from it. */
export function rowsOf(streams: readonly string[], partition = 3): LogRow[] {
  const heads = new Map<string, { version: number; hash: Buffer }>();
  return streams.map((stream, position) => {
    const { version, hash } = heads.get(stream) ?? { version: 0, hash: NO_HASH };
    const row = { partition, position, stream, version: version + 1, tenant: 'acme', type: 'step.done', at: 1_000 + position };
    const { partition: _p, position: _n, ...said } = row;
    const envelope = JSON.stringify({
      id: eventIdOf(stream, version + 1),
      schema: 1,
      ...said,
      data: { words: 'né "так" 🙂', n: position },
    });
    const { link } = hashesOf(envelope, hash);
    heads.set(stream, { version: version + 1, hash: link });
    return { ...row, envelope, hash: link };
  });
}

export function checkpointsOf(rows: readonly LogRow[], sizes: readonly number[], key: SigningKey, partition = 3): KeptCheckpoint[] {
  const frontier = new Frontier();
  let first = 0;
  return sizes.map((size) => {
    const leaves = rows.slice(first, size).map((row) => hashesOf(row.envelope, NO_HASH).leaf);
    for (const leaf of leaves) frontier.push(leaf);
    const checkpoint: Checkpoint = { origin: originOf(LOG, partition), size, root: frontier.root() };
    const kept = { first, size, note: signCheckpoint(checkpoint, key), leaves: Buffer.concat(leaves) };
    first = size;
    return kept;
  });
}

export async function* inPages<Item>(items: readonly Item[], size = 4): AsyncIterable<readonly Item[]> {
  for (let i = 0; i < items.length; i += size) yield await Promise.resolve(items.slice(i, i + size));
}
