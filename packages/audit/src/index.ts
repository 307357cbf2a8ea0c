export { type CapsuleEvent, type CapsuleReport, type CapsuleSource, capsuleLines, verifyCapsule } from './capsule.ts';
export { type Checkpoint, openCheckpoint, originOf, parseCheckpoint, signCheckpoint } from './checkpoint.ts';
export { type EventFilter, type ExtractReport, extractLines, type PartitionExtract, verifyExtract } from './extract.ts';
export { checkLogProof, logProofText } from './log-proof.ts';
export { eventIdOf, type LogRow } from './log-rows.ts';
export { EMPTY_ROOT, Frontier, HASH_BYTES, leafHash, nodeHash } from './merkle.ts';
export { consistencyProof, coveredRoot, coveringProof, inclusionProof, provesConsistency, provesInclusion, rootOf } from './proofs.ts';
export { ProofRefused, type RefusedCode } from './refused.ts';
export { type KeptCheckpoint, sealedLeaves, type SealedLeaves } from './sealed-leaves.ts';
export {
  cosignNote,
  makeSigningKey,
  openNote,
  type OpenedNote,
  parseSigningKey,
  parseVerifierKey,
  signNote,
  type SigningKey,
  type VerifierKey,
} from './signed-note.ts';
export { type Finding, type PartitionLog, type PartitionReport, verifyPartition } from './verify-log.ts';
export { parseWitnessRequest, witness, type Witnessed, type WitnessRequest, witnessRequestText } from './witness.ts';
