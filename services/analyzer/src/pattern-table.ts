/*
 * Which pattern fits which task, as data: a row is a rule about an analysis, a column is a
 * pattern, a cell is a weight. A score is the sum of the cells of the rules that hold.
 *
 * More agents cost more, so every task starts in favour of one, and only rules that rest on
 * words of the task (STRONG_CRITERIA) can carry another pattern past it.
 */
import type { PatternName } from '@mandate/domain';
import type { TaskAnalysis } from './task-analysis.ts';

/** Changes whenever a rule or a weight does. */
export const PATTERN_TABLE_VERSION = 'patterns-1';

/** The columns, from simple to costly. Of equal scores the simpler pattern wins. */
export const SIMPLEST_FIRST = [
  'direct',
  'router',
  'sequential',
  'parallel',
  'evaluator-optimizer',
  'swarm',
  'orchestrator-workers',
] as const satisfies readonly PatternName[];

/** What the rules look at: an analysis but for what explains it. */
export type Analysed = Pick<
  TaskAnalysis,
  'taskType' | 'complexity' | 'capabilities' | 'estimatedSteps' | 'flags' | 'confidence' | 'language'
>;

const neededCapabilities = ({ capabilities }: Analysed): number => capabilities.filter(({ optional }) => !optional).length;
const isLarge = ({ complexity: { tier } }: Analysed): boolean => tier === 'complex' || tier === 'expert';

/** Rules; each is a plain fact about the analysis. */
export const CRITERIA = {
  base: () => true,
  unknown_language: ({ language }) => language === 'unknown',
  simple_tier: ({ complexity }) => complexity.tier === 'simple',
  complex_tier: (analysis) => isLarge(analysis),
  expert_tier: ({ complexity }) => complexity.tier === 'expert',
  /** "How do I hand over a ticket?" asks about a hand-over and is none. */
  plain_question: ({ flags, estimatedSteps, complexity }) =>
    flags.asking && !flags.staged && estimatedSteps <= 2 && (complexity.tier === 'simple' || complexity.tier === 'moderate'),
  ordered_steps: ({ flags, estimatedSteps }) => flags.staged && estimatedSteps >= 2,
  many_stages: ({ flags, estimatedSteps }) => flags.staged && estimatedSteps >= 4,
  many_independent_parts: ({ flags }) => flags.independentParts,
  parallel_words: ({ flags }) => flags.parallelizable,
  needs_specialist: ({ flags }) => flags.choosesSpecialist,
  unclear_task: ({ confidence }) => confidence < 0.3,
  needs_refinement: ({ flags }) => flags.iterative && flags.refining,
  repeats: ({ flags }) => flags.iterative,
  hands_over: ({ flags }) => flags.handsOver,
  conversation: ({ flags }) => flags.conversation,
  large_project: (analysis) => isLarge(analysis) && analysis.estimatedSteps >= 6 && neededCapabilities(analysis) >= 3,
  many_capabilities: (analysis) => neededCapabilities(analysis) >= 4,
  many_steps: ({ estimatedSteps }) => estimatedSteps >= 7,
  research: ({ taskType }) => taskType === 'research',
  urgent: ({ flags }) => flags.urgent,
} as const satisfies Readonly<Record<string, (analysis: Analysed) => boolean>>;
export type Criterion = keyof typeof CRITERIA;

/** Without one of these, direct wins. */
export const STRONG_CRITERIA: readonly Criterion[] = [
  'ordered_steps',
  'many_independent_parts',
  'needs_specialist',
  'needs_refinement',
  'hands_over',
  'large_project',
];

/** A weight for each column, in the order of SIMPLEST_FIRST. */
type Weights = readonly [number, number, number, number, number, number, number];

// biome-ignore format: a table is read by its columns
export const PATTERN_TABLE: Readonly<Record<Criterion, Weights>> = {
  //                       direct router sequential parallel evaluator swarm  orchestrator
  base:                   [ 0.50,  0.20,  0.20,      0.20,    0.15,     0.10,  0.10],
  unknown_language:       [ 0.40, -0.60, -0.60,     -0.60,   -0.60,    -0.60, -0.60],
  simple_tier:            [ 0.20,  0.00,  0.00,      0.00,    0.00,    -0.05, -0.10],
  complex_tier:           [-0.05,  0.00,  0.00,      0.00,    0.00,     0.00,  0.05],
  expert_tier:            [ 0.00,  0.00, -0.10,      0.00,    0.00,     0.00,  0.10],
  plain_question:         [ 0.20,  0.00, -0.20,     -0.30,   -0.30,    -0.40, -0.30],
  ordered_steps:          [-0.10,  0.00,  0.50,      0.00,    0.00,     0.00, -0.10],
  many_stages:            [ 0.00,  0.00,  0.10,      0.00,    0.00,     0.00,  0.05],
  many_independent_parts: [-0.10,  0.00,  0.00,      0.60,    0.00,     0.00,  0.05],
  parallel_words:         [ 0.00,  0.00,  0.00,      0.10,    0.00,     0.00,  0.00],
  needs_specialist:       [-0.10,  0.70,  0.00,      0.00,    0.00,     0.00,  0.00],
  unclear_task:           [ 0.00,  0.10,  0.00,      0.00,   -0.05,     0.00, -0.05],
  needs_refinement:       [-0.10,  0.00,  0.00,      0.00,    0.60,     0.00,  0.00],
  repeats:                [ 0.00,  0.00,  0.00,      0.00,    0.10,     0.00,  0.00],
  hands_over:             [-0.10, -0.30,  0.00,      0.00,    0.00,     0.70,  0.00],
  conversation:           [ 0.00,  0.05,  0.00,      0.00,    0.00,     0.15,  0.00],
  large_project:          [-0.20,  0.00,  0.00,      0.00,    0.00,     0.00,  0.50],
  many_capabilities:      [ 0.00,  0.00,  0.00,      0.00,    0.00,     0.00,  0.10],
  many_steps:             [ 0.00,  0.00,  0.00,      0.00,    0.00,     0.00,  0.10],
  research:               [ 0.00,  0.00,  0.00,      0.00,    0.00,     0.00,  0.05],
  urgent:                 [ 0.05,  0.00,  0.00,      0.05,   -0.10,     0.00, -0.05],
};
