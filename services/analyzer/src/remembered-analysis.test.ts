import fc from 'fast-check';
import { expect, it } from 'vitest';
import { analysisAnswer } from './analysis-answer.ts';
import { analyzeTask } from './analyze-task.ts';
import { FITTING } from './fitting-tasks.ts';
import { rememberedAnalyses } from './remembered-analysis.ts';

it('gives the answer that would be given anew, whatever came before (D15)', () => {
  const task = fc.oneof(
    fc.constantFrom('Find cats and dogs before lunch', 'Find cats dogs lunch', 'find cats dogs lunch', ' Find cats dogs lunch'),
    fc.constantFrom(...Object.values(FITTING).flat()),
    fc.string({ maxLength: 60 }),
  );
  fc.assert(
    fc.property(fc.array(task, { minLength: 1, maxLength: 30 }), fc.constantFrom(50, 500, 100_000), (tasks, mostCharacters) => {
      const analyze = rememberedAnalyses(mostCharacters);
      for (const text of [...tasks, ...tasks]) expect(analyze.of(text)).toEqual(analysisAnswer(analyzeTask(text)));
    }),
    { numRuns: 50 },
  );
});

it('remembers: a text that fits is analysed once', () => {
  const analyze = rememberedAnalyses(100);
  expect(analyze.of('List the files')).toBe(analyze.of('List the files'));
  analyze.of('x'.repeat(200));
  analyze.of('y'.repeat(90));
  expect(analyze.of('x'.repeat(200))).not.toBe(analyze.of('x'.repeat(200)));
});

it('forgets all of it when something was erased', () => {
  const analyze = rememberedAnalyses();
  const before = analyze.of('List the files');
  analyze.forget();
  expect(analyze.of('List the files')).not.toBe(before);
  expect(analyze.of('List the files')).toEqual(before);
});
