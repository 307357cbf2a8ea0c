import { attemptResult } from '@mandate/contracts';
import { expect, test } from 'vitest';
import { analysisAnswer } from './analysis-answer.ts';
import { analyzeTask } from './analyze-task.ts';

test('an analysis fits the contract, however much a text gives reason for', () => {
  const text = 'Fix the bug, then test it, review the code, deploy it, and document everything urgently. '.repeat(200);
  const answer = analysisAnswer(analyzeTask(text));
  const result = {
    workflow: 'wf_00_aaaaaaaaaaaaaaaaaaaaaaaaaa',
    attempt: 'a',
    outcome: 'succeeded',
    worker: 'analyzer/x',
    durationMs: 1,
    answer,
  };
  expect(attemptResult.parse(result).answer).toEqual(answer);
  expect(answer.kind === 'analyze' ? answer.analysis.reasons.length : 0).toBeLessThanOrEqual(50);
});
