/**
 * Budgets and what counts against them.
 *
 * A lease counts in the day and month (UTC) in which it was granted, whenever it is settled. Every lease is metered for
 * the whole tenant, for its key and for its model, whether or not there is a budget for them: a budget that is defined
 * later counts what was spent before.
 */
export type Period = 'total' | 'day' | 'month';
export const PERIODS: readonly Period[] = ['total', 'day', 'month'];

export interface Budget {
  /** `tenant`, `key:<id of an API key>` or `model:<name>`. */
  readonly scope: string;
  readonly period: Period;
  readonly limitMicroUsd: number;
  /** It alerts once per period when spent and leased have reached so many percent of the limit, 1 to 100. Absent: never. */
  readonly alertAtPercent?: number | undefined;
}

/** What somebody wants to spend: with which key, on which model. */
export interface Purpose {
  /** Null: not started with an API key (a task from the bus); counts in no key's budget. */
  readonly key: string | null;
  /** Null: on any model; counts in every model's budget. */
  readonly model: string | null;
}

/** Money in one scope and period. */
export interface Meter {
  readonly spentMicroUsd: number;
  readonly leasedMicroUsd: number;
}
export type Meters = ReadonlyMap<string, Meter>;

const NO_MONEY: Meter = { spentMicroUsd: 0, leasedMicroUsd: 0 };
const ANY_MODEL = 'model:*';
const SCOPE = /^(tenant|key:[A-Za-z0-9_-]{1,64}|model:[A-Za-z0-9._:/@-]{1,120})$/;

export const isScope = (text: string): boolean => SCOPE.test(text);

/** The UTC day of a time (epoch ms), as `2026-11-21`. */
export function dayOf(at: number): string {
  // Proleptic Gregorian calendar in years from 1 March, so that the leap day is the last (Hinnant, "chrono-Compatible Low-Level Date Algorithms").
  const sinceMarch0 = Math.floor(at / 86_400_000) + 719_468;
  const era = Math.floor(sinceMarch0 / 146_097);
  const dayOfEra = sinceMarch0 - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1_460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const march = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * march + 2) / 5) + 1;
  const month = march < 10 ? march + 3 : march - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  const digits = (n: number, width: number): string => String(n).padStart(width, '0');
  return `${digits(year, 4)}-${digits(month, 2)}-${digits(day, 2)}`;
}

/** The period that a day (UTC) is of: `total`, `day 2026-11-21`, `month 2026-11`. */
export const periodKey = (period: Period, day: string): string =>
  period === 'total' ? 'total' : period === 'day' ? `day ${day}` : `month ${day.slice(0, 7)}`;

/** Adds to every meter that a lease of this purpose, granted on `day`, counts in. */
export function metered(meters: Meters, purpose: Purpose, day: string, change: Meter): Meters {
  const next = new Map(meters);
  for (const scope of scopesOf(purpose)) {
    for (const period of PERIODS) {
      const name = `${scope}|${periodKey(period, day)}`;
      const before = next.get(name) ?? NO_MONEY;
      next.set(name, {
        spentMicroUsd: before.spentMicroUsd + change.spentMicroUsd,
        leasedMicroUsd: before.leasedMicroUsd + change.leasedMicroUsd,
      });
    }
  }
  return next;
}

const scopesOf = ({ key, model }: Purpose): readonly string[] => [
  'tenant',
  ...(key === null ? [] : [`key:${key}`]),
  model === null ? ANY_MODEL : `model:${model}`,
];

/** What counts against a budget on `day`. */
export function usedOf(meters: Meters, { scope, period }: Budget, day: string): Meter {
  const key = periodKey(period, day);
  if (!scope.startsWith('model:')) return meters.get(`${scope}|${key}`) ?? NO_MONEY;
  let spentMicroUsd = 0;
  let leasedMicroUsd = 0;
  for (const [name, meter] of meters) {
    const bar = name.lastIndexOf('|');
    const metersScope = name.slice(0, bar);
    if (name.slice(bar + 1) !== key || !metersScope.startsWith('model:')) continue;
    if (metersScope !== ANY_MODEL && !sameModel(scope.slice(6), metersScope.slice(6))) continue;
    spentMicroUsd += meter.spentMicroUsd;
    leasedMicroUsd += meter.leasedMicroUsd;
  }
  return { spentMicroUsd, leasedMicroUsd };
}

/** Models are named by id or as `provider/id`. */
const sameModel = (a: string, b: string): boolean => a === b || a.endsWith(`/${b}`) || b.endsWith(`/${a}`);

const concerns = ({ scope }: Budget, { key, model }: Purpose): boolean => {
  if (scope === 'tenant') return true;
  if (scope.startsWith('key:')) return key !== null && scope === `key:${key}`;
  return model === null || sameModel(scope.slice(6), model);
};

/** The budget that leaves the least for this purpose on `day`, and what it leaves; undefined when none concerns it. */
export function tightest(
  budgets: readonly Budget[],
  meters: Meters,
  purpose: Purpose,
  day: string,
): { readonly budget: Budget; readonly used: Meter; readonly leftMicroUsd: number } | undefined {
  let found: ReturnType<typeof tightest>;
  for (const budget of budgets.filter((each) => concerns(each, purpose))) {
    const used = usedOf(meters, budget, day);
    const leftMicroUsd = Math.max(0, budget.limitMicroUsd - used.spentMicroUsd - used.leasedMicroUsd);
    if (found === undefined || leftMicroUsd < found.leftMicroUsd) found = { budget, used, leftMicroUsd };
  }
  return found;
}

/** The meters that can still matter on `day` or later: totals, this day and month, and whatever holds a lease. */
export const metersThatMatter = (meters: Meters, day: string): readonly (readonly [string, Meter])[] =>
  [...meters].filter(
    ([name, meter]) => meter.leasedMicroUsd !== 0 || PERIODS.some((period) => name.endsWith(`|${periodKey(period, day)}`)),
  );
