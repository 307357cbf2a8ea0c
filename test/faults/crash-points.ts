/**
 * Every named point at which a process can die, and what must follow. `npm run faults -- --all` tries them all; those
 * with `listed` are tried in every `npm test`.
 *
 * The tasks: `counting`: analysis; model, reading tool, model, counting tool (must not be repeated), model. Whatever dies, the task
 * must complete with the same story, the counter must have run once, and nothing may be billed beyond what was settled.
 */
export interface CrashCase {
  readonly service: string;
  readonly point: string;
  /** Dies the n-th time that a process passes the point. */
  readonly n: number;
  readonly when: string;
  /** How the counting tool's step ends. `unknown`: it was started and nobody can say whether it happened. */
  readonly counting: 'succeeded' | 'unknown';
  /** How often the counter may have run. */
  readonly counted: 0 | 1;
  readonly listed?: boolean;
  /** Default `counting`. */
  readonly task?: 'delegated';
}

const once = { counting: 'succeeded', counted: 1 } as const;

const gateway: readonly CrashCase[] = [
  { service: 'gateway', point: 'gateway:before-publish', n: 1, when: 'a task was received and not yet published', ...once, listed: true },
  {
    service: 'gateway',
    point: 'gateway:after-publish',
    n: 1,
    when: 'a task was published and its receipt not yet heard',
    ...once,
    listed: true,
  },
];

/** Results arrive in this order: analysis 1, model 2, reading 3, model 4, counting 5, model 6. */
const RESULTS = [
  'the analysis',
  'the first model answer',
  'the reading',
  'the second model answer',
  'the counting',
  'the last model answer',
];
const decisions = [
  { kind: 'submit', n: 1, what: 'the submission' },
  { kind: 'start', n: 1, what: 'the start of the counting' },
  ...RESULTS.map((what, index) => ({ kind: 'result', n: index + 1, what })),
];
const orchestrator: readonly CrashCase[] = decisions.flatMap(({ kind, n, what }) =>
  (['before-commit', 'after-commit', 'after-publish', 'before-ack'] as const).map(
    (at): CrashCase => ({
      service: 'orchestrator',
      point: `orchestrator:${at}:${kind}`,
      n,
      when: `${what}: ${at.replace('-', ' ')}`,
      ...once,
      listed:
        (kind === 'submit' && at === 'after-commit') ||
        (kind === 'start' && at === 'after-commit') ||
        (kind === 'result' && n === 5 && at === 'before-commit') ||
        (kind === 'result' && n === 2 && at === 'before-ack'),
    }),
  ),
);

const WORKER_POINTS = ['before-claim', 'after-claim', 'after-call', 'before-publish', 'after-publish', 'before-ack'] as const;
const LISTED_WORKER_POINTS: readonly string[] = [
  'llm:after-call:1',
  'llm:before-ack:2',
  'tool:after-call:2',
  'tool:after-claim:2',
  'tool:after-claim:1',
  'analyze:before-publish:1',
];
const workers: readonly CrashCase[] = (
  [
    ['analyzer', 'analyze', ['the analysis']],
    ['llm-router', 'llm', ['the first model call', 'the second model call', 'the last model call']],
    ['tool-runner', 'tool', ['the reading', 'the counting']],
  ] as const
).flatMap(([service, kind, steps]) =>
  steps.flatMap((what, index) =>
    WORKER_POINTS.map((at): CrashCase => {
      const counting = what === 'the counting';
      const started = at === 'after-claim' || at === 'after-call' || at === 'before-publish';
      return {
        service,
        point: `${at}:${kind}`,
        n: index + 1,
        when: `${what}: ${at.replace('-', ' ')}`,
        counting: counting && started ? 'unknown' : 'succeeded',
        counted: counting && at === 'after-claim' ? 0 : 1,
        listed: LISTED_WORKER_POINTS.includes(`${kind}:${at}:${index + 1}`),
      };
    }),
  ),
);

const projector: readonly CrashCase[] = (['before-commit', 'after-commit'] as const).map(
  (at): CrashCase => ({
    service: 'projector',
    point: `projector:${at}`,
    n: 2,
    when: `a batch of events: ${at.replace('-', ' ')}`,
    ...once,
    listed: true,
  }),
);

/** Results of the delegated task in their order; before each its decision, which grants, lends or gives back a mandate. */
const DELEGATED_RESULTS = [
  'the analysis',
  'the root sends a child',
  'the child asks to count',
  'the counting of the child',
  'the child sends a grandchild',
  'the grandchild asks to read',
  'the reading of the grandchild',
  'the grandchild ends',
  'the child ends',
  'the root ends',
];
const delegated: readonly CrashCase[] = [
  ...DELEGATED_RESULTS.flatMap((what, index) =>
    (['before-commit', 'after-commit', 'after-publish', 'before-ack'] as const).map(
      (at): CrashCase => ({
        service: 'orchestrator',
        point: `orchestrator:${at}:result`,
        n: index + 1,
        when: `${what}: ${at.replace('-', ' ')}`,
        ...once,
        task: 'delegated',
        listed: (index === 1 && at === 'after-commit') || (index === 7 && at === 'before-ack'),
      }),
    ),
  ),
  // Between claim and answer of a child's call: settled at its worst case, within the child's own mandate.
  ...WORKER_POINTS.map(
    (at): CrashCase => ({
      service: 'llm-router',
      point: `${at}:llm`,
      n: 2,
      when: `the child's first call: ${at.replace('-', ' ')}`,
      ...once,
      task: 'delegated',
      listed: at === 'after-call',
    }),
  ),
];

export const CRASH_CASES: readonly CrashCase[] = [...gateway, ...orchestrator, ...workers, ...projector, ...delegated];
