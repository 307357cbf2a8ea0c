/** A stream's events, to be decided again or folded: from the log, a run capsule, or a file of recorded events. */
import { type VerifierKey } from '@mandate/audit';
import {
  ACCOUNT_EVENT_SCHEMAS,
  EVENT_SCHEMAS,
  issues,
  storedAccountEvent,
  type StoredAccountEvent,
  storedEvent,
  type StoredEvent,
  UnknownEventVersion,
  upcast,
  upcastAccountEvent,
} from '@mandate/contracts';
import { isAccountId, isWorkflowId } from '@mandate/domain';
import type { ProofStore } from '@mandate/event-store';
import { readCapsule } from './export.ts';
import { knownPartition, onLog, streamPages } from './log.ts';
import { CannotCheck, readText } from './where.ts';

/** Events are in today's shapes. */
export type History =
  | { readonly kind: 'workflow'; readonly stream: string; readonly events: readonly StoredEvent[] }
  | { readonly kind: 'account'; readonly stream: string; readonly events: readonly StoredAccountEvent[] };

/** More are not held in memory at once. */
const MOST_EVENTS = 500_000;

/** Events that cannot be read as a history: one is missing, not of its type's shape, or newer than this code. */
export class Unreadable extends Error {
  override readonly name = 'Unreadable';
}

/** A stream of the log, or a file. @throws CannotCheck when there is none; Unreadable */
export async function historyOf(of: string, url: () => Promise<string>, key?: VerifierKey): Promise<History> {
  if (isWorkflowId(of) || isAccountId(of)) return onLog(await url(), (store) => historyIn(store, of));
  const text = await readText(of);
  return readHistory(text.startsWith('[') ? recordedIn(of, text) : await capsuled(of, text, key));
}

/** A stream of the log, up to its newest event. */
export async function historyIn(store: ProofStore, stream: string): Promise<History> {
  const envelopes: unknown[] = [];
  for await (const page of streamPages(store, knownPartition(stream), stream, MOST_EVENTS + 1))
    for (const { envelope } of page) envelopes.push(parsed(envelope));
  if (envelopes.length === 0) throw new CannotCheck(`the log has no ${stream}`);
  if (envelopes.length > MOST_EVENTS)
    throw new Unreadable(`${stream} has more than ${MOST_EVENTS} events: that is more than is read at once`);
  return readHistory(envelopes);
}

function recordedIn(file: string, text: string): readonly unknown[] {
  const value = parsed(text);
  if (!Array.isArray(value)) throw new CannotCheck(`${file} is neither a list of events nor a run capsule`);
  return value;
}

/** Only what a capsule proves is taken out of it. */
async function capsuled(file: string, text: string, key: VerifierKey | undefined): Promise<readonly unknown[]> {
  if (file === '-') throw new CannotCheck('a run capsule is read from a file: its proof is checked first');
  const { finding } = await readCapsule(file, key);
  if (finding !== undefined) throw new Unreadable(`the run capsule is not right: ${finding.event ?? file}: ${finding.detail}`);
  return text.split('\n').flatMap((line) => {
    const { envelope } = (parsed(line) ?? {}) as { envelope?: unknown };
    return typeof envelope === 'string' ? [parsed(envelope)] : [];
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Checks whatever came from outside: every event of one stream, from the first, in a shape that this code knows. */
export function readHistory(envelopes: readonly unknown[]): History {
  const { stream } = (envelopes[0] ?? {}) as { readonly stream?: unknown };
  if (typeof stream !== 'string') throw new Unreadable('it holds no events');
  return isAccountId(stream)
    ? { kind: 'account', stream, events: envelopes.map((each, index) => accountEvent(each, stream, index + 1)) }
    : { kind: 'workflow', stream, events: envelopes.map((each, index) => workflowEvent(each, stream, index + 1)) };
}

function workflowEvent(envelope: unknown, stream: string, version: number): StoredEvent {
  inPlace(envelope, storedEvent, stream, version);
  const event = today(() => upcast(envelope as StoredEvent));
  ofItsType(event, EVENT_SCHEMAS[event.type]);
  return event;
}

function accountEvent(envelope: unknown, stream: string, version: number): StoredAccountEvent {
  inPlace(envelope, storedAccountEvent, stream, version);
  const event = today(() => upcastAccountEvent(envelope as StoredAccountEvent));
  ofItsType(event, ACCOUNT_EVENT_SCHEMAS[event.type]);
  return event;
}

type Schema = typeof storedEvent | typeof storedAccountEvent;

function inPlace(envelope: unknown, schema: Schema, stream: string, version: number): void {
  const read = schema.safeParse(envelope);
  if (!read.success) throw new Unreadable(`event ${version} of ${stream} is no stored event: ${issues(read.error)}`);
  if (read.data.stream !== stream) throw new Unreadable(`event ${version} is of ${read.data.stream}, not of ${stream}`);
  if (read.data.version !== version)
    throw new Unreadable(`event ${version} of ${stream} is missing: version ${read.data.version} stands there`);
}

function today<Event>(read: () => Event): Event {
  try {
    return read();
  } catch (error) {
    if (error instanceof UnknownEventVersion) throw new Unreadable(error.message, { cause: error });
    throw error;
  }
}

function ofItsType({ id, type, data }: Pick<StoredEvent, 'id'> & { type: string; data: unknown }, schema: Schemas): void {
  const read = schema.safeParse(data);
  if (!read.success) throw new Unreadable(`${id} is no ${type}: ${issues(read.error)}`);
}

type Schemas = (typeof EVENT_SCHEMAS)[keyof typeof EVENT_SCHEMAS] | (typeof ACCOUNT_EVENT_SCHEMAS)[keyof typeof ACCOUNT_EVENT_SCHEMAS];
