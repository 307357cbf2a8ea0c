/** One measured number beside what the design asks for (docs: 'Figures to reach'). */
export interface Figure {
  /** What was measured, in the words of the table: `core step, 1 workflow in flight, p50`. */
  readonly name: string;
  readonly unit: Unit;
  readonly value: number;
  readonly target?: Target;
  /** The value of every round, when `value` is their median. */
  readonly rounds?: readonly number[];
  /** Cores that others than the bench and what it started used meanwhile. */
  readonly coresOfOthers?: number;
  /** Raw samples in the order in which they were taken, thinned to at most 2,000 and rounded. */
  readonly samples?: readonly number[];
}

export type Unit =
  | 'ms'
  | 's'
  | 'µs'
  | 'MB'
  | 'bytes'
  | 'files'
  | 'steps/s'
  | 'events/s'
  | 'requests'
  | 'requests/s'
  | 'commits/s'
  | 'workflows'
  | 'attempts';

export type Target = { readonly atMost: number } | { readonly atLeast: number };

/** `undefined` when the design asks for nothing. */
export function holds({ value, target }: Figure): boolean | undefined {
  if (target === undefined) return undefined;
  return 'atMost' in target ? value <= target.atMost : value >= target.atLeast;
}

/** What one item of the bench found. */
export interface Findings {
  readonly figures: readonly Figure[];
  /** Further facts for the results file: CPU by component, counts. */
  readonly details?: Readonly<Record<string, unknown>>;
}

export const formatValue = (value: number, unit: Unit): string => `${formatNumber(value)} ${unit}`;

export function formatTarget(target: Target | undefined, unit: Unit): string {
  if (target === undefined) return '';
  return 'atMost' in target ? `≤ ${formatValue(target.atMost, unit)}` : `≥ ${formatValue(target.atLeast, unit)}`;
}

/** Three significant digits below a hundred, whole numbers above, thousands set apart. */
function formatNumber(value: number): string {
  if (Math.abs(value) >= 100 || Number.isInteger(value)) return Math.round(value).toLocaleString('en-US');
  return String(Number(value.toPrecision(3)));
}
