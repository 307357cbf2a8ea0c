/**
 * Stores one workflow of 10,000 events, with a snapshot as old as it may become: a model call asks for five tools, and
 * again with their results, more than 800 times. Environment: DATABASE_URL, KEYS_DATABASE_URL, MANDATE_MASTER_KEY_FILE.
 */
import { partitionOf } from '@mandate/domain';
import { DataKeys, EventLog } from '@mandate/event-store';
import { SNAPSHOT_EVERY, Snapshots } from '../../../services/orchestrator/src/snapshots.ts';
import { WorkflowMemory } from '../../../services/orchestrator/src/workflow-memory.ts';
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
const SNAPSHOT_AT = EVENTS - SNAPSHOT_EVERY + 1;
await append(0, SNAPSHOT_AT);
const snapshotted = Promise.withResolvers<void>();
const snapshots = new Snapshots({
  saveSnapshot: (snapshot) => log.saveSnapshot(snapshot).then(snapshotted.resolve),
  dropSnapshot: () => Promise.resolve(),
});
snapshots.committed(await new WorkflowMemory(partition, log, keys).get(LONG_WORKFLOW), SNAPSHOT_AT);
await snapshotted.promise;
await append(SNAPSHOT_AT, EVENTS);
await log.releasePartitions(
  'bench',
  taken.map((one) => one.partition),
);
await log.close();
await keys.close();
process.stdout.write(`${JSON.stringify({ events: encoded.length })}\n`);

async function append(from: number, to: number): Promise<void> {
  const events = encoded.slice(from, to);
  const headHash = events.at(-1)?.hash ?? GENESIS;
  await log.append([{ partition, stream: LONG_WORKFLOW, tenant: 'acme', expectedVersion: from, events, headHash, open: true }], epochs);
}
