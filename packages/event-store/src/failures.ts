import pg from 'pg';

/** Somebody else appended to the stream first. Reload it and decide again. */
export class WrongExpectedVersion extends Error {
  override readonly name = 'WrongExpectedVersion';
  readonly code = 'wrong_expected_version';
  readonly streams: readonly string[];
  constructor(streams: readonly string[], cause: unknown) {
    super(`another version is stored of ${streams.join(', ')}`, { cause });
    this.streams = streams;
  }
}

/** A partition has another owner now. Whatever this process had decided there is void. */
export class Fenced extends Error {
  override readonly name = 'Fenced';
  readonly code = 'fenced';
}

/** The store cannot be reached, or broke off: what was sent may or may not be stored. */
export class StoreUnavailable extends Error {
  override readonly name = 'StoreUnavailable';
  readonly code = 'store_unavailable';
  readonly retryAfterMs = 250;
}

/** Translates Postgres's errors once, here. */
export function translate(error: unknown): Error {
  if (error instanceof pg.DatabaseError) {
    if (error.code === 'ES001') return new WrongExpectedVersion((error.detail ?? '').split(','), error);
    if (error.code === 'ES002') return new Fenced(error.message, { cause: error });
    // Class 08 connection, 53 resources, 57 operator intervention, 40 serialization and deadlock, 25006 read only.
    if (/^(08|53|57|40)/.test(error.code ?? '') || error.code === '25006')
      return new StoreUnavailable(`Postgres: ${error.message}`, { cause: error });
    return error;
  }
  return error instanceof Error
    ? new StoreUnavailable(`Postgres: ${error.message}`, { cause: error })
    : new StoreUnavailable(String(error));
}
