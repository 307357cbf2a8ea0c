/**
 * Stores one workflow of 10,000 events: a model call asks for five tools, and again with their results, more than 800
 * times. Environment: DATABASE_URL, KEYS_DATABASE_URL, MANDATE_MASTER_KEY_FILE.
 */
import { partitionOf } from '@mandate/domain';
import { DataKeys, EventLog } from '@mandate/event-store';
import { encodeEvents, GENESIS } from './encode-events.ts';
import { answerNext, LONG_WORKFLOW, submitted, wordsOf } from './told-workflow.ts';

const { DATABASE_URL = '', KEYS_DATABASE_URL = '', MANDATE_MASTER_KEY_FILE = '' } = process.env;
const EVENTS = 10_000;
const partition = partitionOf(LONG_WORKFLOW) ?? 0;
const log = new EventLog({ url: DATABASE_URL });
const keys = await DataKeys.open({ url: KEYS_DATABASE_URL, masterKeyFile: MANDATE_MASTER_KEY_FILE });
const telling = submitted('long', {
  pattern: 'direct',
  maxModelCalls: 1_000,
  maxToolCalls: 5_000,
  maxTokens: 50_000_000,
  maxCostMicroUsd: 100_000_000,
});
while (telling.workflow.version < EVENTS && telling.open().length > 0) answerNext(telling, 1_000, 5);
const encoded = encodeEvents(telling.events.slice(0, EVENTS), {
  stream: LONG_WORKFLOW,
  tenant: 'acme',
  firstVersion: 1,
  at: telling.now,
  head: GENESIS,
  key: await keys.fresh(),
  contentOf: wordsOf,
});
const taken = await log.takePartitions('bench', 600_000, 16);
const epochs = new Map(taken.map((one) => [one.partition, one.epoch]));
await log.append(
  [
    {
      partition,
      stream: LONG_WORKFLOW,
      tenant: 'acme',
      expectedVersion: 0,
      events: encoded,
      headHash: encoded.at(-1)?.hash ?? GENESIS,
      open: true,
    },
  ],
  epochs,
);
await log.releasePartitions(
  'bench',
  taken.map((one) => one.partition),
);
await log.close();
await keys.close();
process.stdout.write(`${JSON.stringify({ events: encoded.length })}\n`);
