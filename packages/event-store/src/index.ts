export { CommitLane } from './commit-lane.ts';
export { aboutEvent, type ContentReader, openContent, SealedWords } from './content.ts';
export { chain, seal, sha256Hex, unseal } from './content-cipher.ts';
export { type DataKey, DataKeys } from './data-keys.ts';
export {
  type EncodedEvent,
  EventLog,
  type ParkedMessage,
  type StoredAccount,
  type StoredStream,
  type StreamWrite,
  type TakenPartition,
} from './event-log.ts';
export { Fenced, StoreUnavailable, WrongExpectedVersion } from './failures.ts';
export { migrate, type MigrateOptions } from './migrate.ts';
export { type CheckpointHead, type PartitionHead, ProofStore, type StoredCheckpoint, type StoredRow } from './proof-store.ts';
