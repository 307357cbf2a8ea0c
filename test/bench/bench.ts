import type { Findings } from './figure.ts';

/** What every item gets. */
export interface Bench {
  /** Length of one measured round. */
  readonly seconds: number;
  /** Rounds per figure; the median counts. */
  readonly rounds: number;
  /** How long a round waits for a moment in which nobody else uses the machine. */
  readonly patienceSeconds: number;
  /** An empty folder of the item's own, removed after it. */
  readonly folder: string;
  /** Where every service of the core and the full item writes a CPU profile when it ends. */
  readonly profile: string | undefined;
  /** Whether what downloads everything anew is measured too. */
  readonly isCold: boolean;
  /** One line of progress. */
  readonly say: (line: string) => void;
}

export interface Item {
  /** For `--only`. */
  readonly name: string;
  readonly title: string;
  readonly measure: (bench: Bench) => Promise<Findings>;
}

/** The launcher's words about deaths and restarts alone: nobody is meant to die unasked while something is measured. */
export const onlyDeaths =
  (say: Bench['say']): Bench['say'] =>
  (line) =>
    /died|runs again|lost/.test(line) ? say(line) : undefined;
