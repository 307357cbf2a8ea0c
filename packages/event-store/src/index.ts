export { CommitLane } from './commit-lane.ts';
export { aboutEvent, type ContentReader, openContent, SealedWords } from './content.ts';
export { chain, seal, sha256Hex, unseal } from './content-cipher.ts';
export { type DataKey, DataKeys, type DataKeysOptions } from './data-keys.ts';
export {
  type EncodedEvent,
  EventLog,
  type ParkedMessage,
  type ParkedRow,
  type ParkedStatus,
  type StoredAccount,
  type Snapshot,
  type StoredStream,
  type StreamWrite,
  type TakenPartition,
} from './event-log.ts';
export { Fenced, StoreUnavailable, WrongExpectedVersion } from './failures.ts';
export { KeyCustody, type MasterKeyUse, type RewrapReport } from './key-custody.ts';
export {
  MasterKeyInvalid,
  type MasterKeys,
  masterKeysFrom,
  masterKeysInFile,
  MasterKeyUnknown,
  type MasterKeyVariables,
  readMasterKeys,
  type Wrapped,
} from './master-keys.ts';
export { type Database, migrate, migrateOne, type MigrateOptions, type Migration, migrationProblems, migrationsOf } from './migrate.ts';
export {
  type CheckpointHead,
  type Lineage,
  type PartitionHead,
  ProofStore,
  type StoredCheckpoint,
  type StoredRow,
  type StreamHead,
  type WantedEvents,
} from './proof-store.ts';
