import type { TaskRow } from '../models/task.ts';
import { QueryProblem } from './query-problem.ts';
import type { TenantRows } from '../store/read-models.ts';

const WAIT_MS = 2_000;
/** Looks again after 2, 4, 8, 16 ms, then every 20: most waits are for a commit that is under way. */
const FIRST_POLL_MS = 2;
const POLL_MS = 20;

/**
 * A tenant's task, once it is projected up to `minVersion`: waits up to 2 s for that, then gives what there is. The
 * projecting instance may be another one, so the row itself is watched.
 *
 * @throws QueryProblem WorkflowUnknown; a tenant's ids mean nothing to another tenant
 */
export async function projectedTask(own: TenantRows, tenant: string, workflow: string, minVersion = 0): Promise<TaskRow> {
  const deadline = performance.now() + WAIT_MS;
  for (let pollMs = FIRST_POLL_MS; ; pollMs = Math.min(POLL_MS, 2 * pollMs)) {
    const { rows } = await own.query<TaskRow>({
      name: 'task',
      text: 'select * from tasks where workflow = $1 and tenant = $2',
      values: [workflow, tenant],
    });
    const task = rows[0];
    const isWaiting = (task?.version ?? 0) < minVersion && performance.now() < deadline;
    if (task !== undefined && !isWaiting) return task;
    if (!isWaiting) throw await absent(own, workflow);
    await new Promise((done) => setTimeout(done, pollMs));
  }
}

/** Why there is no row: there is none, or it was not applied again yet. */
async function absent(own: TenantRows, workflow: string): Promise<QueryProblem> {
  const { rowCount } = await own.query('select 1 from checkpoint where p = $1 and next_position < rebuild_to', [
    Number(workflow.slice(3, 5)),
  ]);
  return rowCount === 0
    ? new QueryProblem('WorkflowUnknown', `There is no workflow ${workflow}.`, 'Check the workflow id; it may belong to another tenant.')
    : new QueryProblem(
        'ProjectionRebuilding',
        'The read models are being rebuilt and this workflow is not there yet.',
        'Try again in a few seconds.',
      );
}
