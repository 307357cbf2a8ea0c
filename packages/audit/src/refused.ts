/** What was shown as a proof is none. The message says what is wrong and what helps. */
export class ProofRefused extends Error {
  override readonly name = 'ProofRefused';
  readonly code: RefusedCode;

  constructor(code: RefusedCode, message: string) {
    super(message);
    this.code = code;
  }
}

export type RefusedCode =
  | 'KeyMalformed'
  | 'NoteMalformed'
  | 'NoteNotSigned'
  | 'CheckpointMalformed'
  | 'RequestMalformed'
  | 'CapsuleMalformed'
  | 'ProofMalformed'
  | 'NotIncluded'
  | 'LogForked'
  | 'CheckpointOlder'
  | 'StaleProof';
