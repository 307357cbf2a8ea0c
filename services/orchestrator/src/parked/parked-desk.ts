import { randomBytes } from 'node:crypto';
import {
  issues,
  parkedDecision,
  parkedGet,
  type ParkedItem,
  parkedList,
  type ParkedRetry,
  type Problem,
  subjects,
  TYPES,
  WORKERS,
} from '@mandate/contracts';
import { isTenantId, PLATFORM } from '@mandate/domain';
import { type DataKeys, type EventLog, type ParkedRow, type ParkedStatus, unseal } from '@mandate/event-store';
import { type Bus, SIGNATURE_HEADER } from '@mandate/messaging';
import type { Logger } from '@mandate/service-kit';
import type { z } from 'zod';

export interface ParkedDeskOptions {
  readonly bus: Bus;
  readonly log: EventLog;
  readonly keys: DataKeys;
  readonly logger: Logger;
  readonly instance: string;
}

type Stored = NonNullable<Awaited<ReturnType<EventLog['parkedMessage']>>>;
const PREFIX = 'q.orchestrator.parked.';
/** Nobody has decided yet, or what was decided did not happen. */
const WAITING: readonly ParkedStatus[] = ['parked', 'retrying'];

/** A no that crosses the wire as it is. */
class Declined extends Error {
  override readonly name = 'Declined';
  readonly problem: Problem;
  constructor(code: string, message: string, next: string) {
    super(message);
    this.problem = { code, message, next };
  }
}

/**
 * Parked messages: lists them, shows them, and carries out what an operator decides. Any orchestrator answers; what came
 * through an inbox is handled again by the owner of its partition, what was a command goes to its worker again as it was.
 */
export class ParkedDesk {
  readonly #options: ParkedDeskOptions;
  readonly #answering: { stop(): void };

  constructor(options: ParkedDeskOptions) {
    this.#options = options;
    this.#answering = options.bus.answer(`${PREFIX}>`, 'parked', async (message) => {
      try {
        return { ok: true, value: await this.#answer(message.subject.slice(PREFIX.length), message.string()) };
      } catch (error) {
        if (error instanceof Declined) return { ok: false, problem: error.problem };
        options.logger.warn({ err: error, subject: message.subject }, 'a question about parked messages could not be answered');
        return { ok: false, problem: { code: 'StoreUnavailable', message: 'The event store cannot be reached.', next: 'Try again.' } };
      }
    });
  }

  stop(): void {
    this.#answering.stop();
  }

  async #answer(question: string, body: string): Promise<unknown> {
    switch (question) {
      case 'list':
        return { items: await this.#list(asked(parkedList, body)) };
      case 'get': {
        const { tenant, id } = asked(parkedGet, body);
        const row = await this.#stored(id);
        if (tenant !== null && row.tenant !== tenant) throw unknown();
        return itemOf(row);
      }
      case 'retry':
        return this.#retry(asked(parkedDecision, body));
      case 'abandon':
        return this.#abandon(asked(parkedDecision, body));
      default:
        throw new Declined('QueryUnknown', 'There is no such question.', 'Ask list, get, retry or abandon.');
    }
  }

  async #list({ tenant, status, before, limit }: z.output<typeof parkedList>): Promise<readonly ParkedItem[]> {
    const from = before === undefined ? null : { at: before.at, id: numberOf(before.id) };
    return (await this.#options.log.parked({ tenant, status: status ?? null, before: from, limit })).map(itemOf);
  }

  async #retry({ id, by }: z.output<typeof parkedDecision>): Promise<ParkedItem> {
    const { log, logger } = this.#options;
    const row = await this.#stored(id);
    if (row.status === 'retried') return itemOf(row);
    if (row.status === 'abandoned')
      throw new Declined('ParkedAbandoned', `${id} was abandoned.`, 'Send it again from where it came, if it is wanted after all.');
    if (!row.whole) throw new Declined('ParkedIncomplete', `${id} was too large to be kept whole.`, 'Abandon it.');
    const body = await openParked(this.#options.keys, row);
    if (body === undefined) throw new Declined('ParkedErased', `The words of ${id} were erased.`, 'Abandon it.');
    // Whoever decided otherwise in between was first.
    if (await log.decideParked(row.id, row.attempts, WAITING, { status: 'retrying', by })) {
      await this.#sendAgain(row, body);
      logger.info({ parked: id, subject: row.subject, attempts: row.attempts, by }, 'parked message is retried');
    }
    return itemOf(await this.#stored(id));
  }

  async #sendAgain(row: Stored, body: Buffer): Promise<void> {
    const { bus, log, instance } = this.#options;
    const id = `retry.${row.id}.${row.attempts}.${randomBytes(6).toString('hex')}`;
    if (isCommandOf(row)) {
      const headers = row.signature === null ? {} : { [SIGNATURE_HEADER]: row.signature };
      await bus.publish(row.subject, body, { id, headers });
      await log.decideParked(row.id, row.attempts, ['retrying'], { status: 'retried' });
      return;
    }
    const data: ParkedRetry = { id: row.id, attempts: row.attempts };
    const head = { specversion: '1.0', id, source: `/mandate/orchestrator/${instance}`, type: TYPES.parkedRetry };
    const tenant = row.tenant !== null && isTenantId(row.tenant) ? row.tenant : PLATFORM;
    const inbox = subjects.inbox(Number(row.subject.split('.')[1]), 'orchestrator', tenant);
    await bus.publish(inbox, JSON.stringify({ ...head, time: new Date().toISOString(), data }), { id });
  }

  async #abandon({ id, by }: z.output<typeof parkedDecision>): Promise<ParkedItem> {
    const row = await this.#stored(id);
    if (row.status === 'retried') throw new Declined('ParkedRetried', `${id} was retried and handled.`, 'There is nothing to abandon.');
    if (await this.#options.log.decideParked(row.id, row.attempts, WAITING, { status: 'abandoned', by }))
      this.#options.logger.info({ parked: id, subject: row.subject, attempts: row.attempts, by }, 'parked message is abandoned');
    return itemOf(await this.#stored(id));
  }

  async #stored(id: string): Promise<Stored> {
    const row = await this.#options.log.parkedMessage(numberOf(id));
    if (row === undefined) throw unknown();
    return row;
  }
}

