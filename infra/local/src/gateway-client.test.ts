import { expect, test } from 'vitest';
import { serverSentData } from './gateway-client.ts';

async function dataOf(...chunks: string[]): Promise<string[]> {
  const found: string[] = [];
  for await (const data of serverSentData(ReadableStream.from(chunks))) found.push(data);
  return found;
}

test('an event may arrive in pieces, cut anywhere', async () => {
  const text = 'id: 1\nevent: task.submitted\ndata: {"a":1}\n\nid: 2\ndata: {"b":2}\n\n';
  for (let cut = 1; cut < text.length; cut++) {
    expect(await dataOf(text.slice(0, cut), text.slice(cut))).toEqual(['{"a":1}', '{"b":2}']);
  }
});

test('comments and retry hints are no events, and several data lines are one', async () => {
  expect(await dataOf(': keep-alive\n\nretry: 500\n\ndata: one\ndata: two\n\n')).toEqual(['one\ntwo']);
});

test('lines may end as on the other system', async () => {
  expect(await dataOf('id: 1\r\ndata: x\r\n\r\n')).toEqual(['x']);
});

test('an event that was cut off by the end is not one', async () => {
  expect(await dataOf('data: whole\n\ndata: ha')).toEqual(['whole']);
});
