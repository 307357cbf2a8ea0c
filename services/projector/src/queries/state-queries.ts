import {
  LIMITS,
  type Moment,
  type QueryAnswer,
  type StateChange,
  type StoredEvent,
  upcast,
  type WorkflowStateView,
} from '@mandate/contracts';
import { ABSENT, changes, evolve, partitionOf, stateOf, type Workflow } from '@mandate/domain';
import type { Pool } from 'pg';
import type { QueryHandlers } from './answer-queries.ts';
import { QueryProblem } from './query-problem.ts';

/** More are not folded for one question: its asker waits, and so do others. `npm run audit -- state` has no such limit. */
export const MOST_EVENTS = 20_000;
/** Read and folded at once; between two pages others have their turn. */
const PAGE = 1_000;
/** An answer is one message on the bus; the rest is room for its frame. */
const MOST_BYTES = LIMITS.messageBytes - 64 * 1024;

/**
 * States as they were: folded from the log itself, in today's shapes, and not from read models.
 * @param pool reads the log; every statement names the tenant
 */
export const stateQueries = (pool: Pool): Pick<QueryHandlers, 'state.get' | 'state.diff'> => ({
  'state.get': async ({ tenant, workflow, moment }) => {
    const { newest, versions } = await place(pool, { tenant, workflow }, moment === undefined ? [] : [moment]);
    const state = stateOf(await fold(pool, { tenant, workflow }, ABSENT, versions[0] ?? newest));
    return fitting({ workflow, newest, state: state as unknown as WorkflowStateView }, 'Ask for an earlier version, or for a diff.');
  },

  'state.diff': async ({ tenant, workflow, from, to }): Promise<QueryAnswer<'state.diff'>> => {
    const { newest, versions } = await place(pool, { tenant, workflow }, [from, to]);
    const [first = 0, last = 0] = versions;
    const earlier = await fold(pool, { tenant, workflow }, ABSENT, Math.min(first, last));
    const later = await fold(pool, { tenant, workflow }, earlier, Math.max(first, last));
    const [before, after] = first <= last ? [earlier, later] : [later, earlier];
    const found = changes(stateOf(before), stateOf(after)) as StateChange[];
    return fitting({ workflow, newest, from: first, to: last, changes: found }, 'Ask for versions that are closer to each other.');
  },
});

interface Whose {
  readonly tenant: string;
  readonly workflow: string;
}

/** Which versions are meant. @throws QueryProblem WorkflowUnknown, VersionUnknown, TooManyEvents */
async function place(pool: Pool, { tenant, workflow }: Whose, moments: readonly Moment[]) {
  const instants = moments.flatMap((moment) => ('at' in moment ? [moment.at] : []));
  const { rows } = await pool.query<{ newest: number; first_at: number; versions: number[] }>({
    name: 'place-in-log',
    text: `select s.version as newest,
        (select round(extract(epoch from e.at) * 1000)::float8 from es.event e where e.p = s.p and e.stream_id = s.stream_id and e.version = 1) as first_at,
        array(select coalesce((select max(e.version) from es.event e
            where e.p = s.p and e.stream_id = s.stream_id and e.at <= to_timestamp(i.at / 1000.0)), 0)
          from unnest($4::bigint[]) with ordinality as i(at, n) order by i.n) as versions
      from es.stream s where s.p = $1 and s.stream_id = $2 and s.tenant_id = $3`,
    values: [partitionOf(workflow), workflow, tenant, instants],
  });
  const [stream] = rows;
  if (stream === undefined)
    throw new QueryProblem(
      'WorkflowUnknown',
      `There is no workflow ${workflow}.`,
      'Check the workflow id; it may belong to another tenant.',
    );
  const { newest, first_at: firstAt } = stream;
  const atInstants = [...stream.versions];
  const versions = moments.map((moment) => ('at' in moment ? (atInstants.shift() ?? 0) : moment.version));
  for (const [index, version] of versions.entries()) {
    if (version === 0) {
      const then = new Date(firstAt).toISOString();
      throw new QueryProblem('VersionUnknown', 'The workflow did not exist then.', `Ask for an instant from ${then} on.`);
    }
    if (version > newest)
      throw new QueryProblem('VersionUnknown', `The workflow has no version ${version}.`, `Ask for one of its versions 1 to ${newest}.`);
    checkLength(versions[index] ?? 0);
  }
  if (moments.length === 0) checkLength(newest);
  return { newest, versions };
}

function checkLength(version: number): void {
  if (version <= MOST_EVENTS) return;
  throw new QueryProblem(
    'TooManyEvents',
    `That state follows from ${version} events; at most ${MOST_EVENTS} are folded for one request.`,
    'Ask for an earlier version, or use npm run audit -- state.',
  );
}

/** Goes on from a state up to a version. */
async function fold(pool: Pool, { tenant, workflow }: Whose, from: Workflow, to: number): Promise<Workflow> {
  let state = from;
  while (state.version < to) {
    const { rows } = await pool.query<{ envelope: string }>({
      name: 'read-stream',
      text: `select envelope::text as envelope from es.event
        where p = $1 and stream_id = $2 and tenant_id = $3 and version > $4 and version <= $5 order by version`,
      values: [partitionOf(workflow), workflow, tenant, state.version, Math.min(to, state.version + PAGE)],
    });
    if (rows.length === 0) throw new Error(`${workflow} has no event ${state.version + 1} in the log`);
    for (const { envelope } of rows) {
      const event = upcast(JSON.parse(envelope) as StoredEvent);
      state = evolve(state, event, event.at);
    }
  }
  return state;
}

/** @throws QueryProblem when it is larger than a message may be */
function fitting<Answer>(answer: Answer, next: string): Answer {
  const bytes = Buffer.byteLength(JSON.stringify(answer));
  if (bytes <= MOST_BYTES) return answer;
  throw new QueryProblem('StateTooLarge', `The answer has ${bytes} bytes; at most ${MOST_BYTES} are sent.`, next);
}