/** The message itself, or undefined when its key was destroyed. */
export async function openParked(keys: DataKeys, row: Pick<Stored, 'keyId' | 'digest' | 'body'>): Promise<Buffer | undefined> {
  const key = (await keys.get([row.keyId])).get(row.keyId);
  return key === undefined ? undefined : unseal(key, `parked/${row.digest}`, row.body);
}

/** A worker parks commands of its own and nothing else: by a retry nobody can make the orchestrator say what it did not say. */
const isCommandOf = ({ service, subject }: ParkedRow): boolean =>
  Object.entries(WORKERS).some(([kind, { consumer }]) => consumer === service && subject.startsWith(`cmd.${kind}.`));

const unknown = (): Declined => new Declined('ParkedUnknown', 'Nothing is parked under this id.', 'See GET /api/v1/parked for what is.');

/** `m12` → 12; anything else names nothing. */
const numberOf = (id: string): number => (/^m\d{1,9}$/.test(id) ? Number(id.slice(1)) : 0);

const itemOf = (row: ParkedRow): ParkedItem => ({
  id: `m${row.id}`,
  kind: 'message',
  status: row.status,
  tenant: row.tenant,
  service: row.service,
  subject: row.subject,
  reason: row.reason,
  detail: row.detail,
  attempts: row.attempts,
  size: row.size,
  digest: row.digest,
  traceparent: row.traceparent,
  at: row.at,
  lastAt: row.lastAt,
  decidedBy: row.decidedBy,
  decidedAt: row.decidedAt,
});

function asked<Schema extends z.ZodType>(schema: Schema, body: string): z.output<Schema> {
  const parsed = schema.safeParse(parseJson(body));
  if (parsed.success) return parsed.data;
  throw new Declined('QueryInvalid', issues(parsed.error), 'Match the schema of the question.');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
