/** Well-formed text of at most so many bytes of UTF-8, cut at a character, with a last line that says so. */
export function cutText(text: string, maxBytes: number): string {
  const whole = text.toWellFormed();
  const bytes = Buffer.byteLength(whole);
  if (bytes <= maxBytes) return whole;
  const mark = (shown: number): string => `\n[truncated: ${shown} of ${bytes} bytes shown]`;
  const shown = prefix(whole, maxBytes - mark(bytes).length);
  return shown + mark(Buffer.byteLength(shown));
}

function prefix(text: string, bytes: number): string {
  const { read } = new TextEncoder().encodeInto(text, new Uint8Array(Math.max(0, bytes)));
  return text.slice(0, read);
}
