import type { ModelRequest } from '@mandate/contracts';
import { costMicroUsd, mostTokens } from '@mandate/domain';
import type { Price } from './models/price.ts';

/** Bytes of a request's texts, and how many messages frame them: counted as the reservation counts them. */
export function promptSize(request: ModelRequest): { readonly bytes: number; readonly messages: number } {
  let bytes = Buffer.byteLength(request.system) + Buffer.byteLength(JSON.stringify(request.tools));
  let messages = 1;
  for (const message of request.messages) {
    bytes += Buffer.byteLength(message.text);
    messages += 1;
    if (message.role !== 'assistant') continue;
    for (const call of message.toolCalls) bytes += Buffer.byteLength(JSON.stringify(call.args ?? null));
    messages += message.toolCalls.length;
  }
  return { bytes, messages };
}

/** The most tokens that a request's prompt can be. */
export function mostInputTokens(request: ModelRequest): number {
  const { bytes, messages } = promptSize(request);
  return mostTokens(bytes, messages);
}

/** The most that a call can cost, in micro-USD: every byte a token, every token allowed said. */
export const worstCaseMicroUsd = (price: Price, inputTokens: number, maxOutputTokens: number): number =>
  costMicroUsd(dearestInput(price), inputTokens, maxOutputTokens);

/** We never ask a vendor to write its cache, so that price does not count. */
const dearestInput = (price: Price): Price => ({
  ...price,
  inputMicroUsdPerMillionTokens: Math.max(price.inputMicroUsdPerMillionTokens, price.cachedInputMicroUsdPerMillionTokens),
});
