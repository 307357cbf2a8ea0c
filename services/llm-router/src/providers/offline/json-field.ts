/* One value out of a JSON text, by a path such as `scripts.test` or `items[0].name`. */

/** What was found: the value where asked, or where else a field of that name is. */
export type FieldFound =
  | { readonly kind: 'value'; readonly path: string; readonly value: unknown }
  | { readonly kind: 'elsewhere'; readonly paths: readonly string[] }
  | { readonly kind: 'absent' }
  | { readonly kind: 'not-json'; readonly reason: string };

/** Places of a field that are named when it is not where the task said. */
const MAX_PLACES = 5;

/** Looks a field up. A name that occurs once, but deeper, is found there. */
export function findField(text: string, field: string): FieldFound {
  let root: unknown;
  try {
    root = JSON.parse(text);
  } catch (cause) {
    return { kind: 'not-json', reason: cause instanceof Error ? cause.message : String(cause) };
  }
  const keys = field
    .replace(/\[(\d+)\]/g, '.$1')
    .split('.')
    .filter((key) => key !== '');
  const exact = isOwn(root, field) ? { value: root[field] } : valueAt(root, keys);
  if (exact) return { kind: 'value', path: field, value: exact.value };
  const places = placesOf(root, keys.at(-1) ?? field);
  const [only, second] = places;
  if (only && second === undefined) return { kind: 'value', path: only.path, value: only.value };
  return places.length > 0 ? { kind: 'elsewhere', paths: places.slice(0, MAX_PLACES).map(({ path }) => path) } : { kind: 'absent' };
}

function isOwn(value: unknown, key: string): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key);
}

function valueAt(root: unknown, keys: readonly string[]): { value: unknown } | undefined {
  let value = root;
  for (const key of keys) {
    if (!isOwn(value, key)) return undefined;
    value = value[key];
  }
  return { value };
}

function placesOf(root: unknown, name: string): { path: string; value: unknown }[] {
  const places: { path: string; value: unknown }[] = [];
  const open: { path: string; value: unknown }[] = [{ path: '', value: root }];
  for (let next = open.pop(); next && places.length <= MAX_PLACES; next = open.pop()) {
    if (typeof next.value !== 'object' || next.value === null) continue;
    for (const [key, value] of Object.entries(next.value)) {
      const path = next.path === '' ? key : `${next.path}.${key}`;
      if (key.toLowerCase() === name.toLowerCase()) places.push({ path, value });
      open.push({ path, value });
    }
  }
  return places;
}
