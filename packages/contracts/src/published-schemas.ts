import type { AccountEventType, WorkflowEventType } from '@mandate/domain';
import { z } from 'zod';
import { ACCOUNT_EVENT_SCHEMAS, ACCOUNT_EVENT_VERSIONS, storedAccountEvent } from './account-events.ts';
import { cloudEvent } from './cloud-event.ts';
import { EVENT_SCHEMAS, EVENT_VERSIONS, storedEvent } from './events.ts';
import { fact, shortText, word } from './fields.ts';
import { TYPES } from './flow.ts';
import { LIMITS } from './limits.ts';
import {
  accountDefine,
  accountFreeze,
  accountQuestion,
  accountReceipt,
  accountsStanding,
  accountView,
  directAnswer,
  directCall,
  leaseAnswer,
  leaseAsk,
  leaseSettle,
} from './messages/account.ts';
import { analyzeCommand, llmCommand, startGrant, stopNotice, toolCommand } from './messages/commands.ts';
import { heartbeat, modelCatalog, partitionsFree, toolCatalog } from './messages/presence.ts';
import { parkedDecision, parkedGet, parkedItem, parkedList, parkedRetry } from './messages/parked.ts';
import { QUERIES } from './messages/queries.ts';
import { attemptResult, attemptStart, messageParked } from './messages/results.ts';
import {
  keysDestroyed,
  subjectErase,
  subjectReceipt,
  taskCancel,
  taskErase,
  taskFork,
  taskReceipt,
  taskResult,
  taskSubmit,
  taskText,
  taskTopUp,
} from './messages/tasks.ts';

export type MessageType = (typeof TYPES)[keyof typeof TYPES];

/** Schema of `data` of every message that travels in a CloudEvent. */
export const MESSAGES: Readonly<Record<MessageType, z.ZodType>> = {
  [TYPES.taskSubmit]: taskSubmit,
  [TYPES.taskCancel]: taskCancel,
  [TYPES.taskTopUp]: taskTopUp,
  [TYPES.taskFork]: taskFork,
  [TYPES.taskErase]: taskErase,
  [TYPES.subjectErase]: subjectErase,
  [TYPES.subjectReceipt]: subjectReceipt,
  [TYPES.keysDestroyed]: keysDestroyed,
  [TYPES.taskReceipt]: taskReceipt,
  [TYPES.taskResult]: taskResult,
  [TYPES.analyzeRun]: analyzeCommand,
  [TYPES.llmRun]: llmCommand,
  [TYPES.toolRun]: toolCommand,
  [TYPES.attemptResult]: attemptResult,
  [TYPES.attemptStart]: attemptStart,
  [TYPES.attemptGrant]: startGrant,
  [TYPES.attemptsStop]: stopNotice,
  [TYPES.messageParked]: messageParked,
  [TYPES.parkedRetry]: parkedRetry,
  [TYPES.leaseAsk]: leaseAsk,
  [TYPES.leaseAnswer]: leaseAnswer,
  [TYPES.leaseSettle]: leaseSettle,
  [TYPES.accountDefine]: accountDefine,
  [TYPES.accountFreeze]: accountFreeze,
  [TYPES.accountThaw]: accountFreeze,
  [TYPES.accountReceipt]: accountReceipt,
  [TYPES.accountsStanding]: accountsStanding,
  [TYPES.partitionsFree]: partitionsFree,
};

/** Type of an event as it stands in its CloudEvent. */
const eventTypeOnBus = (type: WorkflowEventType): string => `mandate.${type}.v${EVENT_VERSIONS[type]}`;

/** Schema of `data` of every event on the bus: the envelope as it is stored, byte for byte, with the event's own facts inside. */
export const EVENTS: Readonly<Record<string, z.ZodType>> = Object.fromEntries([
  ...Object.entries(EVENT_SCHEMAS).map(([type, data]): [string, z.ZodType] => [
    eventTypeOnBus(type as WorkflowEventType),
    storedEvent.extend({ type: fact(z.literal(type)), schema: z.literal(EVENT_VERSIONS[type as WorkflowEventType]), data }),
  ]),
  ...Object.entries(ACCOUNT_EVENT_SCHEMAS).map(([type, data]): [string, z.ZodType] => {
    const schema = ACCOUNT_EVENT_VERSIONS[type as AccountEventType];
    return [`mandate.${type}.v${schema}`, storedAccountEvent.extend({ type: fact(z.literal(type)), schema: z.literal(schema), data })];
  }),
]);

const replyTo = <T extends z.ZodType>(value: T): z.ZodType =>
  z.discriminatedUnion('ok', [
    z.object({ ok: z.literal(true), value }),
    z.object({ ok: z.literal(false), problem: z.object({ code: word, message: shortText, next: shortText }) }),
  ]);

/** What goes over core NATS as plain JSON, without an envelope: questions, their answers, heartbeats. */
export const PLAIN: Readonly<Record<string, z.ZodType>> = {
  heartbeat,
  'catalog.tools': replyTo(toolCatalog),
  'catalog.models': replyTo(modelCatalog),
  'account.ask': accountQuestion,
  'account.answer': replyTo(accountView),
  'parked.list.ask': parkedList,
  'parked.list.answer': replyTo(z.object({ items: z.array(parkedItem) })),
  'parked.get.ask': parkedGet,
  'parked.get.answer': replyTo(parkedItem),
  'parked.decide.ask': parkedDecision,
  'parked.decide.answer': replyTo(parkedItem),
  'call.ask': directCall,
  'call.answer': replyTo(directAnswer),
  ...Object.fromEntries(
    Object.entries(QUERIES).flatMap(([name, { ask, answer }]) => [
      [`query.${name}.ask`, ask],
      [`query.${name}.answer`, replyTo(answer)],
    ]),
  ),
};

/** Every schema that is published, by the name of its file in docs/schemas. */
export const PUBLISHED: Readonly<Record<string, z.ZodType>> = { 'cloud-event': cloudEvent, ...MESSAGES, ...EVENTS, ...PLAIN };

/** A schema as JSON Schema 2020-12: what a reader accepts. `x-holds` says of every string whether it is a fact or somebody's words. */
export function jsonSchemaOf(name: string, schema: z.ZodType): Record<string, unknown> {
  const { $schema, ...body } = z.toJSONSchema(schema, { io: 'input', override: describeString });
  return { $schema, title: name, ...body } as Record<string, unknown>;
}

type Described = Parameters<NonNullable<NonNullable<Parameters<typeof z.toJSONSchema>[1]>['override']>>[0];

function describeString({ zodSchema, jsonSchema }: Described): void {
  const { holds } = jsonSchema;
  delete jsonSchema['holds'];
  if (holds !== undefined) jsonSchema['x-holds'] = holds;
  // What JSON Schema has no word for.
  if (zodSchema === taskText)
    jsonSchema.description = `Not blank, at most ${LIMITS.taskBytes} bytes of UTF-8, no NUL, well-formed Unicode.`;
}
