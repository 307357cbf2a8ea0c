import { expect, test } from 'vitest';
import { type CapsuleReport, capsuleLines, verifyCapsule } from './capsule.ts';
import { checkpointsOf, inPages, LOG, rowsOf } from './example-rows.ts';
import { makeSigningKey } from './signed-note.ts';

const key = makeSigningKey('mandate/log');
const rows = rowsOf(['wf_a', 'wf_b', 'wf_a', 'wf_a', 'wf_b', 'wf_c', 'wf_a']);
const kept = checkpointsOf(rows, [7], key);

async function exported(stream: string, to: number): Promise<string[]> {
  const events = rows.filter((row) => row.stream === stream && row.version <= to);
  const checkpoint = { note: kept[0]?.note ?? '', size: 7, leaves: kept[0]?.leaves ?? Buffer.alloc(0) };
  return all(capsuleLines({ stream, partition: 3, log: LOG, to, key: key.verifier, checkpoint, pages: inPages(events, 2) }));
}

async function all(lines: AsyncIterable<string>): Promise<string[]> {
  const found: string[] = [];
  for await (const line of lines) found.push(line);
  return found;
}

const verified = (lines: readonly string[], trusted = true): Promise<CapsuleReport> =>
  verifyCapsule(
    (async function* () {
      for (const line of lines) yield await Promise.resolve(line);
    })(),
    trusted ? key.verifier : undefined,
  );

test('a capsule verifies from its lines alone, and is the same bytes each time', async () => {
  const lines = await exported('wf_a', 4);
  expect(await exported('wf_a', 4)).toEqual(lines);
  expect(await verified(lines)).toEqual({
    stream: 'wf_a',
    events: 4,
    origin: `mandate/${LOG}/p3`,
    size: 7,
    key: key.verifier.text,
    isKeyTrusted: true,
  });
  expect(await verified(lines, false)).toMatchObject({ isKeyTrusted: false });
  expect((await verified(await exported('wf_a', 2))).finding).toBeUndefined();
});

const edit = (change: (lines: string[]) => unknown) => async (): Promise<CapsuleReport['finding']> => {
  const lines = await exported('wf_a', 4);
  change(lines);
  return (await verified(lines)).finding;
};
const swap = (lines: string[], a: number, b: number): void => {
  [lines[a], lines[b]] = [lines[b] ?? '', lines[a] ?? ''];
};

test.each([
  ['altered', edit((lines) => (lines[3] = (lines[3] ?? '').replace('так', 'не так'))), { event: 'wf_a-2', detail: /^altered/ }],
  [
    'altered hash',
    edit((lines) => (lines[3] = (lines[3] ?? '').replace(/"hash":"../, '"hash":"zz'))),
    { event: 'wf_a-2', detail: /^altered/ },
  ],
  [
    'altered position',
    edit((lines) => (lines[4] = (lines[4] ?? '').replace('"position":3', '"position":1'))),
    { event: 'wf_a-3', detail: /position 1/ },
  ],
  [
    'another place in the tree',
    edit((lines) => (lines[4] = (lines[4] ?? '').replace('"position":3', '"position":4'))),
    { detail: /signed root/ },
  ],
  ['removed', edit((lines) => lines.splice(3, 1)), { event: 'wf_a-2', detail: /version 3 stands in its place/ }],
  ['removed at the end', edit((lines) => lines.splice(5, 1)), { event: 'wf_a-4', detail: /^removed/ }],
  ['inserted', edit((lines) => lines.splice(3, 0, lines[3] ?? '')), { event: 'wf_a-3', detail: /version 2 stands in its place/ }],
  ['reordered', edit((lines) => swap(lines, 3, 4)), { event: 'wf_a-2', detail: /version 3 stands in its place/ }],
  ['a shorter proof', edit((lines) => (lines[6] = '{"proof":[]}\n')), { detail: /signed root/ }],
  ['no proof', edit((lines) => lines.splice(6)), { detail: /ends before its proof/ }],
  [
    'an altered checkpoint',
    edit((lines) => (lines[1] = (lines[1] ?? '').replace('\\n7\\n', '\\n8\\n'))),
    { detail: /signature of mandate\/log is wrong/ },
  ],
  ['another log', edit((lines) => (lines[0] = (lines[0] ?? '').replace('6b2f', '6b2e'))), { detail: /its checkpoint is of/ }],
  ['another stream', edit((lines) => (lines[0] = (lines[0] ?? '').replace('wf_a', 'wf_b'))), { event: 'wf_b-1', detail: /^altered/ }],
  ['a word that is no JSON', edit((lines) => lines.splice(4, 0, 'hello\n')), { detail: /line 5 is not a JSON object/ }],
])('%s is found', async (_, finding, expected) => {
  expect(await finding()).toMatchObject({ ...expected, detail: expect.stringMatching(expected.detail) });
});

test('a capsule that somebody signed with a key of their own is refused by who knows the log\u2019s key', async () => {
  const stranger = makeSigningKey('mandate/log');
  const checkpoint = { note: checkpointsOf(rows, [7], stranger)[0]?.note ?? '', size: 7, leaves: kept[0]?.leaves ?? Buffer.alloc(0) };
  const events = rows.filter((row) => row.stream === 'wf_a');
  const source = { stream: 'wf_a', partition: 3, log: LOG, to: 4, key: stranger.verifier, checkpoint, pages: inPages(events) };
  const report = await verified(await all(capsuleLines(source)));
  expect(report.finding?.detail).toMatch(/not with the key that you trust/);
});
