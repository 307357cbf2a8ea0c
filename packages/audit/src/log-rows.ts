/** What is stored of the log, as a verifier reads it, and the bytes that its proofs are about. */
import { HASH_BYTES, sha256 } from './merkle.ts';

export interface LogRow {
  readonly partition: number;
  /** From 0, without gaps within the partition. */
  readonly position: number;
  readonly stream: string;
  /** From 1, without gaps within the stream. */
  readonly version: number;
  readonly tenant: string;
  readonly type: string;
  /** Epoch ms. */
  readonly at: number;
  /** The exact text that was stored. */
  readonly envelope: string;
  /** SHA-256 over the hash of the stream's event before it (32 zero bytes for the first) and the envelope. */
  readonly hash: Buffer;
}

/** Where a stream's hash chain begins. */
export const NO_HASH: Buffer = Buffer.alloc(HASH_BYTES);

export const eventIdOf = (stream: string, version: number): string => `${stream}-${version}`;

let room = Buffer.alloc(64 * 1024);

/** Both hashes of an event, from one copy of its bytes: as a leaf of the tree, and as a link of its stream's chain. */
export function hashesOf(envelope: string, before: Buffer): { readonly leaf: Buffer; readonly link: Buffer } {
  if (room.length < HASH_BYTES + envelope.length * 3) room = Buffer.alloc(2 * (HASH_BYTES + envelope.length * 3));
  const end = HASH_BYTES + room.write(envelope, HASH_BYTES);
  before.copy(room);
  const link = sha256(room.subarray(0, end));
  room[HASH_BYTES - 1] = 0;
  return { leaf: sha256(room.subarray(HASH_BYTES - 1, end)), link };
}

/** What of an event's columns contradicts its envelope; undefined when nothing does. */
export function contradictionIn(row: Omit<LogRow, 'hash' | 'position' | 'partition'>): string | undefined {
  const said = parsed(row.envelope);
  if (said === undefined) return 'its envelope is not a JSON object';
  const copies = { stream: row.stream, version: row.version, tenant: row.tenant, type: row.type, at: row.at };
  for (const [name, value] of Object.entries(copies)) if (said[name] !== value) return `its column ${name} is not what its envelope says`;
  return said['id'] === eventIdOf(row.stream, row.version) ? undefined : 'its id is not its stream and version';
}

function parsed(envelope: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(envelope);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
