import { expect, test } from 'vitest';
import { checkpointsOf, inPages, LOG, rowsOf } from './example-rows.ts';
import { type EventFilter, type ExtractReport, extractLines, type PartitionExtract, verifyExtract } from './extract.ts';
import type { LogRow } from './log-rows.ts';
import { makeSigningKey } from './signed-note.ts';

const key = makeSigningKey('mandate/log');
const partitions = [2, 3, 5].map((partition) => {
  const rows = rowsOf(['wf_a', 'wf_b', 'wf_a', 'wf_c', 'wf_b', 'wf_a', 'wf_c'], partition);
  return { partition, rows, kept: checkpointsOf(rows, [7], key, partition) };
});

async function extracted(filter: EventFilter, matches: (row: LogRow) => boolean): Promise<string[]> {
  async function* sources(): AsyncIterable<PartitionExtract> {
    for (const { partition, rows, kept } of partitions) {
      const found = rows.filter(matches);
      const checkpoint = { note: kept[0]?.note ?? '', size: 7, leaves: kept[0]?.leaves ?? Buffer.alloc(0) };
      if (found.length > 0) yield await Promise.resolve({ partition, checkpoint, pages: inPages(found, 2) });
    }
  }
  const lines: string[] = [];
  for await (const line of extractLines({ log: LOG, key: key.verifier, filter, partitions: sources() })) lines.push(line);
  return lines;
}
const ofWorkflow = (): Promise<string[]> =>
  extracted({ workflow: 'wf_b', since: 1_002 }, (row) => row.stream === 'wf_b' && row.at >= 1_002);

const verified = (lines: readonly string[], trusted = true): Promise<ExtractReport> =>
  verifyExtract(
    (async function* () {
      for (const line of lines) yield await Promise.resolve(line);
    })(),
    trusted ? key.verifier : undefined,
  );

test('an extract verifies from its lines alone, and is the same bytes each time', async () => {
  const lines = await ofWorkflow();
  expect(await ofWorkflow()).toEqual(lines);
  expect(await verified(lines)).toEqual({
    log: LOG,
    filter: { workflow: 'wf_b', since: 1_002 },
    events: 3,
    partitions: 3,
    key: key.verifier.text,
    isKeyTrusted: true,
  });
  expect(await verified(lines, false)).toMatchObject({ isKeyTrusted: false });
  const everything = await extracted({}, () => true);
  expect(await verified(everything)).toMatchObject({ events: 21, partitions: 3 });
  expect(await verified(await extracted({ tenant: 'globex' }, () => false))).toMatchObject({ events: 0, partitions: 0 });
});

test('hundreds of events of one partition verify, and one altered among them is found', async () => {
  const rows = rowsOf(Array.from({ length: 300 }, (_, i) => `wf_${i % 7}`));
  const [kept] = checkpointsOf(rows, [300], key);
  async function* source(): AsyncIterable<PartitionExtract> {
    yield await Promise.resolve({
      partition: 3,
      checkpoint: { note: kept?.note ?? '', size: 300, leaves: kept?.leaves ?? Buffer.alloc(0) },
      pages: inPages(rows, 50),
    });
  }
  const lines: string[] = [];
  for await (const line of extractLines({ log: LOG, key: key.verifier, filter: {}, partitions: source() })) lines.push(line);
  expect(await verified(lines)).toMatchObject({ events: 300, partitions: 1 });
  lines[250] = (lines[250] ?? '').replace('так', 'не так');
  expect((await verified(lines)).finding?.detail).toMatch(/partition 3 .*altered/);
});

const edit = (change: (lines: string[]) => unknown) => async (): Promise<ExtractReport['finding']> => {
  const lines = await extracted({ types: ['step.done'], until: 1_005, tenant: 'acme' }, (row) => row.at <= 1_005);
  change(lines);
  return (await verified(lines)).finding;
};
const swap = (lines: string[], a: number, b: number): void => {
  [lines[a], lines[b]] = [lines[b] ?? '', lines[a] ?? ''];
};

test.each([
  ['an altered event', edit((lines) => (lines[3] = (lines[3] ?? '').replace('так', 'не так'))), /partition 2 .*altered/],
  ['an event less', edit((lines) => lines.splice(4, 1)), /partition 2 .*removed/],
  ['an event twice', edit((lines) => lines.splice(4, 0, lines[3] ?? '')), /^reordered/],
  ['events in another order', edit((lines) => swap(lines, 3, 4)), /^reordered/],
  [
    'an event that is not asked for',
    edit((lines) => (lines[3] = (lines[3] ?? '').replace('\\"acme\\"', '\\"globex\\"'))),
    /^inserted: its tenant/,
  ],
  ['another type', edit((lines) => (lines[3] = (lines[3] ?? '').replace('step.done', 'step.gone'))), /^inserted: its type/],
  ['another time', edit((lines) => (lines[3] = (lines[3] ?? '').replace('1001', '1999'))), /^inserted: its time/],
  ['another filter', edit((lines) => (lines[0] = (lines[0] ?? '').replace('1005', '1004'))), /^inserted: its time/],
  ['another position', edit((lines) => (lines[7] = (lines[7] ?? '').replace('"position":5', '"position":6'))), /signed root/],
  ['a partition less', edit((lines) => lines.splice(1, 8)), /last line says 18 events, 12 are there/],
  [
    'partitions in another order',
    edit((lines) => lines.push(...lines.splice(1, 8), lines.splice(-1, 1)[0] ?? '')),
    /^(reordered|inserted)/,
  ],
  ['a foreign checkpoint', edit((lines) => (lines[1] = (lines[1] ?? '').replace('"partition":2', '"partition":1'))), /is of mandate/],
  ['no proof', edit((lines) => lines.splice(8, 1)), /^removed: partition 2/],
  ['a cut proof', edit((lines) => (lines[8] = '{"proof":["AAAA"]}\n')), /not 32 bytes/],
  ['no end', edit((lines) => lines.pop()), /^removed: the file ends/],
  ['something behind its end', edit((lines) => lines.push('{"events":0}\n')), /^inserted: line/],
  ['something else', edit((lines) => lines.splice(2, 0, '{"hello":1}\n')), /neither checkpoint/],
  ['no header', edit((lines) => lines.shift()), /first line/],
])('with %s it is refused', async (_, finding, detail) => {
  expect((await finding())?.detail).toMatch(detail);
});

test('under another key than the trusted one it is refused', async () => {
  const lines = await ofWorkflow();
  const { finding } = await verified(lines.map((line) => line.replace(key.verifier.text, makeSigningKey('mandate/log').verifier.text)));
  expect(finding?.detail).toMatch(/not with the key that you trust/);
});
