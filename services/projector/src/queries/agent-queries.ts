import type { AgentDetail, AgentSummary, Contribution } from '@mandate/contracts';
import type { TextRef } from '@mandate/domain';
import type { ContentReader } from '@mandate/event-store';
import { type AgentRow, type Counted, grantedOf, ownOf } from '../models/agents.ts';
import { agentTree, type TreeAgent } from './agent-tree.ts';
import type { QueryHandlers } from './answer-queries.ts';
import { beginning, isThere, textIn } from './content.ts';
import { projectedTask } from './projected-task.ts';
import { agentUnknown } from './query-problem.ts';
import type { TenantRows } from '../store/read-models.ts';

const EXCERPT_CHARACTERS = 1_000;

/** An agent and what is known of its answer: the event that holds it says how long it is and whose words they are. */
interface AnsweredRow extends AgentRow {
  readonly answer_bytes: number | null;
  readonly answer_by: string | null;
}
type Agent = AnsweredRow & TreeAgent;

export const agentQueries = (contents: ContentReader): Pick<QueryHandlers, 'agents.list' | 'agents.get' | 'contributions.list'> => ({
  'agents.list': async ({ tenant, workflow, minVersion }, own) => {
    const task = await projectedTask(own, tenant, workflow, minVersion);
    const agents = await readTree(own, tenant, workflow);
    return { workflow, status: task.status, version: task.version, agents: agents.map(summary) };
  },

  'agents.get': async ({ tenant, workflow, agent, minVersion }, own): Promise<AgentDetail> => {
    const whole = await projectedTask(own, tenant, workflow, minVersion);
    const agents = await readTree(own, tenant, workflow);
    const found = agents.find((each) => each.agent === agent);
    if (found === undefined) throw agentUnknown();
    const place = taskPlace(agents, found);
    const versions = [place.version, ...(found.answer_at === null ? [] : [found.answer_at])];
    const texts = await contents.read((isThere(whole) ? versions : []).map((version) => ({ stream: workflow, version })));
    return {
      ...summary(found),
      workflow,
      task: taskIn(texts.get(`${workflow}/${place.version}`), place),
      answerText: textIn(texts, workflow, found.answer_at, 'text'),
      erasedAt: whole.erased_at,
    };
  },

  'contributions.list': async ({ tenant, workflow, minVersion }, own) => {
    const whole = await projectedTask(own, tenant, workflow, minVersion);
    const agents = await readTree(own, tenant, workflow);
    const versions = new Set(agents.flatMap(({ answer_at }) => (answer_at === null ? [] : [answer_at])));
    const texts = await contents.read(Array.from(isThere(whole) ? versions : [], (version) => ({ stream: workflow, version })));
    return {
      items: agents.map((agent) => contribution(agent, textIn(texts, workflow, agent.answer_at, 'text'))),
      erasedAt: whole.erased_at,
    };
  },
});

async function readTree(own: TenantRows, tenant: string, workflow: string): Promise<readonly Agent[]> {
  const { rows } = await own.query<AnsweredRow>({
    name: 'agents',
    text: `select a.*, (t.data->'answer'->>'textBytes')::int as answer_bytes, t.data->>'agent' as answer_by
       from agents a left join timeline t on t.workflow = a.workflow and t.version = a.answer_at
       where a.workflow = $1 and a.tenant = $2`,
    values: [workflow, tenant],
  });
  return agentTree(rows);
}

const summary = (row: Agent): AgentSummary => ({
  agent: row.agent,
  parent: row.parent,
  depth: row.depth,
  role: row.role,
  handedOver: [...row.handed_over],
  tier: row.tier,
  pattern: row.pattern,
  chosenBy: row.chosen_by,
  tried: [...row.tried],
  state: row.state,
  code: row.code,
  message: row.message,
  granted: { ...grantedOf(row), children: row.max_children, deadlineAt: row.deadline_at },
  tools: [...row.tools],
  spent: row.spent,
  ownSpent: ownOf(row),
  reservedMicroUsd: row.reserved_micro_usd,
  ownReservedMicroUsd: row.own_reserved_micro_usd,
  steps: row.steps,
  children: row.children,
  refusedSteps: countedList(row.refused_steps),
  refusedChildren: countedList(row.refused_children),
  warned: [...row.warned],
  after: [...(row.errand?.after ?? [])],
  answer: answerOf(row),
  grantedVersion: row.granted_version,
  grantedAt: row.granted_at,
  endedVersion: row.ended_version,
  endedAt: row.ended_at,
});

const contribution = (row: Agent, text: string | null): Contribution => {
  const excerpt = text === null ? null : beginning(text, EXCERPT_CHARACTERS);
  return {
    agent: row.agent,
    parent: row.parent,
    depth: row.depth,
    role: row.role,
    state: row.state,
    costMicroUsd: row.spent.moneyMicroUsd,
    answer: answerOf(row),
    text: excerpt,
    truncated: text !== null && excerpt !== null && excerpt.length < text.length,
  };
};

const answerOf = ({ answer_at, answer_bytes, answer_by }: AnsweredRow): AgentSummary['answer'] =>
  answer_at === null ? null : { version: answer_at, bytes: answer_bytes, by: answer_by };

const countedList = (counts: Counted): { code: string; count: number }[] =>
  Object.entries(counts).map(([code, count]) => ({ code, count }));

/** Where the words of an agent's task are: what was submitted, or an argument of a call that a model made. */
type TaskPlace = { readonly version: number; readonly call?: Extract<TextRef, { of: 'call' }> };

function taskPlace(agents: readonly AgentRow[], agent: AgentRow): TaskPlace {
  const from = agent.errand?.task;
  if (from?.of === 'call') return { version: from.call.version, call: from };
  const parent = agents.find((each) => each.agent === agent.parent);
  return parent === undefined ? { version: 1 } : taskPlace(agents, parent);
}

interface Said {
  readonly task?: unknown;
  readonly calls?: readonly { readonly args?: { readonly task?: unknown; readonly steps?: readonly { readonly task?: unknown }[] } }[];
}

function taskIn(content: unknown, { call }: TaskPlace): string | null {
  const said = (content ?? {}) as Said;
  const args = call === undefined ? undefined : said.calls?.[call.call.index]?.args;
  const text = call === undefined ? said.task : call.item === undefined ? args?.task : args?.steps?.[call.item]?.task;
  return typeof text === 'string' ? text : null;
}
