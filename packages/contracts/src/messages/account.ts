import { REFUSALS, type RefusalCode } from '@mandate/domain';
import { z } from 'zod';
import { budget, leaseAskFacts, settlement, slots } from '../account-events.ts';
import { content, count, epochMs, fact, microUsd, shortText, tenantId, token, word, workflowId } from '../fields.ts';

/**
 * What is said to and by the accounts above workflows. Asks and settlements go through the partitioned inbox, to the
 * owner of the account's partition; whoever asks asks again until there is an answer.
 */

/** `mandate.lease.ask.v1`: from the orchestrator that owns a workflow, or from an llm-router for direct calls. */
export const leaseAsk = leaseAskFacts.extend({
  /** Of this copy: one that was on its way too long is dropped. */
  sentAt: epochMs,
});
export type LeaseAskMessage = z.infer<typeof leaseAsk>;

/** `mandate.lease.settle.v1`: what a lease became. Said once; a late repetition is harmless. */
export const leaseSettle = settlement;
export type LeaseSettleMessage = z.infer<typeof leaseSettle>;

const refusalCode = fact(z.enum(Object.keys(REFUSALS) as [RefusalCode, ...RefusalCode[]]));

/** `mandate.lease.answer.v1`: to the owner of the workflow through its inbox, to a router on `ctl.lease.<instance>`. */
export const leaseAnswer = z.discriminatedUnion('granted', [
  z.object({ lease: token, granted: z.literal(true), moneyMicroUsd: microUsd, slots, expiresAt: epochMs }),
  z.object({ lease: token, granted: z.literal(false), code: refusalCode, message: shortText }),
]);
export type LeaseAnswer = z.infer<typeof leaseAnswer>;

/** `mandate.account.define.v1`: an operator's whole list of budgets. */
export const accountDefine = z.strictObject({ budgets: z.array(budget).max(200), slots: slots.default(null) });
/** `mandate.account.freeze.v1` and `mandate.account.thaw.v1`. */
export const accountFreeze = z.strictObject({});

/** How an account stands. */
export const accountView = z.object({
  tenant: tenantId,
  version: count,
  frozen: z.boolean(),
  /** The operator froze everybody. */
  platformFrozen: z.boolean(),
  budgets: z.array(
    budget.extend({
      spentMicroUsd: z.number().int(),
      leasedMicroUsd: z.number().int(),
      leftMicroUsd: microUsd,
      /** When it alerted in the period that runs; absent: it did not. */
      alertedAt: epochMs.optional(),
    }),
  ),
  slots,
  slotsTaken: count,
  leases: count,
  waiting: count,
});
export type AccountView = z.infer<typeof accountView>;

/** `mandate.account.receipt.v1`, on `out.<tenant>.<request>`: the command is on the record, or refused. */
export const accountReceipt = z.discriminatedUnion('accepted', [
  z.object({ request: token, accepted: z.literal(true), account: accountView }),
  z.object({ request: token, accepted: z.literal(false), code: word, message: shortText, next: shortText }),
]);
export type AccountReceipt = z.infer<typeof accountReceipt>;

/**
 * `mandate.accounts.standing.v1` on `ctl.standing`, every second and at every change: all accounts of one partition that
 * are frozen, and all that have budgets or slots. What is not named is neither. `platform` frozen: nobody spends.
 */
export const accountsStanding = z.object({
  partition: count,
  /** Of the owner that says so, in this incarnation of the log: the highest is right. */
  epoch: count,
  incarnation: fact(z.string()),
  frozen: z.array(tenantId),
  limited: z.array(tenantId),
});
export type AccountsStanding = z.infer<typeof accountsStanding>;

/** Asked of the owner of the account's partition on `q.orchestrator.account-<p>`. */
export const accountQuestion = z.object({ tenant: tenantId });

/** `q.llm-router.call`: one model call without a task, paid from what the tenant's account leased to this router. */
export const directCall = z.object({
  tenant: tenantId,
  key: token,
  /** The same key of a tenant is the same call: it is made once. Null: nobody will repeat it. */
  idempotencyKey: token.nullable(),
  model: word.nullable(),
  system: content(z.string()),
  messages: z
    .array(
      z.discriminatedUnion('role', [
        z.object({ role: fact(z.literal('user')), text: content(z.string()) }),
        z.object({ role: fact(z.literal('assistant')), text: content(z.string()) }),
      ]),
    )
    .min(1)
    .max(1_000),
  maxOutputTokens: z.number().int().positive(),
  /** The call may take this long in all, waiting for a lease included. */
  timeoutMs: z.number().int().positive(),
  traceparent: fact(z.string().max(100)).optional(),
});
export type DirectCall = z.infer<typeof directCall>;

export const directAnswer = z.object({
  text: content(z.string()),
  provider: word,
  model: word,
  finishReason: word,
  usage: z.object({ inputTokens: count, outputTokens: count, cachedInputTokens: count, reasoningTokens: count }),
  costMicroUsd: microUsd,
});
export type DirectAnswer = z.infer<typeof directAnswer>;

/** The workflow that an allowance belongs to, by the name of its lease: `<workflow>_<n>`. */
export function allowanceOf(lease: string): { readonly workflow: string; readonly number: number } | undefined {
  const [, workflow, number] = /^(.+)_([1-9]\d{0,8})$/.exec(lease) ?? [];
  return workflowId.safeParse(workflow).success && workflow !== undefined ? { workflow, number: Number(number) } : undefined;
}

export const allowanceName = (workflow: string, number: number): string => `${workflow}_${number}`;
