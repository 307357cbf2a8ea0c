import type { CallToolResult, ContentBlock } from '@modelcontextprotocol/client';

/** A tool's result as a model sees it: its texts, and in brackets what else came. It is data, whatever it says. */
export function resultText(result: CallToolResult): string {
  const parts = (result.content ?? []).map(partText);
  if (parts.length === 0 && result.structuredContent !== undefined) return JSON.stringify(result.structuredContent);
  return parts.join('\n');
}

function partText(part: ContentBlock): string {
  switch (part.type) {
    case 'text':
      return part.text;
    case 'image':
    case 'audio':
      return `[${part.type} ${part.mimeType}, ${base64Bytes(part.data)} bytes]`;
    case 'resource_link':
      return `[link ${part.uri}${part.name === undefined ? '' : ` (${part.name})`}]`;
    case 'resource':
      return 'text' in part.resource
        ? `[resource ${part.resource.uri}]\n${part.resource.text}`
        : `[resource ${part.resource.uri}, ${base64Bytes(part.resource.blob)} bytes]`;
  }
}

const base64Bytes = (data: string): number => Math.floor((data.length * 3) / 4) - (data.endsWith('==') ? 2 : data.endsWith('=') ? 1 : 0);

// oxlint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f]/g;

/** Well-formed text of at most so many bytes of UTF-8, cut at a character, with a last line that says so. */
export function cutText(text: string, maxBytes: number): { readonly text: string; readonly truncated: boolean } {
  // Control characters say nothing to a model, and each is six bytes in JSON.
  const whole = text.toWellFormed().replace(CONTROL, ' ');
  const bytes = Buffer.byteLength(whole);
  if (bytes <= maxBytes) return { text: whole, truncated: false };
  const mark = (shown: number): string => `\n[truncated: ${shown} of ${bytes} bytes shown]`;
  const { read, written } = new TextEncoder().encodeInto(whole, new Uint8Array(maxBytes - mark(bytes).length));
  return { text: whole.slice(0, read) + mark(written), truncated: true };
}
