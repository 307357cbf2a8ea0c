import { analyzeCommand, subjects, TYPES } from '@mandate/contracts';
import { serveAttempts, type ServiceContext, type ServiceDefinition, type Working } from '@mandate/service-kit';
import { z } from 'zod';
import { rememberedAnalyses } from './remembered-analysis.ts';

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

function start(context: ServiceContext<z.infer<typeof config>>): Working {
  const analyze = rememberedAnalyses();
  const attempts = serveAttempts(context, {
    kind: 'analyze',
    type: TYPES.analyzeRun,
    schema: analyzeCommand,
    commandKey: context.config.COMMAND_KEY,
    concurrency: context.config.ANALYZER_CONCURRENCY,
    guard: () => 'none',
    run: (command) => Promise.resolve(analyze.of(command.body.task)),
  });
  const erasing = context.bus.listen(subjects.keysDestroyed(), () => analyze.forget());
  return {
    ready: () => ({ ok: true, missing: [] }),
    inFlight: () => attempts.inFlight,
    stop: () => {
      erasing.stop();
      return attempts.stop(20_000);
    },
  };
}
