/** Which of several representations an `Accept` header asks for first; the first of them when it asks for none. */
export function wantedFormat<Format extends string>(accept: string | undefined, types: Readonly<Record<Format, string>>): Format {
  const formats = Object.entries<string>(types) as [Format, string][];
  const [fallback] = formats[0] ?? [];
  if (fallback === undefined) throw new Error('no format to choose from');
  const wanted = (accept ?? '').split(',').map(parseRange);
  for (const { type } of wanted.filter(({ weight }) => weight > 0).toSorted((a, b) => b.weight - a.weight)) {
    const match = type === '*/*' ? fallback : formats.find(([, offered]) => offered === type)?.[0];
    if (match !== undefined) return match;
  }
  return fallback;
}

/** `text/plain;q=0.5` */
function parseRange(range: string): { readonly type: string; readonly weight: number } {
  const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
  const weight = Number(parameters.find((parameter) => parameter.startsWith('q='))?.slice(2) ?? 1);
  return { type, weight: Number.isFinite(weight) ? weight : 0 };
}
