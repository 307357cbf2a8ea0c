/**
 * Reads the long workflow into the orchestrator's memory again and again, each time into a fresh one.
 * Environment: DATABASE_URL, KEYS_DATABASE_URL, MANDATE_MASTER_KEY_FILE, TIMES.
 */
import { partitionOf } from '@mandate/domain';
import { DataKeys, EventLog } from '@mandate/event-store';
import { WorkflowMemory } from '../../../services/orchestrator/src/workflow-memory.ts';
import { LONG_WORKFLOW } from './told-workflow.ts';

const { DATABASE_URL = '', KEYS_DATABASE_URL = '', MANDATE_MASTER_KEY_FILE = '', TIMES = '30' } = process.env;
const partition = partitionOf(LONG_WORKFLOW) ?? 0;
const log = new EventLog({ url: DATABASE_URL });
const keys = await DataKeys.open({ url: KEYS_DATABASE_URL, masterKeyFile: MANDATE_MASTER_KEY_FILE });
const samples: number[] = [];
for (let i = 0; i < Number(TIMES); i++) {
  const started = performance.now();
  const held = await new WorkflowMemory(partition, log, keys).get(LONG_WORKFLOW);
  samples.push(performance.now() - started);
  if (held.state.version < 10_000) throw new Error(`the long workflow has only ${held.state.version} events: run store-long-main.ts first`);
}
await log.close();
await keys.close();
process.stdout.write(`${JSON.stringify({ samples })}\n`);
