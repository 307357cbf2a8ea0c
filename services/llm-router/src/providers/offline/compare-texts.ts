/* How two texts differ, line by line, without regard to where a line stands. */
import { countWords, linesOf } from './text-facts.ts';

/** Two texts side by side. Blank lines are left out of the three lists. */
export interface Comparison {
  readonly lineCounts: readonly [number, number];
  readonly wordCounts: readonly [number, number];
  readonly isIdentical: boolean;
  readonly onlyInFirst: readonly string[];
  readonly onlyInSecond: readonly string[];
  /** Lines that both have, each once, in the first text's order. */
  readonly common: readonly string[];
}

/** Compares two texts by their sets of lines; white space around a line does not count. */
export function compareTexts(first: string, second: string): Comparison {
  const [firstLines, secondLines] = [distinctLines(first), distinctLines(second)];
  return {
    lineCounts: [linesOf(first).length, linesOf(second).length],
    wordCounts: [countWords(first), countWords(second)],
    isIdentical: first === second,
    onlyInFirst: [...firstLines].filter((line) => !secondLines.has(line)),
    onlyInSecond: [...secondLines].filter((line) => !firstLines.has(line)),
    common: [...firstLines].filter((line) => secondLines.has(line)),
  };
}

function distinctLines(text: string): Set<string> {
  return new Set(
    linesOf(text)
      .map((line) => line.trim())
      .filter((line) => line !== ''),
  );
}
