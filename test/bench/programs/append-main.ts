/**
 * Decisions through `CommitLane` and `EventLog`: workflows of 25 steps, each decision two events and its content, so
 * many in flight as the lane takes. Encoded beforehand: what is measured is the store's door.
 * Environment: DATABASE_URL, SECONDS, IN_FLIGHT.
 */
import { workflowIdFor } from '@mandate/contracts';
import { partitionOf } from '@mandate/domain';
import { CommitLane, EventLog, type StreamWrite } from '@mandate/event-store';
import { randomBytes } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { keepInFlight } from '../load.ts';
import { encodeEvents, GENESIS } from './encode-events.ts';
import { answerNext, submitted, wordsOf } from './told-workflow.ts';

const { DATABASE_URL = '', SECONDS = '5', IN_FLIGHT = '512' } = process.env;
const TENANT = 'acme';
const TURNS = 13;
const key = { id: 'k_bench', key: randomBytes(32) };
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
await log.close();
process.stdout.write(
  `${JSON.stringify({ eventsPerSecond: (measured * 1_000) / elapsedMs, cpuMicrosPerEvent: (cpu.user + cpu.system) / measured, events: appended })}\n`,
);

/** Its decisions in order; each waits for the one before, as in a real workflow. */
async function oneWorkflow(): Promise<void> {
  const stream = workflowIdFor(TENANT, `${process.pid}-${workflows++}`);
  const partition = partitionOf(stream) ?? 0;
  for (const decision of decisions) {
    await lane.commit({ ...decision, partition, stream }, epochs.get(partition) ?? 0);
    appended += decision.events.length;
  }
}

/** The store does not look into envelopes, so one workflow's bytes serve for all. */
function decisionsOfOneWorkflow(): readonly Omit<StreamWrite, 'partition' | 'stream'>[] {
  const telling = submitted('bench');
  const found: Omit<StreamWrite, 'partition' | 'stream'>[] = [];
  let head: Buffer = GENESIS;
  for (let events = [...telling.events], version = 0; events.length > 0; events = [...answerNext(telling, TURNS, 1)]) {
    const encoded = encodeEvents(events, {
      stream: 'wf_00_bench',
      tenant: TENANT,
      firstVersion: version + 1,
      at: telling.now,
      head,
      key,
      contentOf: wordsOf,
    });
    head = encoded.at(-1)?.hash ?? head;
    found.push({ tenant: TENANT, expectedVersion: version, events: encoded, headHash: head, open: true });
    version += encoded.length;
    if (telling.open().length === 0) break;
  }
  return found;
}
