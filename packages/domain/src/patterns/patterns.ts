import type { PatternName } from '../workflow/steps.ts';
import { answeredOf } from './crew.ts';
import { latestOf } from './dialogue.ts';
import { direct } from './direct.ts';
import { evaluatorOptimizer } from './evaluator-optimizer.ts';
import { orchestratorWorkers } from './orchestrator-workers.ts';
import { parallel } from './parallel.ts';
import type { Brief, Pattern } from './pattern.ts';
import { router } from './router.ts';
import { sequential } from './sequential.ts';
import { swarm } from './swarm.ts';

/** A pattern at work, whichever it is: its name and its state. */
export type Work = { readonly [Name in PatternName]: { readonly pattern: Name; readonly state: StateOf<Name> } }[PatternName];

const PATTERNS = {
  direct,
  sequential,
  parallel,
  router,
  'orchestrator-workers': orchestratorWorkers,
  swarm,
  'evaluator-optimizer': evaluatorOptimizer,
} as const;
type StateOf<Name extends PatternName> = ReturnType<(typeof PATTERNS)[Name]['initial']>;

/** Sends children: it is of no use to an agent that may have none. */
export const NEEDS_CHILDREN: ReadonlySet<PatternName> = new Set(['sequential', 'parallel', 'orchestrator-workers']);

const of = (pattern: PatternName): Pattern<unknown> => PATTERNS[pattern] as Pattern<unknown>;

export const startWork = (pattern: PatternName, brief: Brief): Work => ({ pattern, state: of(pattern).initial(brief) }) as Work;
export const goOn = (work: Work, event: Parameters<Pattern<unknown>['evolve']>[1]): Work =>
  ({ pattern: work.pattern, state: of(work.pattern).evolve(work.state, event) }) as Work;
export const owedBy = (work: Work): ReturnType<Pattern<unknown>['pending']> => of(work.pattern).pending(work.state);
export const outcomeOfWork = (work: Work): ReturnType<Pattern<unknown>['outcome']> => of(work.pattern).outcome(work.state);
export const promptOfWork = (work: Work, part: Parameters<Pattern<unknown>['prompt']>[1]): ReturnType<Pattern<unknown>['prompt']> =>
  of(work.pattern).prompt(work.state, part);

/** The latest text that stands for the work, an answer or not: what is left when it is stopped. */
export function latestOfWork(work: Work): number | null {
  switch (work.pattern) {
    case 'direct':
      return latestOf(work.state);
    case 'router':
      return work.state.talk === undefined ? null : latestOf(work.state.talk);
    case 'swarm':
    case 'evaluator-optimizer':
      return latestOf(work.state.talk);
    default:
      return answeredOf(work.state).at(-1)?.end.version ?? null;
  }
}

/** Bytes of its longest prompt so far. */
export function promptBytesOfWork(work: Work): number {
  switch (work.pattern) {
    case 'direct':
      return work.state.promptBytes;
    case 'swarm':
    case 'evaluator-optimizer':
      return work.state.talk.promptBytes;
    case 'router':
      return work.state.talk?.promptBytes ?? work.state.brief.promptBaseBytes + work.state.brief.taskBytes;
    default:
      return work.state.brief.promptBaseBytes + work.state.brief.taskBytes;
  }
}
