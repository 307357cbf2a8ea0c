import {
  Frontier,
  leafHash,
  openCheckpoint,
  originOf,
  parseSigningKey,
  ProofRefused,
  signCheckpoint,
  type SigningKey,
} from '@mandate/audit';
import type { CheckpointHead, PartitionHead, ProofStore } from '@mandate/event-store';
import type { Logger } from '@mandate/service-kit';
import { readFile } from 'node:fs/promises';
import { Gauge, type Registry } from 'prom-client';

export interface SealerOptions {
  readonly store: ProofStore;
  readonly key: SigningKey;
  /** What was committed is sealed after at most this long. */
  readonly everyMs: number;
  readonly log: Logger;
  readonly metrics: Registry;
}

/** More events than this are sealed by several checkpoints. */
const MOST_EVENTS = 8_192;
const PAGE = 1_024;

/** @throws when the file is missing or holds no signing key */
export async function readSigningKey(file: string): Promise<SigningKey> {
  try {
    return parseSigningKey(await readFile(file, 'utf8'));
  } catch (cause) {
    throw new Error(`${file} holds no key to sign checkpoints with. Make one with: npm run audit -- key <name> --out <file>`, { cause });
  }
}

/**
 * Signs the log: extends every partition's Merkle tree by what was committed since, and adds the signed head to
 * `proof.checkpoint`. Any number may run; of two checkpoints that begin at the same event one is kept.
 *
 * It never signs a tree that does not continue the last one: where the log contradicts that, it stops and says so.
 */
export class Sealer {
  readonly #options: SealerOptions;
  readonly #unsealed: Gauge;
  readonly #refused = new Map<number, string>();
  #round: Promise<void> | undefined;
  readonly #timer: NodeJS.Timeout;
  #stopped = false;

  constructor(options: SealerOptions) {
    this.#options = options;
    this.#unsealed = new Gauge({
      name: 'mandate_unsealed_events',
      help: 'Events of the log that no signed checkpoint covers yet.',
      registers: [options.metrics],
    });
    this.#timer = setInterval(() => this.#start(), options.everyMs);
    this.#start();
  }

  /** Finishes the checkpoint in flight. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    await this.#round;
  }

  #start(): void {
    this.#round ??= this.#sealAll()
      .catch((error: unknown) => this.#options.log.warn({ err: error }, 'sealing failed; trying again'))
      .finally(() => (this.#round = undefined));
  }

  async #sealAll(): Promise<void> {
    const { incarnation, partitions } = await this.#options.store.state();
    this.#unsealed.set(partitions.reduce((sum, { head, sealed }) => sum + Math.max(0, head - sealed), 0));
    for (const partition of partitions) {
      const refusal = await this.#sealPartition(incarnation, partition);
      if (refusal !== undefined && this.#refused.get(partition.partition) !== refusal)
        this.#options.log.error({ partition: partition.partition, problem: refusal }, 'not sealed: run audit verify (docs/audit.md)');
      if (refusal === undefined) this.#refused.delete(partition.partition);
      else this.#refused.set(partition.partition, refusal);
    }
  }

  /** @returns why nothing was sealed although there is something to seal */
  async #sealPartition(incarnation: string, { partition, head, sealed }: PartitionHead): Promise<string | undefined> {
    if (head < sealed) return `the log ends at ${head}, but ${sealed} events were sealed`;
    if (head === sealed) return undefined;
    const { store, key } = this.#options;
    const origin = originOf(incarnation, partition);
    const frontier = frontierOf(await store.newest(incarnation, partition), origin, key);
    if (typeof frontier === 'string') return frontier;
    while (frontier.size < head && !this.#stopped) {
      const first = frontier.size;
      const leaves = await this.#leaves(partition, first, Math.min(head, first + MOST_EVENTS));
      if (typeof leaves === 'string') return leaves;
      for (const leaf of leaves) frontier.push(leaf);
      const note = signCheckpoint({ origin, size: frontier.size, root: frontier.root() }, key);
      const kept = { first, size: frontier.size, note, leaves: Buffer.concat(leaves), frontier: frontier.bytes() };
      if (!(await store.add(incarnation, partition, kept))) return undefined;
    }
    return undefined;
  }

  async #leaves(partition: number, from: number, to: number): Promise<readonly Buffer[] | string> {
    const leaves: Buffer[] = [];
    for (let next = from; next < to; next = from + leaves.length) {
      const rows = await this.#options.store.rows(partition, next, Math.min(PAGE, to - next));
      const strange = rows.findIndex((row, i) => row.position !== next + i);
      if (strange >= 0 || rows.length === 0) return `there is no event at position ${next + Math.max(0, strange)}`;
      for (const row of rows) leaves.push(leafHash(row.envelope));
    }
    return leaves;
  }
}

/** The tree to go on from, or why it cannot be relied on. */
function frontierOf(newest: CheckpointHead | undefined, origin: string, key: SigningKey): Frontier | string {
  if (newest === undefined) return new Frontier();
  try {
    const frontier = Frontier.of(newest.size, newest.frontier);
    const last = openCheckpoint(newest.note, [key.verifier]);
    const isSigned = last.origin === origin && last.size === newest.size && last.root.equals(frontier.root());
    return isSigned ? frontier : `the tree that was kept at ${newest.size} is not the one that was signed`;
  } catch (error) {
    if (error instanceof ProofRefused || error instanceof RangeError) return `the checkpoint of ${newest.size} events: ${error.message}`;
    throw error;
  }
}
