/**
 * The same as append-main, but encoded as it goes, each workflow under a key of its own: what a decision costs with its
 * content encrypted, or with PLAIN=1 as it is, without keys.
 * Environment: DATABASE_URL, KEYS_DATABASE_URL, MANDATE_MASTER_KEY_FILE, SECONDS, IN_FLIGHT, PLAIN.
 */
import { workflowIdFor } from '@mandate/contracts';
import { partitionOf, type WorkflowEvent } from '@mandate/domain';
import { CommitLane, DataKeys, EventLog } from '@mandate/event-store';
import { setTimeout as wait } from 'node:timers/promises';
import { keepInFlight } from '../load.ts';
import { encodeEvents, GENESIS } from './encode-events.ts';
import { answerNext, submitted, wordsOf } from './told-workflow.ts';

const {
  DATABASE_URL = '',
  KEYS_DATABASE_URL = '',
  MANDATE_MASTER_KEY_FILE = '',
  SECONDS = '5',
  IN_FLIGHT = '512',
  PLAIN = '',
} = process.env;
const TENANT = 'acme';
const TURNS = 13;
const isPlain = PLAIN === '1';
const keys = await DataKeys.open({ url: KEYS_DATABASE_URL, masterKeyFile: MANDATE_MASTER_KEY_FILE });
const log = new EventLog({ url: DATABASE_URL });
const taken = await log.takePartitions('bench', 3_600_000, 16);
const epochs = new Map(taken.map((one) => [one.partition, one.epoch]));
const lane = new CommitLane(log);
const decisions = decisionsOfOneWorkflow();
let workflows = 0;
let appended = 0;

const load = keepInFlight(Number(IN_FLIGHT), oneWorkflow);
await Promise.race([wait(1_000), load.failed]);
const [before, cpuBefore, started] = [appended, process.cpuUsage(), performance.now()];
await Promise.race([wait(Number(SECONDS) * 1_000), load.failed]);
const [measured, cpu, elapsedMs] = [appended - before, process.cpuUsage(cpuBefore), performance.now() - started];
await load.stop();
await log.releasePartitions(
  'bench',
  taken.map((one) => one.partition),
);
await Promise.all([log.close(), keys.close()]);
process.stdout.write(
  `${JSON.stringify({ eventsPerSecond: (measured * 1_000) / elapsedMs, cpuMicrosPerEvent: (cpu.user + cpu.system) / measured })}\n`,
);

async function oneWorkflow(): Promise<void> {
  const stream = workflowIdFor(TENANT, `${process.pid}-${workflows++}`);
  const partition = partitionOf(stream) ?? 0;
  const key = isPlain ? undefined : await keys.fresh();
  let head: Buffer = GENESIS;
  let version = 0;
  for (const { events, at } of decisions) {
    const encoded = encodeEvents(events, { stream, tenant: TENANT, firstVersion: version + 1, at, head, key, contentOf: wordsOf });
    head = encoded.at(-1)?.hash ?? head;
    const write = { tenant: TENANT, expectedVersion: version, events: encoded, headHash: head, open: true, partition, stream };
    await lane.commit(write, epochs.get(partition) ?? 0);
    version += encoded.length;
    appended += encoded.length;
  }
}

function decisionsOfOneWorkflow(): readonly { readonly events: readonly WorkflowEvent[]; readonly at: number }[] {
  const telling = submitted('bench');
  const found: { events: readonly WorkflowEvent[]; at: number }[] = [];
  for (let events = [...telling.events]; events.length > 0; events = [...answerNext(telling, TURNS, 1)]) {
    found.push({ events, at: telling.now });
    if (telling.open().length === 0) break;
  }
  return found;
}
