import { type StoredAccountEvent, type StoredEvent, upcast, upcastAccountEvent } from '@mandate/contracts';
import { ABSENT, evolve, evolveAccount, isAccountId, isActive, isUnfinished, startingBefore, type Workflow } from '@mandate/domain';
import type pg from 'pg';

/** Whether something is owed by a stream as it is in the database: what the orchestrator says when it appends (es.stream.open). */
export async function isStillOpen(client: pg.Client, p: number, stream: string): Promise<boolean> {
  return isAccountId(stream) ? isAccountActive(client, p, stream) : isWorkflowUnfinished(client, p, stream);
}

async function isWorkflowUnfinished(client: pg.Client, p: number, stream: string): Promise<boolean> {
  const { rows } = await client.query<{ envelope: StoredEvent }>(
    'select envelope from es.event where p = $1 and stream_id = $2 order by version',
    [p, stream],
  );
  return isUnfinished(rows.map((row) => upcast(row.envelope)).reduce<Workflow>((state, event) => evolve(state, event, event.at), ABSENT));
}

/** From the last event that carries everything over. */
async function isAccountActive(client: pg.Client, p: number, stream: string): Promise<boolean> {
  const { rows } = await client.query<{ envelope: StoredAccountEvent }>(
    `select envelope from es.event where p = $1 and stream_id = $2 and version >= coalesce(
       (select max(version) from es.event where p = $1 and stream_id = $2 and type = 'account.carried'), 1) order by version`,
    [p, stream],
  );
  const events = rows.map((row) => upcastAccountEvent(row.envelope));
  return isActive(events.reduce((state, event) => evolveAccount(state, event, event.at), startingBefore(events[0]?.version ?? 1)));
}
