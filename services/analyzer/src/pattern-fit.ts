import type { PatternFit, PatternName } from '@mandate/domain';
import { CRITERIA, PATTERN_TABLE, PATTERN_TABLE_VERSION, SIMPLEST_FIRST, type Analysed, type Criterion } from './pattern-table.ts';

const ROWS = Object.keys(PATTERN_TABLE) as Criterion[];

/**
 * How well each pattern fits, the best first; of equal scores the simpler one. Pure: the analysis is all that counts.
 *
 * @example
 * fitPatterns(analyzeTask('What is the capital of France?')).scores[0];
 * // { pattern: 'direct', score: 0.9, reasons: ['+0.50 base', '+0.20 simple_tier', '+0.20 plain_question'] }
 */
export function fitPatterns(analysis: Analysed): PatternFit {
  const held = ROWS.filter((criterion) => CRITERIA[criterion](analysis));
  const scores = SIMPLEST_FIRST.map((pattern, column) => scoreOf(pattern, column, held));
  return { table: PATTERN_TABLE_VERSION, scores: scores.toSorted((left, right) => right.score - left.score) };
}

function scoreOf(pattern: PatternName, column: number, held: readonly Criterion[]): PatternFit['scores'][number] {
  const cells = held
    .map((criterion) => ({ criterion, weight: PATTERN_TABLE[criterion][column] ?? 0 }))
    .filter(({ weight }) => weight !== 0);
  const sum = cells.reduce((total, { weight }) => total + weight, 0);
  return {
    pattern,
    score: Math.round(Math.min(1, Math.max(0, sum)) * 1000) / 1000,
    reasons: cells.map(({ criterion, weight }) => `${weight < 0 ? '-' : '+'}${Math.abs(weight).toFixed(2)} ${criterion}`),
  };
}
