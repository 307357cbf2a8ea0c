import type { WorkerAnswer } from '@mandate/contracts';
import { fitPatterns } from './pattern-fit.ts';
import type { TaskAnalysis } from './task-analysis.ts';

/** Reasons that are kept of one analysis. */
const MAX_REASONS = 50;

/** An analysis as it goes on the record: capabilities by name, reasons by rule and place, and which pattern fits. */
export function analysisAnswer(analysis: TaskAnalysis): WorkerAnswer {
  const { analyzerVersion, intent, taskType, complexity, capabilities, estimatedSteps, confidence, language, reasons } = analysis;
  const { table, scores } = fitPatterns(analysis);
  return {
    kind: 'analyze',
    analysis: {
      analyzerVersion,
      intent,
      taskType,
      complexityScore: complexity.score,
      tier: complexity.tier,
      capabilities: [...new Set(capabilities.map(({ name }) => name))],
      estimatedSteps,
      confidence,
      language,
      reasons: reasons.slice(0, MAX_REASONS).map(({ claim, ruleId, start, end }) => ({ claim, ruleId, start, end })),
      fit: { table, scores: scores.map((score) => ({ ...score, reasons: [...score.reasons] })) },
    },
  };
}
