import type { Account, Lease } from './account.ts';
import type { LeaseAsk } from './events.ts';
import { entriesOf } from './shelves.ts';

/** When something of an account is over next (epoch ms); Infinity when nothing is. */
export function nextDue(account: Account): number {
  let next = Infinity;
  for (const [, lease] of entriesOf(account.leases)) next = Math.min(next, lease.ask.expiresAt);
  for (const ask of account.waiting) next = Math.min(next, ask.waitUntil, ask.expiresAt);
  return next;
}

/** What is over at `now`, oldest first. */
export function dueOf(account: Account, now: number): { readonly leases: readonly Lease[]; readonly waiting: readonly LeaseAsk[] } {
  return {
    leases: entriesOf(account.leases)
      .map(([, lease]) => lease)
      .filter((lease) => lease.ask.expiresAt <= now)
      .sort((a, b) => a.ask.expiresAt - b.ask.expiresAt || (a.ask.lease < b.ask.lease ? -1 : 1)),
    waiting: account.waiting.filter((ask) => Math.min(ask.waitUntil, ask.expiresAt) <= now),
  };
}
