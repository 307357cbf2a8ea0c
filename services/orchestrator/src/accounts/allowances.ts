import {
  accountPartition,
  allowanceName,
  type LeaseAskMessage,
  type LeaseSettleMessage,
  subjects,
  TYPES,
  upcast,
} from '@mandate/contracts';
import { type Figures, isOpen, minus, NONE, pending, rootOf, type WorkflowEvent } from '@mandate/domain';
import type { Shared } from '../decisions.ts';
import type { Held } from '../workflow-memory.ts';

/** How often an account that has not answered is asked again. */
const ASK_AGAIN_MS = 3_000;

/** What the workflows of a partition say to the accounts of their tenants: what they need, and what they spent. */
export class Allowances {
  readonly #shared: Shared;
  /** Workflows that wait for an answer, and when they asked last. */
  readonly #askedAt = new Map<string, number>();

  constructor(shared: Shared) {
    this.#shared = shared;
  }

  /** Asks for what is owed, at once and then every 3 s until there is an answer. */
  ask(held: Held): void {
    const allowance = isOpen(held.state) ? pending(held.state).allowance : undefined;
    if (allowance === undefined) return void this.#askedAt.delete(held.id);
    const now = Date.now();
    if (now - (this.#askedAt.get(held.id) ?? 0) < ASK_AGAIN_MS) return;
    this.#askedAt.set(held.id, now);
    const { number, moneyMicroUsd, expiresAt, model } = allowance;
    const ask: LeaseAskMessage = {
      lease: allowanceName(held.id, number),
      holder: 'workflow',
      moneyMicroUsd,
      leastMicroUsd: moneyMicroUsd,
      slots: 1,
      key: keyOf(held.actor),
      model,
      waitUntil: expiresAt,
      expiresAt,
      sentAt: now,
    };
    this.#send(held, TYPES.leaseAsk, `${ask.lease}.ask.${now.toString(36)}`, ask).catch(() => this.#askedAt.set(held.id, 0));
  }

  /** Workflows whose ask may have been lost. */
  get waiting(): Iterable<string> {
    return this.#askedAt.keys();
  }

  forget(workflow: string): void {
    this.#askedAt.delete(workflow);
  }

  /** It has ended: what it did not spend is free. Not said, or lost on the way, its leases run out and count in full. */
  ended(held: Held): void {
    const allowance = held.state.allowance;
    if (allowance === undefined || isOpen(held.state)) return;
    this.#askedAt.delete(held.id);
    const spent = rootOf(held.state)?.mandate.spent ?? NONE;
    const parts = allowance.asked.number === 1 ? Promise.resolve([{ number: 1, spent }]) : this.#fromHistory(held);
    parts
      .then((settled) => Promise.all(settled.map((part) => this.#settle(held, part.number, part.spent))))
      .catch((error: unknown) =>
        this.#shared.logger.warn({ workflow: held.id, problem: (error as Error).message }, 'its leases are not settled; they run out'),
      );
  }

  async #fromHistory(held: Held): Promise<readonly LeasePart[]> {
    const stored = await this.#shared.log.readStream(held.partition, held.id);
    return leasesAtTheEnd((stored?.events ?? []).map(upcast));
  }

  async #settle(held: Held, number: number, spent: Figures): Promise<void> {
    const settlement: LeaseSettleMessage = {
      lease: allowanceName(held.id, number),
      spentMicroUsd: spent.moneyMicroUsd,
      usage: { modelCalls: spent.modelCalls, tokens: spent.tokens },
    };
    const id = `${settlement.lease}.settle.${held.state.version}`;
    // The bus may be away for a moment; later than that the lease runs out.
    for (let wait = 100; ; wait *= 2) {
      try {
        return await this.#send(held, TYPES.leaseSettle, id, settlement);
      } catch (error) {
        if (wait > 10_000) throw error;
        await new Promise((done) => setTimeout(done, wait).unref());
      }
    }
  }

  async #send(held: Held, type: string, id: string, data: unknown): Promise<void> {
    const message = JSON.stringify({
      specversion: '1.0',
      id,
      source: `/mandate/orchestrator/${this.#shared.instance}`,
      type,
      time: new Date().toISOString(),
      tenant: held.tenant,
      traceparent: held.trace,
      causationid: held.id,
      data,
    });
    await this.#shared.bus.publish(subjects.inbox(accountPartition(held.tenant), 'orchestrator', held.tenant), message, { id });
  }
}

export interface LeasePart {
  readonly number: number;
  readonly spent: Figures;
}

/**
 * What the leases of a task that was topped up became at its latest end. Those from before an earlier end are settled
 * already; what it spent since then fills the later ones in order, and whatever is over is the last one's.
 */
export function leasesAtTheEnd(events: readonly WorkflowEvent[]): readonly LeasePart[] {
  let before = NONE;
  let spent = NONE;
  let asked: { readonly number: number; readonly moneyMicroUsd: number }[] = [];
  let open: typeof asked = [];
  for (const event of events) {
    // The mandate that it began with is filled first, whether it was leased or not.
    if (event.type === 'mandate.granted' && event.data.parent === null)
      asked = [{ ...UNLEASED, moneyMicroUsd: event.data.limits.moneyMicroUsd }];
    if (event.type === 'allowance.asked') asked = [...asked.filter(({ number }) => event.data.number > 1 || number > 0), event.data];
    // A top-up that was not leased is no lease; the first one's refusal ends the task.
    if (event.type === 'allowance.answered' && !event.data.granted && event.data.number > 1)
      asked = asked.filter(({ number }) => number !== event.data.number);
    if (event.type !== 'task.completed' && event.type !== 'task.failed' && event.type !== 'task.cancelled') continue;
    [before, spent] = [spent, event.data.spent];
    [open, asked] = [asked, []];
  }
  const since = minus(spent, before);
  let money = since.moneyMicroUsd;
  const parts = open.map(({ number, moneyMicroUsd }, index) => {
    const isLast = index === open.length - 1;
    const share = isLast ? money : Math.min(money, moneyMicroUsd);
    money -= share;
    return { number, spent: { ...(isLast ? since : NONE), moneyMicroUsd: share } };
  });
  return parts.filter(({ number }) => number !== UNLEASED.number);
}

/** What a task began with while its tenant's account had no limits. */
const UNLEASED = { number: 0 } as const;

/** The API key that the task came with, when it came with one. */
const keyOf = (actor: string): string | null => /^key\/(.+)$/.exec(actor)?.[1] ?? null;
