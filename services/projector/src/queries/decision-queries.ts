import type { DecisionView, EVENT_SCHEMAS } from '@mandate/contracts';
import { type DecisionMade, ROOT_AGENT, unreachable, type WeighedPattern } from '@mandate/domain';
import type { z } from 'zod';
import type { QueryHandlers } from './answer-queries.ts';
import { projectedTask } from './projected-task.ts';
import { agentUnknown } from './query-problem.ts';
import type { TenantRows } from '../store/read-models.ts';

type Recorded = z.infer<(typeof EVENT_SCHEMAS)['decision.made']>;
type Facts = NonNullable<DecisionView['analysis']>['facts'];

interface Told<Data> {
  readonly version: number;
  readonly at: number;
  readonly data: Data;
}

export const decisionQueries: Pick<QueryHandlers, 'decision.get'> = {
  'decision.get': async ({ tenant, workflow, agent, minVersion }, own): Promise<DecisionView> => {
    await projectedTask(own, tenant, workflow, minVersion);
    const { rows } = await own.query<Told<Recorded>>({
      name: 'decisions',
      text: `select version, at, data from timeline
         where workflow = $1 and tenant = $2 and type = 'decision.made' and data->>'agent' = $3 order by version`,
      values: [workflow, tenant, agent],
    });
    const [first, ...later] = rows;
    if (first === undefined && agent !== ROOT_AGENT && !(await isAgent(own, workflow, agent))) throw agentUnknown();
    return {
      workflow,
      agent,
      decision: first === undefined ? null : decision(first),
      fallbacks: later.map(({ version, at, data: { pattern, reasons, alternatives } }) => ({
        version,
        at,
        pattern,
        reasons,
        alternatives,
      })),
      analysis: agent === ROOT_AGENT ? await analysis(own, tenant, workflow, first?.version) : null,
    };
  },
};

async function isAgent(own: TenantRows, workflow: string, agent: string): Promise<boolean> {
  const { rowCount } = await own.query('select 1 from agents where workflow = $1 and agent = $2', [workflow, agent]);
  return rowCount === 1;
}

/** The reading of the task that came before the decision. */
async function analysis(own: TenantRows, tenant: string, workflow: string, before: number | undefined): Promise<DecisionView['analysis']> {
  const { rows } = await own.query<Told<{ readonly answer: { readonly analysis: Facts } }>>({
    name: 'analysis',
    text: `select version, at, data from timeline
       where workflow = $1 and tenant = $2 and version < coalesce($3, 2147483647) and type in ('attempt.settled', 'attempt.reused') and data->'answer'->>'kind' = 'analyze'
       order by version desc limit 1`,
    values: [workflow, tenant, before ?? null],
  });
  const [told] = rows;
  return told === undefined ? null : { version: told.version, at: told.at, facts: told.data.answer.analysis };
}

const decision = ({ version, at, data }: Told<Recorded>): DecisionView['decision'] => ({
  version,
  at,
  pattern: data.pattern,
  chosenBy: data.chosenBy,
  reasons: data.reasons,
  weighed: data.weighed.map((one) => ({ ...one, why: why(one, data) })),
  alternatives: data.alternatives,
  team: data.team.map(({ role, tier, tools }) => ({ role, tier, tools })),
  tuning: data.tuning,
});

/** Why a pattern was chosen or not, in a sentence. */
function why({ score, verdict }: WeighedPattern, { pattern: chosen, weighed }: Pick<DecisionMade, 'pattern' | 'weighed'>): string {
  const best = weighed.find((one) => one.pattern === chosen)?.score ?? score;
  const behind = (best - score).toFixed(3);
  switch (verdict) {
    case 'chosen':
      return `It fits best (${score.toFixed(3)}) of those that the mandate allows.`;
    case 'alternative':
      return `It fits less than ${chosen}, by ${behind}; it is tried when ${chosen} fails.`;
    case 'lower':
      return `It fits less than ${chosen}, by ${behind}.`;
    case 'not_possible':
      return `It would send children, and the mandate allows none; it fits by ${score.toFixed(3)}.`;
    default:
      return unreachable(verdict);
  }
}
