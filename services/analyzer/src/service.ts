import { type AnalyzeCommand, analyzeCommand, TYPES, type WorkerAnswer } from '@mandate/contracts';
import { serveAttempts, type ServiceContext, type ServiceDefinition, type Working } from '@mandate/service-kit';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import { analysisAnswer } from './analysis-answer.ts';
import { analyzeTask } from './analyze-task.ts';

const config = z.object({
  COMMAND_KEY: z.string().min(16).describe('HMAC key with which the orchestrator signs commands to this service'),
  ANALYZER_CONCURRENCY: z.coerce.number().int().min(1).max(10_000).default(64).describe('analyses in hand at the same time'),
});

/** What is this task? Pure rules: the same text always gets the same answer, so an attempt may run twice. */
export const analyzer: ServiceDefinition<typeof config> = {
  name: 'analyzer',
  config,
  secrets: ['COMMAND_KEY'],
  start: (context) => Promise.resolve(start(context)),
};

/** Characters of remembered task texts, all together. */
const REMEMBERED_CHARACTERS = 8 * 1024 * 1024;

function start(context: ServiceContext<z.infer<typeof config>>): Working {
  const remembered = new LRUCache<string, WorkerAnswer>({
    max: 10_000,
    maxSize: REMEMBERED_CHARACTERS,
    sizeCalculation: (_, text) => text.length + 1,
  });
  const attempts = serveAttempts(context, {
    kind: 'analyze',
    type: TYPES.analyzeRun,
    schema: analyzeCommand,
    commandKey: context.config.COMMAND_KEY,
    concurrency: context.config.ANALYZER_CONCURRENCY,
    guard: () => 'none',
    run: (command) => Promise.resolve(analyze(command, remembered)),
  });
  return {
    ready: () => ({ ok: true, missing: [] }),
    inFlight: () => attempts.inFlight,
    stop: () => attempts.stop(20_000),
  };
}

function analyze({ body: { task } }: AnalyzeCommand, remembered: LRUCache<string, WorkerAnswer>): WorkerAnswer {
  const known = remembered.get(task);
  if (known !== undefined) return known;
  const answer = analysisAnswer(analyzeTask(task));
  remembered.set(task, answer);
  return answer;
}
