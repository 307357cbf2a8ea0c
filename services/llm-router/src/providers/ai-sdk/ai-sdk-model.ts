import type { LanguageModelV4 } from '@ai-sdk/provider';
import { type LanguageModel, ModelCallFailed, type ProviderName } from '../../language-model.ts';
import { classifyFailure } from './classify-failure.ts';
import { toCallOptions, toModelAnswer } from './mapping.ts';

/** A model of a provider package behind our port. `secret` never leaves in a message. */
export function aiSdkModel(provider: ProviderName, model: LanguageModelV4, secret: string | undefined): LanguageModel {
  return {
    id: model.modelId,
    provider,
    async generate(request, options) {
      try {
        return toModelAnswer(await model.doGenerate(toCallOptions(request, options)));
      } catch (error) {
        // Whoever aborted knows why: time is up, or the task was cancelled.
        options.signal.throwIfAborted();
        throw withoutSecret(classifyFailure(provider, error), secret);
      }
    },
  };
}

function withoutSecret(failure: ModelCallFailed, secret: string | undefined): ModelCallFailed {
  if (secret === undefined || !failure.message.includes(secret)) return failure;
  return new ModelCallFailed(failure.code, failure.message.replaceAll(secret, '[key]'), failure);
}
