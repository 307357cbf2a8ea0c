/** One place in which two plain values differ. What is not there is left out; `null` is a value. */
export interface Change {
  /** JSON Pointer (RFC 6901); empty for the whole value. */
  readonly path: string;
  readonly from?: unknown;
  readonly to?: unknown;
}

type Fields = Readonly<Record<string, unknown>>;

/**
 * What has to be set, added or removed to make `to` of `from`, in the order of their fields. Both are JSON: a field that is
 * `undefined` is not there, the order of fields means nothing, and lists are compared place by place.
 */
export function changes(from: unknown, to: unknown, path = ''): readonly Change[] {
  if (from === to) return [];
  if (Array.isArray(from) && Array.isArray(to)) return within({ ...(from as unknown[]) }, { ...(to as unknown[]) }, path);
  if (isFields(from) && isFields(to)) return within(from, to, path);
  return [{ path, ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) }];
}

function within(from: Fields, to: Fields, path: string): readonly Change[] {
  const keys = [...Object.keys(from), ...Object.keys(to).filter((key) => !Object.hasOwn(from, key))];
  return keys.flatMap((key) => changes(own(from, key), own(to, key), `${path}/${escaped(key)}`));
}

/** Every object has a `toString` that is not its own. */
const own = (fields: Fields, key: string): unknown => (Object.hasOwn(fields, key) ? fields[key] : undefined);
const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null && !Array.isArray(value);
const escaped = (key: string): string => key.replaceAll('~', '~0').replaceAll('/', '~1');
