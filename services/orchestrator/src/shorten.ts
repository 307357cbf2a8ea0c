/** The beginning of a text, at most so many bytes of UTF-8, never half a character. */
export function beginning(text: string, bytes: number): string {
  if (text.length * 3 <= bytes || Buffer.byteLength(text) <= bytes) return text;
  const cut = Buffer.from(text).subarray(0, bytes);
  return cut.toString('utf8').replace(/\uFFFD+$/u, '');
}

/** The end of a text, at most so many bytes of UTF-8. */
export function ending(text: string, bytes: number): string {
  if (text.length * 3 <= bytes || Buffer.byteLength(text) <= bytes) return text;
  const all = Buffer.from(text);
  return all
    .subarray(all.length - bytes)
    .toString('utf8')
    .replace(/^\uFFFD+/u, '');
}

/** Beginning and end of a text, with a mark between them: at most so many bytes in all. The whole text stays on the record. */
export function shortened(text: string, bytes: number): string {
  const size = Buffer.byteLength(text);
  if (size <= bytes) return text;
  const room = bytes - 100;
  const head = beginning(text, Math.floor(room * 0.7));
  const tail = ending(text, room - Math.floor(room * 0.7));
  return `${head}\n[… ${size - Buffer.byteLength(head) - Buffer.byteLength(tail)} bytes left out; the whole text is on record …]\n${tail}`;
}
