/** Fills a log with finished workflows of three steps (11 events each). Environment: DATABASE_URL, WORKFLOWS, FIRST (number of the first). */
import { workflowIdFor } from '@mandate/contracts';
import { partitionOf } from '@mandate/domain';
import { EventLog, type StreamWrite } from '@mandate/event-store';
import { randomBytes } from 'node:crypto';
import { encodeEvents, GENESIS } from './encode-events.ts';
import { answerNext, submitted, wordsOf } from './told-workflow.ts';

const { DATABASE_URL = '', WORKFLOWS = '20000', FIRST = '0' } = process.env;
const AT_ONCE = 200;
const key = { id: 'k_bench', key: randomBytes(32) };
const log = new EventLog({ url: DATABASE_URL });
const taken = await log.takePartitions('bench', 3_600_000, 16);
const epochs = new Map(taken.map((one) => [one.partition, one.epoch]));
let events = 0;
const started = performance.now();
for (let from = 0; from < Number(WORKFLOWS); from += AT_ONCE) {
  const writes = Array.from({ length: AT_ONCE }, (_, index) => finishedWorkflow(`fill-${Number(FIRST) + from + index}`));
  await log.append(writes, epochs);
  events += writes.reduce((sum, write) => sum + write.events.length, 0);
}
const seconds = (performance.now() - started) / 1_000;
await log.releasePartitions(
  'bench',
  taken.map((one) => one.partition),
);
await log.close();
process.stdout.write(`${JSON.stringify({ events, seconds })}\n`);

function finishedWorkflow(request: string): StreamWrite {
  const stream = workflowIdFor('acme', request);
  const telling = submitted(request);
  while (telling.open().length > 0) answerNext(telling, 2, 1);
  const encoded = encodeEvents(telling.events, {
    stream,
    tenant: 'acme',
    firstVersion: 1,
    at: telling.now,
    head: GENESIS,
    key,
    contentOf: wordsOf,
  });
  return {
    partition: partitionOf(stream) ?? 0,
    stream,
    tenant: 'acme',
    expectedVersion: 0,
    events: encoded,
    headHash: encoded.at(-1)?.hash ?? GENESIS,
    open: false,
  };
}
