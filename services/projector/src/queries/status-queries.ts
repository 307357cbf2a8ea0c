import type { QueryHandlers } from './answer-queries.ts';

export const statusQueries: Pick<QueryHandlers, 'projection.status'> = {
  'projection.status': async (_, own) => {
    const { rows } = await own.query<{ partition: number; position: number; head: number; rebuilding: boolean }>(
      `select s.p as partition, coalesce(c.next_position, 0) - 1 as position, s.next_pos - 1 as head, coalesce(c.next_position < c.rebuild_to, false) as rebuilding
       from es.partition s left join checkpoint c using (p) order by s.p`,
    );
    return {
      partitions: rows.map(({ partition, position, head }) => ({ partition, position, head })),
      rebuilding: rows.some((row) => row.rebuilding),
    };
  },
};
