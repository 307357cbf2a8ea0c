import type { ParkedItem } from '@mandate/contracts';
import type { TenantRows } from '../store/read-models.ts';
import type { QueryHandlers } from './answer-queries.ts';
import { QueryProblem } from './query-problem.ts';

interface ParkedRow {
  readonly workflow: string;
  readonly tenant: string;
  readonly version: number;
  readonly type: string;
  readonly reason: string;
  readonly status: ParkedItem['status'];
  readonly attempts: number;
  readonly at: number;
  readonly last_at: number | null;
  readonly decided_by: string | null;
  readonly decided_at: number | null;
}

type Decide = (workflow: string, to: 'retrying' | 'abandoned', by: string) => Promise<void>;

/** Streams that are not projected any further, and what operators decide about them. */
export const parkedQueries = (decide: Decide): Pick<QueryHandlers, 'parked.list' | 'parked.get' | 'parked.retry' | 'parked.abandon'> => ({
  'parked.list': async ({ tenant, status, before, limit }, own) => {
    const { rows } = await own.query<ParkedRow>({
      name: 'parked-list',
      text: `select * from parked where ($1::text is null or tenant = $1) and ($2::text is null or status = $2)
        and ($3::bigint is null or (at, workflow) < ($3, $4::text collate "C")) order by at desc, workflow desc limit $5`,
      values: [tenant, status ?? null, before?.at ?? null, before?.id ?? '', limit],
    });
    return { items: rows.map(itemOf) };
  },
  'parked.get': async ({ tenant, id }, own) => itemOf(await rowOf(own, id, tenant)),
  'parked.retry': async ({ id, by }, own) => {
    const { status } = await rowOf(own, id, null);
    if (status === 'abandoned')
      throw new QueryProblem('ParkedAbandoned', `${id} was abandoned.`, 'Rebuild the read models: that projects every stream.');
    await decide(id, 'retrying', by);
    return itemOf(await rowOf(own, id, null));
  },
  'parked.abandon': async ({ id, by }, own) => {
    const { status } = await rowOf(own, id, null);
    if (status === 'retried') throw new QueryProblem('ParkedRetried', `${id} was retried and projected.`, 'There is nothing to abandon.');
    await decide(id, 'abandoned', by);
    return itemOf(await rowOf(own, id, null));
  },
});

async function rowOf(own: TenantRows, workflow: string, tenant: string | null): Promise<ParkedRow> {
  const { rows } = await own.query<ParkedRow>({
    name: 'parked-get',
    text: 'select * from parked where workflow = $1 and ($2::text is null or tenant = $2)',
    values: [workflow, tenant],
  });
  const [row] = rows;
  if (row === undefined) throw new QueryProblem('ParkedUnknown', 'Nothing is parked under this id.', 'See GET /api/v1/parked for what is.');
  return row;
}

const itemOf = (row: ParkedRow): ParkedItem => ({
  id: row.workflow,
  kind: 'stream',
  status: row.status,
  tenant: row.tenant,
  service: 'projector',
  subject: `${row.workflow}.${row.version}`,
  reason: 'not_projected',
  detail: `${row.type}: ${row.reason}`.slice(0, 1_000),
  attempts: row.attempts,
  size: null,
  digest: null,
  traceparent: null,
  at: row.at,
  lastAt: row.last_at ?? row.at,
  decidedBy: row.decided_by,
  decidedAt: row.decided_at,
});
