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
