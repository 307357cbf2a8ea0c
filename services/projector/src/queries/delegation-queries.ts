import type { DelegationStats } from '@mandate/contracts';
import type { QueryHandlers } from './answer-queries.ts';

/** Every figure from one snapshot. Agents of tasks that were submitted from `since` on. */
const STATS = `
  with chosen as materialized (
    select a.* from tasks t join agents a using (workflow) where t.tenant = $1 and a.tenant = $1 and t.submitted_at >= $2
  ), deepest as (
    select workflow, max(depth) as depth from chosen group by workflow
  ), refused as (
    select true as is_child, key as code, value::int as count from chosen, json_each_text(refused_children)
    union all select false, key, value::int from chosen, json_each_text(refused_steps)
  )
  select
    (select count(*) from deepest) as tasks,
    (select count(*) from deepest where depth > 0) as delegating,
    (select count(*) from chosen where depth > 0) as children,
    (select count(*) from chosen where ended_at is null) as at_work,
    (select coalesce(sum(fallbacks), 0) from chosen) as fallbacks,
    (select coalesce(json_agg(json_build_object('depth', depth, 'tasks', n) order by depth), '[]')
       from (select depth, count(*) as n from deepest group by depth) _) as tasks_by_depth,
    (select coalesce(json_agg(json_build_object('depth', depth, 'agents', n, 'answered', answered, 'failed', failed, 'cancelled', cancelled,
         'averageChildren', average_children, 'costMicroUsd', cost, 'averageMs', average_ms) order by depth), '[]')
       from (select depth, count(*) as n, count(*) filter (where state = 'answered') as answered, count(*) filter (where state = 'failed') as failed,
         count(*) filter (where state = 'cancelled') as cancelled, round(avg(children), 3) as average_children, sum(own_micro_usd) as cost,
         round(avg(ended_at - granted_at)) as average_ms from chosen group by depth) _) as agents_by_depth,
    (select coalesce(json_agg(json_build_object('pattern', pattern, 'agents', n, 'answered', answered, 'failed', failed) order by n desc, pattern), '[]')
       from (select pattern, count(*) as n, count(*) filter (where state = 'answered') as answered, count(*) filter (where state = 'failed') as failed
         from chosen where pattern is not null group by pattern) _) as agents_by_pattern,
    (select coalesce(json_agg(json_build_object('code', code, 'count', n) order by n desc, code), '[]')
       from (select code, sum(count) as n from refused where not is_child group by code) _) as refused_steps,
    (select coalesce(json_agg(json_build_object('code', code, 'count', n) order by n desc, code), '[]')
       from (select code, sum(count) as n from refused where is_child group by code) _) as refused_children`;

interface StatsRow {
  readonly tasks: number;
  readonly delegating: number;
  readonly children: number;
  readonly at_work: number;
  /** A sum of integers: `bigint`. */
  readonly fallbacks: number;
  readonly tasks_by_depth: DelegationStats['tasksByDepth'];
  readonly agents_by_depth: DelegationStats['agentsByDepth'];
  readonly agents_by_pattern: DelegationStats['agentsByPattern'];
  readonly refused_steps: DelegationStats['refusedSteps'];
  readonly refused_children: DelegationStats['refusedChildren'];
}

export const delegationQueries: Pick<QueryHandlers, 'delegation.stats'> = {
  'delegation.stats': async ({ tenant, since }, own): Promise<DelegationStats> => {
    const { rows } = await own.query<StatsRow>({ name: 'delegation-stats', text: STATS, values: [tenant, since] });
    const [row] = rows;
    if (row === undefined) throw new Error('an aggregate without a row');
    return {
      since,
      tasks: row.tasks,
      delegating: row.delegating,
      children: row.children,
      atWork: row.at_work,
      fallbacks: row.fallbacks,
      tasksByDepth: row.tasks_by_depth,
      agentsByDepth: row.agents_by_depth,
      agentsByPattern: row.agents_by_pattern,
      refusedSteps: row.refused_steps,
      refusedChildren: row.refused_children,
    };
  },
};
