/** Workflows as the domain really decides them, without a system around them. */
import { workflowIdFor } from '@mandate/contracts';
import type { Answer, AttemptId, RequestId, TaskOptions, WorkflowEvent } from '@mandate/domain';
import { modelSays, submission, Telling, toolSays } from '../../../packages/domain/src/workflow/given.ts';

/** The one that is rehydrated. */
export const LONG_WORKFLOW = workflowIdFor('acme', 'long');

/** What a worker would answer to the open attempt of a workflow that takes `turns` model calls with `callsPerTurn` tool calls between. */
export function answerNext(telling: Telling, turns: number, callsPerTurn: number): readonly WorkflowEvent[] {
  const before = telling.events.length;
  const [attempt] = telling.open();
  const work = telling.workflow.agents.values().next().value?.work;
  const asked = work?.pattern === 'direct' ? work.state.lines.length : 0;
  const calls = asked + 1 < turns ? Array.from({ length: callsPerTurn }, () => 'files__read') : [];
  telling.tell({
    kind: 'result',
    attempt: attempt?.id ?? ('none' as AttemptId),
    outcome: 'succeeded',
    answer: attempt?.owes.kind === 'tool' ? toolSays(64) : modelSays(...calls),
    worker: 'bench/1',
    durationMs: 1,
  });
  return telling.events.slice(before);
}

export function submitted(request: string, options: TaskOptions = { pattern: 'direct' }): Telling {
  const telling = new Telling();
  telling.now = Date.now();
  telling.tell({ ...submission(options), request: request as RequestId });
  return telling;
}

/** A root that sent children and waits for the last of them. */
export function delegatedTree(children: number): Telling {
  const telling = submitted('delegated', { pattern: 'direct', maxCostMicroUsd: 10_000_000 });
  const to = { role: 'researcher@1', tools: [], baseBytes: 1_000, tier: 'medium' } as const;
  const ask = { kind: 'delegate', to, taskBytes: 40, fingerprint: '' } as const;
  const [asked] = telling.open('llm');
  telling.answer(asked, {
    ...modelSays(),
    calls: Array.from({ length: children }, () => ({ tool: 'delegate', argsBytes: 60, ask })),
  } as Answer);
  for (const attempt of telling.open('llm').slice(1)) telling.answer(attempt, modelSays());
  return telling;
}

/** Words of the size that an agent's are: they are stored, encrypted, beside the events of inputs. */
export function wordsOf(event: WorkflowEvent): unknown {
  if (event.type === 'task.submitted') return { task: 'Read the file and say what is in it, please.' };
  if (event.type !== 'attempt.settled') return undefined;
  if (event.data.answer?.kind === 'tool') return { text: 'A short note for agents to read.\n'.repeat(4), isError: false };
  const calls = event.data.answer?.kind === 'llm' ? event.data.answer.calls : [];
  return {
    text: calls.length === 0 ? 'It holds a short note.' : '',
    calls: calls.map((_, index) => ({ callId: `c${index}`, tool: 'files__read', args: { path: '/notes/note.txt' } })),
  };
}
