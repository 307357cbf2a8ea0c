/** Sizes that every edge checks and every consumer checks again. Bytes of UTF-8 unless the name says otherwise. */
export const LIMITS = {
  /** A task's text: about 20,000 English words. */
  taskBytes: 128 * 1024,
  /** A request body at the gateway and a message from outside. */
  requestBytes: 256 * 1024,
  /** Nesting of JSON from outside. */
  jsonDepth: 32,
  /** Largest message on the bus; nats-server's max_payload must be at least this. */
  messageBytes: 1024 * 1024,
  /** One tool result as the model sees it; longer ones are cut with a mark. */
  toolResultBytes: 48 * 1024,
  /** Arguments of one tool call. */
  toolArgsBytes: 64 * 1024,
  /** Text of one model answer. */
  modelTextBytes: 256 * 1024,
  /** Rows of one page of a list. */
  pageRows: 200,
} as const;

/** Deepest nesting of arrays and objects in a JSON text, found without parsing it (a parser might not survive it). */
export function jsonDepth(text: string): number {
  let depth = 0;
  let deepest = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (inString) {
      if (c === 92) i++;
      else if (c === 34) inString = false;
    } else if (c === 34) inString = true;
    else if (c === 123 || c === 91) deepest = Math.max(deepest, ++depth);
    else if (c === 125 || c === 93) depth--;
  }
  return deepest;
}
