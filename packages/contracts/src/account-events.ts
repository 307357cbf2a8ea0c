import { type AccountEvent, type AccountEventType, REFUSALS, type RefusalCode } from '@mandate/domain';
import { z } from 'zod';
import { ofVersion, same, type StoredEvent, storedEvent } from './events.ts';
import { accountId, count, epochMs, fact, microUsd, shortText, token, word } from './fields.ts';

/**
 * The events of accounts, beside those of workflows in the same log. Facts only; `domain` owns the types, and
 * `account-events.test-d.ts` holds both equal.
 */

/** `tenant`, `key:<id>` or `model:<name>`. */
const scope = fact(
  z.string().regex(/^(tenant|key:[A-Za-z0-9_-]{1,64}|model:[A-Za-z0-9._:/@-]{1,120})$/, 'must be tenant, key:<id> or model:<name>'),
);
const period = fact(z.enum(['total', 'day', 'month']));
const percent = z.number().int().min(1).max(100);
export const budget = z.object({
  scope,
  period,
  limitMicroUsd: microUsd,
  /** It alerts once per period when spent and leased have reached so many percent of the limit; absent: never. */
  alertAtPercent: percent.optional(),
});
/** Slots that may be taken at once; null: as many as wanted. */
export const slots = z.number().int().min(1).nullable();
const leaseUsage = z.object({ modelCalls: count, tokens: count });
export const settlement = z.object({ lease: token, spentMicroUsd: microUsd, usage: leaseUsage });
export const leaseAskFacts = z.object({
  lease: token,
  holder: fact(z.enum(['workflow', 'router'])),
  moneyMicroUsd: microUsd,
  leastMicroUsd: microUsd,
  slots: z.number().int().positive(),
  key: token.nullable(),
  model: word.nullable(),
  waitUntil: epochMs,
  expiresAt: epochMs,
});
const day = fact(z.string().regex(/^\d{4}-\d{2}-\d{2}$/));
const refusalCode = fact(z.enum(Object.keys(REFUSALS) as [RefusalCode, ...RefusalCode[]]));
const request = z.object({ request: token });

export const ACCOUNT_EVENT_SCHEMAS = {
  'account.budgets_defined': z.object({ request: token, budgets: z.array(budget), slots }),
  'account.frozen': request,
  'account.thawed': request,
  'lease.asked': leaseAskFacts,
  'lease.queued': z.object({ lease: token, because: fact(z.enum(['slots', 'frozen'])) }),
  'lease.granted': z.object({ lease: token, moneyMicroUsd: microUsd, slots, day }),
  'lease.refused': z.object({ lease: token, code: refusalCode, message: shortText }),
  'lease.settled': settlement.extend({ returnedMicroUsd: microUsd }),
  'lease.settled_late': settlement,
  'lease.withdrawn': settlement,
  'account.timer_fired': z.object({ dueAt: epochMs }),
  'lease.expired': z.object({ lease: token, spentMicroUsd: microUsd }),
  'budget.alerted': z.object({ scope, period, day, usedMicroUsd: microUsd, limitMicroUsd: microUsd, percent }),
  'account.carried': z.object({
    budgets: z.array(budget),
    slots,
    frozen: z.boolean(),
    meters: z.array(z.object({ name: word, spentMicroUsd: z.number().int(), leasedMicroUsd: z.number().int() })),
    alerts: z.array(z.object({ scope, period, day, at: epochMs })).optional(),
  }),
  'account.carried_on': z.object({
    waiting: z.array(leaseAskFacts),
    leases: z.array(z.object({ ask: leaseAskFacts, moneyMicroUsd: microUsd, slots, day })),
    ended: z.array(
      z.object({
        lease: token,
        until: epochMs,
        how: fact(z.enum(['refused', 'withdrawn', 'settled', 'expired'])),
        granted: z.object({ moneyMicroUsd: microUsd, slots, expiresAt: epochMs }).nullable(),
        refused: z.object({ code: refusalCode, message: shortText }).nullable(),
      }),
    ),
  }),
} as const satisfies Record<AccountEventType, z.ZodType>;

/** Current schema version of each event type; one that is not named is still in its first. */
const CURRENT: Partial<Record<AccountEventType, number>> = { 'account.budgets_defined': 2, 'account.carried': 2 };
export const ACCOUNT_EVENT_VERSIONS: Readonly<Record<AccountEventType, number>> = Object.fromEntries(
  Object.keys(ACCOUNT_EVENT_SCHEMAS).map((type) => [type, CURRENT[type as AccountEventType] ?? 1]),
) as Record<AccountEventType, number>;

/** The envelope of an account's event: that of a workflow's, in a stream of its own kind. */
export const storedAccountEvent = storedEvent.extend({
  type: fact(z.enum(Object.keys(ACCOUNT_EVENT_SCHEMAS) as [AccountEventType, ...AccountEventType[]])),
  stream: accountId,
});
export type StoredAccountEvent = Omit<z.infer<typeof storedAccountEvent>, 'data' | 'type'> & AccountEvent;

/** Whatever stands in the log. */
export type LoggedEnvelope = StoredEvent | StoredAccountEvent;

/** As `UPCASTERS`, with golden samples in test/histories/account-events. Budgets had no alerts at first. */
const ACCOUNT_UPCASTERS = { 'account.budgets_defined.v1': same, 'account.carried.v1': same };

/** An account's event as stored, in today's shape. @throws UnknownEventVersion for a type or version that this code does not know */
export const upcastAccountEvent = (stored: StoredAccountEvent): StoredAccountEvent =>
  ofVersion(ACCOUNT_EVENT_VERSIONS[stored.type], stored, ACCOUNT_UPCASTERS);
