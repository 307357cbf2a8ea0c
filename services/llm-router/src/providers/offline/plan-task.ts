/* A plan by rules: one step for each independent part of the task, none waiting for another. */
import type { AgentResult } from './agent-results.ts';
import { chooseAgent } from './choose-agent.ts';
import { covers, divideTask, type TaskPart } from './divide-task.ts';

/** Steps of one plan. */
const MAX_STEPS = 10;

/** Arguments of the tool `plan`. */
export interface Plan {
  readonly steps: readonly { readonly id: string; readonly agent: string; readonly task: string; readonly budget_micro_usd?: number }[];
  readonly complete?: true;
}

/**
 * Plans a task for some roles. What is no part by itself stays one step. A later plan holds what no result covers, once, and
 * leaves it to the mandate what that may cost: a budget of its own was perhaps why it failed.
 */
export function planTask(asked: {
  readonly task: string;
  readonly roles: readonly string[];
  readonly results: readonly AgentResult[];
  readonly problem: string | undefined;
}): Plan {
  const { task, roles, results, problem } = asked;
  const division = divideTask(task);
  const parts: readonly Pick<TaskPart, 'task' | 'asks' | 'budgetMicroUsd'>[] =
    division?.kind === 'parts' ? division.parts.slice(0, MAX_STEPS) : [{ task, asks: [] }];
  const isFirst = results.length === 0 && problem === undefined;
  const open = problem?.includes('already used') ? [] : withoutResult(parts, results);
  if (open.length === 0) return { steps: [], complete: true };
  const steps = open.map((part, index) => ({
    id: `${isFirst ? 'part' : 'again'}-${index + 1}`,
    agent: chooseAgent(part.task, roles).agent,
    task: part.task,
    ...(isFirst && part.budgetMicroUsd !== undefined && { budget_micro_usd: part.budgetMicroUsd }),
  }));
  return { steps };
}

/** The parts that are left when every answer is taken for the first part that it covers. */
function withoutResult<P extends Pick<TaskPart, 'asks' | 'task'>>(parts: readonly P[], results: readonly AgentResult[]): readonly P[] {
  const open = [...parts];
  for (const { answer = '' } of results) {
    const at = answer === '' ? -1 : open.findIndex((part) => covers(answer, part));
    if (at >= 0) open.splice(at, 1);
  }
  return open;
}
