import { type Casting, type OpenAttempt, rootOf, type WorkflowInput } from '@mandate/domain';
import type { Shared } from './decisions.ts';
import type { AnswerReader } from './inbox-message.ts';
import type { Held } from './workflow-memory.ts';

/** What the answer to an attempt is read against. */
export function readerFor({ catalogs }: Pick<Shared, 'catalogs'>, held: Held, attempt: OpenAttempt | undefined): AnswerReader | undefined {
  const agent = attempt === undefined ? undefined : held.state.agents.get(attempt.agent);
  if (agent === undefined || held.key === undefined) return undefined;
  const { granted } = agent;
  const parent = granted.parent === null ? undefined : held.state.agents.get(granted.parent);
  return {
    cast: catalogs.cast(held.tenant, granted.catalogHash ?? rootCatalog(held)),
    granted: new Set(granted.tools.map((tool) => tool.name)),
    key: held.key.key,
    votes: parent?.decision?.tuning.mode === 'votes',
  };
}

/** With an analysis: who could do the work. */
export function teamFor(
  { catalogs }: Pick<Shared, 'catalogs'>,
  held: Held,
  attempt: OpenAttempt | undefined,
  { answer }: Pick<Extract<WorkflowInput, { kind: 'result' }>, 'answer'>,
): { readonly team?: readonly Casting[] } {
  if (attempt?.owes.kind !== 'analyze') return {};
  const roles = held.state.submitted?.options.tuning?.roles;
  const cast = catalogs.cast(held.tenant, rootCatalog(held));
  const need = answer?.kind === 'analyze' ? answer.analysis : { capabilities: [], taskType: '' };
  return { team: cast.team(need, roles) };
}

const rootCatalog = (held: Held): string | null => rootOf(held.state)?.granted.catalogHash ?? null;
