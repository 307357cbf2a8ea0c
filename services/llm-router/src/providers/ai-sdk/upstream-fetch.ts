/** Answers larger than this are not read to their end: no model says so much. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

export class AnswerTooLarge extends Error {
  override readonly name = 'AnswerTooLarge';
}

/**
 * `fetch` for vendors' APIs: follows no redirect, because the key would travel with it, and reads at most 16 MiB.
 * @throws AnswerTooLarge, and what `fetch` throws
 */
export async function upstreamFetch(input: Parameters<typeof fetch>[0], init?: RequestInit): Promise<Response> {
  const response = await fetch(input, { ...init, redirect: 'error' });
  const body = response.body === null ? null : await readBounded(response.body);
  return new Response(body, { status: response.status, statusText: response.statusText, headers: response.headers });
}

async function readBounded(body: ReadableStream<Uint8Array>): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > MAX_ANSWER_BYTES) throw new AnswerTooLarge(`the answer is larger than ${MAX_ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
