import {
  accountPartition,
  leaseAnswer,
  type LeaseAnswer,
  type LeaseAskMessage,
  type LeaseSettleMessage,
  parseCloudEvent,
  parseMessage,
  subjects,
  TYPES,
} from '@mandate/contracts';
import { refusal, type Refusal } from '@mandate/domain';
import type { Bus } from '@mandate/messaging';
import type { Logger, Standings } from '@mandate/service-kit';

/** Whose money a call spends, and on what. */
export interface Payer {
  readonly tenant: string;
  readonly key: string;
  readonly model: string;
}

/** Money put aside for one call. Used once. */
export interface Reserved {
  /** What the call became; never more than was reserved, unless the vendor charged beyond its own prices. */
  settle(spentMicroUsd: number, tokens: number): void;
}

/** No money for a call. */
export class NotLeased extends Error {
  override readonly name = 'NotLeased';
  readonly refusal: Refusal;
  constructor(no: Refusal) {
    super(no.message);
    this.refusal = no;
  }
}

export interface ChunkTerms {
  /** A chunk is asked for in this size; a call that needs more gets more. */
  readonly chunkMicroUsd: number;
  /** After this long a chunk takes no new call, and is settled when its last one has ended. */
  readonly chunkMs: number;
  /** The longest that a call may take. */
  readonly callMs: number;
  /** Added to the time after which a chunk runs out, for the way there and back. */
  readonly graceMs: number;
}

interface Chunk {
  readonly lease: string;
  readonly moneyMicroUsd: number;
  /** Calls that may run on it at once; null: any number. */
  readonly slots: number | null;
  readonly closesAt: number;
  readonly expiresAt: number;
  spentMicroUsd: number;
  reservedMicroUsd: number;
  inFlight: number;
  modelCalls: number;
  tokens: number;
  idleSince: number;
}

interface Waiting {
  readonly worstMicroUsd: number;
  readonly until: number;
  readonly resolve: (reserved: Reserved) => void;
  readonly reject: (error: NotLeased) => void;
}

/** What one payer has, and who waits for it. */
interface Purse {
  readonly payer: Payer;
  chunks: Chunk[];
  waiting: Waiting[];
  asked: { readonly ask: LeaseAskMessage; readonly again: NodeJS.Timeout } | undefined;
}

/** An account that has not answered is asked again. */
const ASK_AGAIN_MS = 1_000;
/** A chunk that nobody uses is given back, so that others can have its money. */
const IDLE_MS = 2_000;
const LOOK_EVERY_MS = 250;
/** Several waiting calls are asked for together, up to this many chunks. */
const MOST_CHUNKS = 10;

/**
 * What the tenants' accounts have leased to this router, in chunks, for direct calls. A call reserves its worst case in
 * a chunk before it is made. A chunk is settled as spent; a router that dies leaves its chunks to run out, and then they
 * count as spent in full: whatever happens, no more is billed than was leased.
 */
export class Chunks {
  readonly #bus: Bus;
  readonly #log: Logger;
  readonly #instance: string;
  readonly #standings: Standings;
  readonly #terms: ChunkTerms;
  readonly #purses = new Map<string, Purse>();
  readonly #settling = new Set<Promise<void>>();
  readonly #listening: { stop(): void };
  readonly #looking: NodeJS.Timeout;
  #asked = 0;
  #stopped = false;

