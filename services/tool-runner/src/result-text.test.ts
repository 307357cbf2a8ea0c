import type { CallToolResult } from '@modelcontextprotocol/client';
import { expect, test } from 'vitest';
import { cutText, resultText } from './result-text.ts';

test('texts stand as they are; everything else is named in brackets', () => {
  const result: CallToolResult = {
    content: [
      { type: 'text', text: 'one' },
      { type: 'image', data: 'AAAA', mimeType: 'image/png' },
      { type: 'audio', data: 'AAA=', mimeType: 'audio/wav' },
      { type: 'resource_link', uri: 'file:///a', name: 'a' },
      { type: 'resource', resource: { uri: 'file:///b', text: 'inside' } },
      { type: 'resource', resource: { uri: 'file:///c', blob: 'AA==' } },
    ],
  };
  expect(resultText(result)).toBe(
    'one\n[image image/png, 3 bytes]\n[audio audio/wav, 2 bytes]\n[link file:///a (a)]\n[resource file:///b]\ninside\n[resource file:///c, 1 bytes]',
  );
});

test('structured content alone is shown as JSON', () => {
  expect(resultText({ content: [], structuredContent: { n: 1 } })).toBe('{"n":1}');
});

test('a text that fits is not touched', () => {
  expect(cutText('äöü', 6)).toEqual({ text: 'äöü', truncated: false });
});

test('a longer one is cut at a character and says so on its last line, all within the limit', () => {
  const { text, truncated } = cutText('é'.repeat(100), 80);
  expect(truncated).toBe(true);
  expect(Buffer.byteLength(text)).toBeLessThanOrEqual(80);
  expect(text).toMatch(/^é+\n\[truncated: \d+ of 200 bytes shown\]$/);
});

test('a character outside the basic plane is not cut in two', () => {
  expect(cutText('😀'.repeat(50), 83).text.isWellFormed()).toBe(true);
});

test('broken Unicode is repaired', () => {
  expect(cutText('a\ud800b', 100)).toEqual({ text: 'a\ufffdb', truncated: false });
});
