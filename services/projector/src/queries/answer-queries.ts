import { issues, QUERIES, type QueryAnswer, type QueryName } from '@mandate/contracts';
import type { Bus } from '@mandate/messaging';
import type { Logger } from '@mandate/service-kit';
import type { z } from 'zod';
import type { ReadModels, TenantRows } from '../store/read-models.ts';
import { QueryProblem } from './query-problem.ts';

export type Ask<N extends QueryName> = z.output<(typeof QUERIES)[N]['ask']>;
/** One function per question of the contracts; it sees the rows of the tenant that is asked about, and no others. */
export type QueryHandlers = { readonly [N in QueryName]: (ask: Ask<N>, own: TenantRows) => Promise<QueryAnswer<N>> };

const PREFIX = 'q.projector.';
/** Operators ask about the tenant null: parked streams of everybody (tables.ts). */
const EVERYBODY = '@operators';
/** For questions that are not about a tenant. */
const NOBODY = '';

/** Answers every question on `q.projector.<name>`; one instance of the queue group gets each. */
export function answerQueries(bus: Bus, handlers: QueryHandlers, models: ReadModels, log: Logger): { inFlight(): number; stop(): void } {
  let inFlight = 0;
  const answering = bus.answer(`${PREFIX}>`, 'projector', async (message) => {
    inFlight++;
    try {
      return { ok: true, value: await answer(handlers, models, message.subject.slice(PREFIX.length), message.string()) };
    } catch (error) {
      const problem = error instanceof QueryProblem ? error : unavailable(message.subject, error, log);
      return { ok: false, problem: { code: problem.code, message: problem.message, next: problem.next } };
    } finally {
      inFlight--;
    }
  });
  return { inFlight: () => inFlight, stop: () => answering.stop() };
}

async function answer(handlers: QueryHandlers, models: ReadModels, name: string, body: string): Promise<unknown> {
  if (!Object.hasOwn(QUERIES, name))
    throw new QueryProblem('QueryUnknown', 'There is no such query.', `Ask one of ${Object.keys(QUERIES).join(', ')}.`);
  const query = name as QueryName;
  const ask = QUERIES[query].ask.safeParse(parseJson(body));
  if (!ask.success) throw new QueryProblem('QueryInvalid', `${query}: ${issues(ask.error)}`, 'Match the schema of the query.');
  const own = models.of('tenant' in ask.data ? (ask.data.tenant ?? EVERYBODY) : query.startsWith('parked.') ? EVERYBODY : NOBODY);
  return (handlers[query] as (ask: unknown, own: TenantRows) => Promise<unknown>)(ask.data, own);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new QueryProblem('QueryInvalid', 'The question is not JSON.', 'Match the schema of the query.');
  }
}

function unavailable(subject: string, error: unknown, log: Logger): QueryProblem {
  log.warn({ err: error, subject }, 'a query could not be answered');
  return new QueryProblem('StoreUnavailable', 'The read models cannot be read right now.', 'Try again in a few seconds.');
}
