export type BackupRefusal =
  /** The command is not right, or what it needs is not there. */
  | 'NotPossible'
  /** The database to restore into holds something. */
  | 'NotEmpty'
  /** Services run on the database. */
  | 'InUse'
  /** A file is not what was written, or was never finished. */
  | 'Damaged'
  /** Backups that do not continue each other. */
  | 'NotContinued'
  /** Made by another version of this program, or of its tables. */
  | 'OtherVersion';

/** Nothing was written, or what was written says itself that it is not whole. */
export class BackupRefused extends Error {
  override readonly name = 'BackupRefused';
  readonly code: BackupRefusal;

  constructor(code: BackupRefusal, message: string) {
    super(message);
    this.code = code;
  }
}
