/*
 * Reading a whole file although results may be cut.
 *
 * A cut result ends with `[truncated: N of M bytes shown]`. The file server can read
 * the last T lines of a file, and the notice on such a reading tells how many bytes
 * these lines have, so we know at which byte it starts: M of the whole minus M of the
 * tail. Reading ever shorter tails therefore shows the file window by window. Windows
 * are joined only where they overlap and agree; otherwise the text stays partial.
 */
import { ask, type Asking } from './asking.ts';

/** A file's text as far as it could be read. */
export interface FileText {
  readonly path: string;
  readonly text: string;
  /** Set when only the beginning of the file could be read. */
  readonly partial?: { readonly shownBytes: number; readonly totalBytes: number };
}

/** Readings of one file beyond the first, at most. */
const MAX_WINDOWS = 6;

const bytesOf = (text: string) => new TextEncoder().encode(text);

/** Splits the notice off a result that was cut. */
export function withoutNotice(result: string): { text: string; totalBytes: number; isCut: boolean } {
  const notice = /\n?\[truncated: (\d+) of (\d+) bytes shown\]\s*$/.exec(result.slice(-120));
  if (!notice) return { text: result, totalBytes: bytesOf(result).length, isCut: false };
  const shown = result.slice(0, result.length - notice[0].length);
  const endsWithNewline = bytesOf(shown).length + 1 === Number(notice[1]);
  // A cut through the middle of a character leaves a replacement character behind.
  const text = endsWithNewline ? `${shown}\n` : shown.replace(/\uFFFD$/, '');
  return { text, totalBytes: Number(notice[2]), isCut: true };
}

/** Completes a reading that was cut, or says how far it got. */
export function* completeText(path: string, firstResult: string): Asking<FileText> {
  const first = withoutNotice(firstResult);
  if (!first.isCut) return { path, text: first.text };
  let known: Uint8Array = bytesOf(first.text);
  const totalBytes = first.totalBytes;
  let tail = linesFor(totalBytes - known.length, first.text, known.length);
  for (let window = 0; window < MAX_WINDOWS && known.length < totalBytes; window += 1) {
    const reply = yield* ask('read_text_file', { path, tail });
    if (reply.isError) break;
    const shown = withoutNotice(reply.text);
    const offset = totalBytes - shown.totalBytes;
    const joined = joinAt(known, bytesOf(shown.text), offset);
    const isStuck = joined === undefined || joined.length <= known.length;
    if (joined && !isStuck) known = joined;
    const missing = totalBytes - known.length;
    const scale = missing / Math.max(1, shown.totalBytes);
    const next = Math.ceil(tail * scale * (offset > known.length ? 1.5 : 1.05)) + 1;
    if (next === tail) break;
    tail = next;
  }
  const text = new TextDecoder().decode(known);
  if (known.length >= totalBytes) return { path, text };
  return { path, text, partial: { shownBytes: known.length, totalBytes } };
}

function linesFor(missingBytes: number, sample: string, sampleBytes: number): number {
  const bytesPerLine = Math.max(1, sampleBytes / Math.max(1, sample.split('\n').length));
  return Math.ceil((missingBytes / bytesPerLine) * 1.1) + 2;
}

/** Appends a window that starts at `offset`, if it overlaps what is known and agrees. */
function joinAt(known: Uint8Array, window: Uint8Array, offset: number): Uint8Array | undefined {
  if (offset < 0 || offset > known.length) return undefined;
  const overlap = Math.min(known.length - offset, window.length);
  for (let index = 0; index < overlap; index += 1) {
    if (known[offset + index] !== window[index]) return undefined;
  }
  const joined = new Uint8Array(known.length + window.length - overlap);
  joined.set(known);
  joined.set(window.subarray(overlap), known.length);
  return joined;
}
