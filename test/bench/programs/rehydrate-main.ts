/**
 * Reads the long workflow into the orchestrator's memory again and again, each time into a fresh one.
 * Environment: DATABASE_URL, KEYS_DATABASE_URL, MANDATE_MASTER_KEY_FILE, TIMES; WHOLE=1 takes up no snapshot.
 */
import { partitionOf } from '@mandate/domain';
import { DataKeys, EventLog } from '@mandate/event-store';
import { Snapshots } from '../../../services/orchestrator/src/snapshots.ts';
import { WorkflowMemory } from '../../../services/orchestrator/src/workflow-memory.ts';
import { LONG_WORKFLOW } from './told-workflow.ts';

const { DATABASE_URL = '', KEYS_DATABASE_URL = '', MANDATE_MASTER_KEY_FILE = '', TIMES = '30', WHOLE = '' } = process.env;
const partition = partitionOf(LONG_WORKFLOW) ?? 0;
const log = new EventLog({ url: DATABASE_URL });
const keys = await DataKeys.open({ url: KEYS_DATABASE_URL, masterKeyFile: MANDATE_MASTER_KEY_FILE });
const snapshots = WHOLE === '1' ? new Snapshots(log, undefined, 'nobody') : new Snapshots(log);
const samples: number[] = [];
for (let i = 0; i < Number(TIMES); i++) {
  const started = performance.now();
  const held = await new WorkflowMemory(partition, log, keys, snapshots).get(LONG_WORKFLOW);
  samples.push(performance.now() - started);
  if ((held.snapshotAt === 0) !== (WHOLE === '1')) throw new Error(`it was read from version ${held.snapshotAt} on`);
  if (held.state.version < 10_000) throw new Error(`the long workflow has only ${held.state.version} events: run store-long-main.ts first`);
}
await log.close();
await keys.close();
process.stdout.write(`${JSON.stringify({ samples })}\n`);
