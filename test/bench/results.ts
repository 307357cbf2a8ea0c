import { readFile, writeFile } from 'node:fs/promises';
import type { Findings } from './figure.ts';
import type { HostFacts } from './host-facts.ts';

/** One run of the bench, as it is kept in `test/bench/results/`. */
export interface Results {
  /** ISO 8601. */
  readonly startedAt: string;
  readonly host: HostFacts;
  readonly settings: { readonly seconds: number; readonly rounds: number };
  /** Load averages before and after: others work on this machine too. */
  readonly load: { readonly before: readonly number[]; readonly after: readonly number[] };
  readonly items: readonly ItemResults[];
}

export interface ItemResults extends Findings {
  readonly name: string;
  readonly title: string;
  readonly load: { readonly before: readonly number[]; readonly after: readonly number[] };
  /** Why there are no figures. */
  readonly failure?: string;
}

export async function writeResults(file: string, results: Results): Promise<void> {
  // A series on one line: it is for programs, and the file is read in reviews.
  const text = JSON.stringify(results, undefined, 1).replaceAll(/\[[\s\d.,e-]+\]/g, (series) => series.replaceAll(/\s+/g, ''));
  await writeFile(file, `${text}\n`);
}

export const readResults = async (file: string): Promise<Results> => JSON.parse(await readFile(file, 'utf8')) as Results;
