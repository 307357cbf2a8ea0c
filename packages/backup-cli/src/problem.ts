import { BackupRefused } from './refused.ts';

/** Damage is an answer; all else is a question that could not be asked. */
export function problemOf(command: string, error: unknown): number {
  const code = error instanceof BackupRefused ? ` (${error.code})` : '';
  process.stderr.write(`${command}: ${messageOf(error)}${code}\n`);
  return error instanceof BackupRefused && error.code === 'Damaged' ? 1 : 2;
}

/** A refused connection has its reasons in a list, one per address, and no message of its own. */
function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(messageOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}

/** Progress, with the seconds since the start. */
export function say(line: string): void {
  process.stderr.write(`[${(performance.now() / 1_000).toFixed(1).padStart(6)} s] ${line}\n`);
}
