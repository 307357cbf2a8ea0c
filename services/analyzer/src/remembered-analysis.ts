import type { WorkerAnswer } from '@mandate/contracts';
import { LRUCache } from 'lru-cache';
import { analysisAnswer } from './analysis-answer.ts';
import { analyzeTask } from './analyze-task.ts';

/**
 * Analyses that remember. The key is the text, letter for letter, and rules change only with the process: a remembered
 * answer is the one that would be given anew.
 *
 * @param mostCharacters of remembered texts, all together; default 8 Mi
 */
export function rememberedAnalyses(mostCharacters = 8 * 1024 * 1024): {
  of(task: string): WorkerAnswer;
  /** Some content was erased: nothing is remembered any more, for nobody here knows whose words are whose. */
  forget(): void;
} {
  const remembered = new LRUCache<string, WorkerAnswer>({
    max: 10_000,
    maxSize: mostCharacters,
    sizeCalculation: (_, text) => text.length + 1,
  });
  return {
    of: (task) => {
      const known = remembered.get(task);
      if (known !== undefined) return known;
      const answer = analysisAnswer(analyzeTask(task));
      remembered.set(task, answer);
      return answer;
    },
    forget: () => remembered.clear(),
  };
}
