/** Whether content of a task is to be looked for: from the request of its erasure on it is not, whatever keys there still are. */
export const isThere = (task: { readonly erased_at: number | null }): boolean => task.erased_at === null;

/** A text field of an event's content, or null. */
export function textIn(
  contents: ReadonlyMap<string, unknown>,
  stream: string,
  version: number | null,
  field: 'task' | 'text',
): string | null {
  const content = version === null ? undefined : contents.get(`${stream}/${version}`);
  const text = typeof content === 'object' && content !== null ? (content as Record<string, unknown>)[field] : undefined;
  return typeof text === 'string' ? text : null;
}

/** The first so many characters of a text; never half of one. */
export const beginning = (text: string, characters: number): string => [...text.slice(0, 2 * characters)].slice(0, characters).join('');
