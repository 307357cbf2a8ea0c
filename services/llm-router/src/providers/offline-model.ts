import type { ModelRequest } from '@mandate/contracts';
import type { LanguageModel } from '../language-model.ts';
import { promptSize } from '../worst-case.ts';
import { answerOffline } from './offline/answer-offline.ts';

/**
 * Rules instead of a model: deterministic, in this process, charged by nobody (its price is nominal). Tokens are counted as
 * characters divided by four.
 */
export const offlineModel: LanguageModel = {
  id: 'offline-rules',
  provider: 'offline',
  generate: (request, { maxOutputTokens }) => Promise.resolve().then(() => answer({ ...request, maxOutputTokens })),
};

function answer(request: ModelRequest): Awaited<ReturnType<LanguageModel['generate']>> {
  const { text, toolCalls, finishReason } = answerOffline(request);
  const said = text.length + toolCalls.reduce((sum, call) => sum + JSON.stringify(call.args).length, 0);
  const usage = {
    inputTokens: Math.ceil(promptSize(request).bytes / 4),
    cachedInputTokens: 0,
    cacheWriteTokens: 0,
    outputTokens: Math.ceil(said / 4),
    reasoningTokens: 0,
  };
  return { text, toolCalls, finishReason, usage };
}
