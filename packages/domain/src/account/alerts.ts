import { type Budget, type Meters, periodKey, usedOf } from './budgets.ts';
import type { BudgetAlerted, CarriedAlert } from './events.ts';

/**
 * Which budgets have alerted: once per period. Raising its limit or its percentage arms a budget again, and so does having
 * been no budget, or one without alert, in between; lowering them takes nothing back.
 */
export type Alerts = ReadonlyMap<string, CarriedAlert>;

type Named = Pick<Budget, 'scope' | 'period'>;
const nameOf = ({ scope, period }: Named): string => `${scope}|${period}`;

/** When the budget alerted in the period that `day` is of (epoch ms); undefined: not yet. */
export function alertedAt(alerts: Alerts, budget: Named, day: string): number | undefined {
  const alert = alerts.get(nameOf(budget));
  return alert !== undefined && isOf(alert, day) ? alert.at : undefined;
}

const isOf = ({ period, day: alertedOn }: CarriedAlert, day: string): boolean => periodKey(period, alertedOn) === periodKey(period, day);

/** Who has to alert on `day`, in the order of the budgets. Only about periods that run: a late charge to one that is over helps nobody. */
export function alertsDue(budgets: readonly Budget[], meters: Meters, alerts: Alerts, day: string): readonly BudgetAlerted[] {
  return budgets.flatMap((budget): readonly BudgetAlerted[] => {
    const { scope, period, limitMicroUsd, alertAtPercent: percent } = budget;
    if (percent === undefined || alertedAt(alerts, budget, day) !== undefined) return [];
    const { spentMicroUsd, leasedMicroUsd } = usedOf(meters, budget, day);
    const usedMicroUsd = spentMicroUsd + leasedMicroUsd;
    if (usedMicroUsd === 0 || usedMicroUsd < percentOf(limitMicroUsd, percent)) return [];
    return [{ scope, period, day, usedMicroUsd, limitMicroUsd, percent }];
  });
}

/** So many percent of a sum, rounded up. Exact for every sum that is: a hundred times the sum may not be (2^53). */
const percentOf = (sum: number, percent: number): number => Math.floor(sum / 100) * percent + Math.ceil(((sum % 100) * percent) / 100);

export const withAlert = (alerts: Alerts, { scope, period, day }: BudgetAlerted, at: number): Alerts =>
  new Map(alerts).set(nameOf({ scope, period }), { scope, period, day, at });

/** Who has still alerted when `after` is defined in place of `before`. */
export function alertsKept(alerts: Alerts, before: readonly Budget[], after: readonly Budget[]): Alerts {
  if (alerts.size === 0) return alerts;
  const was = new Map(before.map((budget) => [nameOf(budget), budget]));
  const kept = after.filter((budget) => !startsOver(was.get(nameOf(budget)), budget)).map(nameOf);
  return new Map([...alerts].filter(([name]) => kept.includes(name)));
}

const startsOver = (before: Budget | undefined, after: Budget): boolean =>
  before?.alertAtPercent === undefined ||
  after.alertAtPercent === undefined ||
  after.limitMicroUsd > before.limitMicroUsd ||
  after.alertAtPercent > before.alertAtPercent;

/** The alerts that can still matter on `day` or later. */
export const alertsThatMatter = (alerts: Alerts, day: string): readonly CarriedAlert[] =>
  [...alerts.values()].filter((alert) => isOf(alert, day));

export const alertsCarried = (carried: readonly CarriedAlert[]): Alerts => new Map(carried.map((alert) => [nameOf(alert), alert]));
