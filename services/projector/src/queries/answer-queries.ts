import { issues, QUERIES, type QueryAnswer, type QueryName } from '@mandate/contracts';
import type { Bus } from '@mandate/messaging';
import type { Logger } from '@mandate/service-kit';
import type { z } from 'zod';
import { QueryProblem } from './query-problem.ts';

export type Ask<N extends QueryName> = z.output<(typeof QUERIES)[N]['ask']>;
/** One function per question of the contracts. */
export type QueryHandlers = { readonly [N in QueryName]: (ask: Ask<N>) => Promise<QueryAnswer<N>> };

const PREFIX = 'q.projector.';

/** Answers every question on `q.projector.<name>`; one instance of the queue group gets each. */
export function answerQueries(bus: Bus, handlers: QueryHandlers, log: Logger): { inFlight(): number; stop(): void } {
  let inFlight = 0;
  const answering = bus.answer(`${PREFIX}>`, 'projector', async (message) => {
    inFlight++;
    try {
      return { ok: true, value: await answer(handlers, message.subject.slice(PREFIX.length), message.string()) };
    } catch (error) {
      const problem = error instanceof QueryProblem ? error : unavailable(message.subject, error, log);
      return { ok: false, problem: { code: problem.code, message: problem.message, next: problem.next } };
    } finally {
      inFlight--;
    }
  });
  return { inFlight: () => inFlight, stop: () => answering.stop() };
}

async function answer(handlers: QueryHandlers, name: string, body: string): Promise<unknown> {
  if (!Object.hasOwn(QUERIES, name))
    throw new QueryProblem('QueryUnknown', 'There is no such query.', `Ask one of ${Object.keys(QUERIES).join(', ')}.`);
  const query = name as QueryName;
  const ask = QUERIES[query].ask.safeParse(parseJson(body));
  if (!ask.success) throw new QueryProblem('QueryInvalid', `${query}: ${issues(ask.error)}`, 'Match the schema of the query.');
  return (handlers[query] as (ask: unknown) => Promise<unknown>)(ask.data);
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