  constructor(
    options: { readonly bus: Bus; readonly log: Logger; readonly instance: string; readonly standings: Standings },
    terms: ChunkTerms,
  ) {
    this.#bus = options.bus;
    this.#log = options.log;
    this.#instance = options.instance;
    this.#standings = options.standings;
    this.#terms = terms;
    this.#standings.onWord(() => this.#refuseFrozen());
    this.#listening = this.#bus.listen(subjects.lease(this.#instance), (message) => {
      const event = parseCloudEvent(message.data);
      const parsed = event.ok ? parseMessage(event.value, TYPES.leaseAnswer, leaseAnswer) : event;
      if (parsed.ok) this.#answered(parsed.value);
    });
    this.#looking = setInterval(() => this.#look(), LOOK_EVERY_MS);
  }

  /** Puts the worst case of a call aside, in a chunk that is there or in one that is asked for. @throws NotLeased */
  async reserve(payer: Payer, worstMicroUsd: number, until: number): Promise<Reserved> {
    await this.#standings.heard(payer.tenant);
    if (this.#standings.isFrozen(payer.tenant)) throw new NotLeased(frozen());
    const purse = this.#purseOf(payer);
    return new Promise((resolve, reject) => {
      purse.waiting.push({ worstMicroUsd, until, resolve, reject });
      this.#serve(purse);
    });
  }

  /** Settles what is there; a call that has not ended counts at its worst: nobody will hear what it cost. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#looking);
    this.#listening.stop();
    for (const purse of this.#purses.values()) {
      clearInterval(purse.asked?.again);
      for (const chunk of purse.chunks) this.#settle(purse, chunk);
    }
    await Promise.allSettled(this.#settling);
  }

  #purseOf(payer: Payer): Purse {
    const name = `${payer.tenant}|${payer.key}|${payer.model}`;
    const purse = this.#purses.get(name) ?? { payer, chunks: [], waiting: [], asked: undefined };
    this.#purses.set(name, purse);
    return purse;
  }

  /** Gives what is there to whoever waits, and asks for more when somebody still does. */
  #serve(purse: Purse): void {
    const now = Date.now();
    purse.waiting = purse.waiting.filter((waiting) => {
      const chunk = purse.chunks.find((each) => canPay(each, waiting.worstMicroUsd, now));
      if (chunk !== undefined) waiting.resolve(this.#take(purse, chunk, waiting.worstMicroUsd));
      return chunk === undefined;
    });
    if (purse.waiting.length === 0 || purse.asked !== undefined || this.#stopped) return;
    // What is too small for anybody is better given back before more is asked for.
    for (const chunk of purse.chunks.filter((each) => each.inFlight === 0)) this.#settle(purse, chunk);
    this.#ask(purse, now);
  }

  #take(purse: Purse, chunk: Chunk, worstMicroUsd: number): Reserved {
    chunk.reservedMicroUsd += worstMicroUsd;
    chunk.inFlight += 1;
    let used = false;
    return {
      settle: (spentMicroUsd, tokens) => {
        if (used) return;
        used = true;
        chunk.reservedMicroUsd -= worstMicroUsd;
        chunk.spentMicroUsd += spentMicroUsd;
        chunk.inFlight -= 1;
        chunk.modelCalls += tokens > 0 || spentMicroUsd > 0 ? 1 : 0;
        chunk.tokens += tokens;
        chunk.idleSince = Date.now();
        if (chunk.inFlight === 0 && chunk.idleSince >= chunk.closesAt) this.#settle(purse, chunk);
        this.#serve(purse);
      },
    };
  }

  #ask(purse: Purse, now: number): void {
    const { payer, waiting } = purse;
    const { chunkMicroUsd, chunkMs, callMs, graceMs } = this.#terms;
    const worst = waiting.map((each) => each.worstMicroUsd);
    const wanted = worst.reduce((sum, each) => sum + each, 0);
    const waitUntil = Math.max(...waiting.map((each) => each.until));
    const ask: LeaseAskMessage = {
      lease: `${this.#instance}_${(this.#asked += 1)}`,
      holder: 'router',
      moneyMicroUsd: Math.max(chunkMicroUsd, ...worst, Math.min(wanted, MOST_CHUNKS * chunkMicroUsd)),
      leastMicroUsd: Math.min(...worst),
      slots: waiting.length,
      key: payer.key,
      model: payer.model,
      waitUntil,
      expiresAt: waitUntil + chunkMs + callMs + graceMs,
      sentAt: now,
    };
    const send = (): void =>
      void this.#send(payer.tenant, TYPES.leaseAsk, ask.lease, { ...ask, sentAt: Date.now() }).catch(() => undefined);
    purse.asked = { ask, again: setInterval(send, ASK_AGAIN_MS) };
    send();
  }

  #answered(answer: LeaseAnswer): void {
    for (const purse of this.#purses.values()) {
      if (purse.asked?.ask.lease !== answer.lease) continue;
      clearInterval(purse.asked.again);
      purse.asked = undefined;
      if (answer.granted) this.#open(purse, answer);
      else for (const waiting of purse.waiting.splice(0)) waiting.reject(new NotLeased(refusal(answer.code, answer.message)));
      return this.#serve(purse);
    }
  }

  #open(purse: Purse, { lease, moneyMicroUsd, slots, expiresAt }: Extract<LeaseAnswer, { granted: true }>): void {
    const now = Date.now();
    const closesAt = Math.min(now + this.#terms.chunkMs, expiresAt - this.#terms.callMs);
    purse.chunks.push({
      lease,
      moneyMicroUsd,
      slots,
      closesAt,
      expiresAt,
      spentMicroUsd: 0,
      reservedMicroUsd: 0,
      inFlight: 0,
      modelCalls: 0,
      tokens: 0,
      idleSince: now,
    });
  }

  /** Gives up what waited too long, and settles what is old or idle. */
  #look(): void {
    const now = Date.now();
    for (const [name, purse] of this.#purses) {
      purse.waiting = purse.waiting.filter((waiting) => {
        if (waiting.until > now) return true;
        waiting.reject(new NotLeased(refusal('QuotaExceeded', 'The account of the tenant leased nothing in time.')));
        return false;
      });
      for (const chunk of purse.chunks.filter((each) => each.inFlight === 0))
        if (now >= chunk.closesAt || now - chunk.idleSince >= IDLE_MS) this.#settle(purse, chunk);
      // An ask that nobody waits for any more still has to be answered: what it is granted is given back.
      if (purse.asked !== undefined && now > purse.asked.ask.expiresAt) {
        clearInterval(purse.asked.again);
        purse.asked = undefined;
      }
      if (purse.chunks.length === 0 && purse.waiting.length === 0 && purse.asked === undefined) this.#purses.delete(name);
    }
  }

  #refuseFrozen(): void {
    for (const purse of this.#purses.values()) {
      if (!this.#standings.isFrozen(purse.payer.tenant)) continue;
      for (const waiting of purse.waiting.splice(0)) waiting.reject(new NotLeased(frozen()));
    }
  }

  #settle(purse: Purse, chunk: Chunk): void {
    purse.chunks = purse.chunks.filter((each) => each !== chunk);
    const settlement: LeaseSettleMessage = {
      lease: chunk.lease,
      spentMicroUsd: chunk.spentMicroUsd + chunk.reservedMicroUsd,
      usage: { modelCalls: chunk.modelCalls + chunk.inFlight, tokens: chunk.tokens },
    };
    const settling = this.#untilStored(purse.payer.tenant, settlement, chunk.expiresAt).finally(() => this.#settling.delete(settling));
    this.#settling.add(settling);
  }

  /** Said until the bus has it, or the account has settled the chunk in full. */
  async #untilStored(tenant: string, settlement: LeaseSettleMessage, expiresAt: number): Promise<void> {
    for (let wait = 100; Date.now() < expiresAt; wait = Math.min(5_000, wait * 2)) {
      try {
        return await this.#send(tenant, TYPES.leaseSettle, settlement.lease, settlement);
      } catch (error) {
        this.#log.warn({ lease: settlement.lease, problem: (error as Error).message }, 'chunk not settled yet; trying again');
        if (this.#stopped && wait > 2_000) return;
        await new Promise((done) => setTimeout(done, wait));
      }
    }
  }

  async #send(tenant: string, type: string, lease: string, data: unknown): Promise<void> {
    const id = `${lease}.${type.split('.')[2]}.${Date.now().toString(36)}`;
    const message = JSON.stringify({
      specversion: '1.0',
      id,
      source: `/mandate/llm-router/${this.#instance}`,
      type,
      time: new Date().toISOString(),
      tenant,
      data,
    });
    await this.#bus.publish(subjects.inbox(accountPartition(tenant), 'llm-router', tenant), message, { id });
  }
}

const canPay = (chunk: Chunk, worstMicroUsd: number, now: number): boolean =>
  now < chunk.closesAt &&
  (chunk.slots === null || chunk.inFlight < chunk.slots) &&
  chunk.moneyMicroUsd - chunk.spentMicroUsd - chunk.reservedMicroUsd >= worstMicroUsd;

const frozen = (): Refusal => refusal('SpendingFrozen', 'New spending of this tenant is frozen by the operator.');
