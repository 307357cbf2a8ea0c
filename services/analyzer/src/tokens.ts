/*
 * Words of a task with their places.
 *
 * Words are whole: "login" holds no "gin". Paths, web addresses and quoted text are
 * single tokens of their own kind, so that a folder called `test` or a quoted "bug"
 * is no evidence for anything. One pass, linear in the text.
 */

/** One piece of a text. `start` and `end` are UTF-16 offsets, `end` exclusive. */
export interface Token {
  readonly kind: 'word' | 'path' | 'url' | 'quote' | 'stop' | 'comma' | 'item';
  /** Lower case, with a straight apostrophe. */
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

const PIECES =
  /(?<item>(?:^|\n)[^\S\n]{0,8}(?:[-*•]|\d{1,2}[.)])[^\S\n])|(?<quote>"[^"\n]{1,200}"|`[^`\n]{1,200}`|“[^”\n]{1,200}”)|(?<chunk>[^\s"`“”,;!?]+)|(?<stop>[;!?]|\n{2,})|(?<comma>,)/gu;
const WORDS = /[\p{L}\p{N}\p{M}_]+(?:['’]\p{L}+)?[+#]{0,2}/gu;

/** Cuts a text into tokens, in order. */
export function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  for (const match of text.matchAll(PIECES)) {
    const { item, quote, chunk, stop } = match.groups ?? {};
    const start = match.index;
    if (chunk !== undefined) pushChunk(tokens, chunk, start);
    else
      tokens.push({ kind: item ? 'item' : quote ? 'quote' : stop ? 'stop' : 'comma', text: match[0], start, end: start + match[0].length });
  }
  return tokens;
}

function pushChunk(tokens: Token[], chunk: string, start: number): void {
  const body = chunk.replace(/[.:)\]}]{1,8}$/u, '');
  const kind = chunkKind(body);
  if (kind) tokens.push({ kind, text: body.toLowerCase(), start, end: start + body.length });
  else {
    for (const match of chunk.matchAll(WORDS)) {
      const at = start + match.index;
      tokens.push({ kind: 'word', text: match[0].toLowerCase().replace('’', "'"), start: at, end: at + match[0].length });
    }
  }
  if (/[.:]$/u.test(chunk) && body.length > 0)
    tokens.push({ kind: 'stop', text: chunk.slice(-1), start: start + chunk.length - 1, end: start + chunk.length });
}

/** Words with a slash that are no paths. */
const SLASHED = new Set(['and/or', 'ci/cd', 'ui/ux', 'he/she', 'tcp/ip', 'i/o', 'a/b', 'n/a', 'read/write', 'client/server']);

function chunkKind(chunk: string): 'path' | 'url' | undefined {
  const body = chunk.replace(/^[([{']+/u, '');
  if (/^(?:https?:\/\/|www\.)/iu.test(body)) return 'url';
  if (body.length > 300) return undefined;
  if (body.includes('/')) return !SLASHED.has(body.toLowerCase()) && /[\p{L}\p{N}]/u.test(body) ? 'path' : undefined;
  const dot = body.lastIndexOf('.');
  const extension = body.slice(dot + 1);
  const isFile = dot >= 0 && /^[a-z][a-z0-9]{0,7}$/iu.test(extension) && /^[\w*.@-]*$/u.test(body.slice(0, dot));
  return isFile && !/^(?:e\.g|i\.e|node\.js|vue\.js|next\.js|\.net|asp\.net)$/iu.test(body) ? 'path' : undefined;
}
