import { describe, expect, test } from 'vitest';
import { openCheckpoint, originOf } from './checkpoint.ts';
import { checkpointsOf, inPages, LOG, rowsOf } from './example-rows.ts';
import { hashesOf, type LogRow, NO_HASH } from './log-rows.ts';
import { sealedLeaves } from './sealed-leaves.ts';
import { makeSigningKey } from './signed-note.ts';
import { type PartitionReport, verifyPartition } from './verify-log.ts';

const key = makeSigningKey('mandate/log');
const STREAMS = ['wf_a', 'wf_b', 'wf_a', 'wf_a', 'ac_x', 'wf_b', 'wf_c', 'wf_a', 'wf_c', 'wf_b', 'ac_x', 'wf_c'];
const whole = rowsOf(STREAMS);
const SEALED = 10;
const kept = checkpointsOf(whole, [3, 8, SEALED], key);
const sealed = sealedLeaves(kept, originOf(LOG, 3), key.verifier);
const unsealed = { leaves: Buffer.alloc(0), size: 0 };
const versions = (): Promise<ReadonlyMap<string, number>> => Promise.resolve(new Map(whole.map((row) => [row.stream, row.version])));

const verified = (rows: readonly LogRow[], options: Partial<Parameters<typeof verifyPartition>[0]> = {}): Promise<PartitionReport> =>
  verifyPartition({ partition: 3, pages: inPages(rows), sealed, head: whole.length, versions, ...options });
const at = (position: number): LogRow => whole[position] as LogRow;
const with_ = (position: number, change: Partial<LogRow>): LogRow[] =>
  whole.map((row) => (row.position === position ? { ...row, ...change } : row));
/** As somebody who may write everything but the signatures would leave it. */
const renumbered = (rows: readonly LogRow[]): LogRow[] => rows.map((row, position) => ({ ...row, position }));
const rechained = (rows: readonly LogRow[]): LogRow[] => {
  const heads = new Map<string, Buffer>();
  return rows.map((row) => {
    const { link } = hashesOf(row.envelope, heads.get(row.stream) ?? NO_HASH);
    heads.set(row.stream, link);
    return { ...row, hash: link };
  });
};
const reworded = (row: LogRow): LogRow => ({ ...row, envelope: row.envelope.replace('"n":', '"N":') });

test('an untouched log has nothing wrong, and says how much of it is sealed', async () => {
  expect(sealed.problem).toBeUndefined();
  expect(await verified(whole)).toEqual({ partition: 3, events: 12, streams: 4, sealed: SEALED });
});

test('hundreds of streams that take turns are each followed', async () => {
  const rows = rowsOf(Array.from({ length: 900 }, (_, i) => `wf_${i % 300}`));
  const log = { head: rows.length, sealed: unsealed };
  expect(await verified(rows, log)).toEqual({ partition: 3, events: 900, streams: 300, sealed: 0 });
  const forged = rows.map((row) => (row.position === 777 ? { ...row, hash: rows[776]?.hash ?? NO_HASH } : row));
  expect((await verified(forged, log)).finding).toMatchObject({ kind: 'altered', position: 777, event: 'wf_177-3' });
});

describe.each([
  ['sealed', sealed],
  ['not sealed', unsealed],
])('%s', (_, seal) => {
  test.each(whole.map((row) => row.position))('one altered byte at position %i is found and named', async (position) => {
    const { finding } = await verified(with_(position, { envelope: reworded(at(position)).envelope }), { sealed: seal });
    expect(finding).toMatchObject({ kind: 'altered', position, event: `${at(position).stream}-${at(position).version}` });
  });

  test.each(whole.map((row) => row.position))('an event removed from position %i is found and named', async (position) => {
    const { finding } = await verified(
      whole.filter((row) => row.position !== position),
      { sealed: seal },
    );
    expect(finding).toMatchObject({ kind: 'removed', position, event: `${at(position).stream}-${at(position).version}` });
  });

  test('an altered hash is found', async () => {
    expect((await verified(with_(6, { hash: Buffer.alloc(32) }), { sealed: seal })).finding).toMatchObject({
      kind: 'altered',
      event: 'wf_c-1',
    });
  });

  test.each([{ tenant: 'globex' }, { type: 'task.completed' }, { at: 5 }])(
    'a column that contradicts its envelope is found: %j',
    async (change) => {
      const { finding } = await verified(with_(5, change), { sealed: seal });
      expect(finding).toMatchObject({ kind: 'altered', position: 5, event: 'wf_b-2' });
      expect(finding?.detail).toContain(Object.keys(change)[0]);
    },
  );

  test('two events of one stream in each other\u2019s place are found', async () => {
    const swapped = renumbered([...whole.slice(0, 2), at(3), at(2), ...whole.slice(4)]);
    expect((await verified(swapped, { sealed: seal })).finding).toMatchObject({ kind: 'reordered', position: 2, event: 'wf_a-3' });
  });

  test('a second event of the same version is found', async () => {
    const copy = renumbered([...whole.slice(0, 4), at(1), ...whole.slice(4)]);
    expect((await verified(copy, { sealed: seal })).finding).toMatchObject({ kind: 'inserted', position: 4, event: 'wf_b-1' });
  });
});

describe('what only the signatures prove, for somebody who writes positions and hashes as they should be', () => {
  test.each([0, 5, 9])('altered at %i', async (position) => {
    const { finding } = await verified(rechained(with_(position, { envelope: reworded(at(position)).envelope })));
    expect(finding).toMatchObject({ kind: 'altered', position, event: `${at(position).stream}-${at(position).version}` });
  });

  test('two events of different streams in each other\u2019s place', async () => {
    const swapped = renumbered([...whole.slice(0, 5), at(6), at(5), ...whole.slice(7)]);
    expect((await verified(swapped, { sealed: unsealed })).finding).toBeUndefined();
    expect((await verified(swapped)).finding).toMatchObject({ kind: 'reordered', position: 5, event: 'wf_c-1' });
  });

  test('an event that was never there, with the log moved up', async () => {
    const [stranger] = rowsOf(['wf_new']);
    const rows = renumbered([...whole.slice(0, 6), stranger as LogRow, ...whole.slice(6)]);
    expect((await verified(rows)).finding).toMatchObject({ kind: 'inserted', position: 6, event: 'wf_new-1' });
  });

  test('a whole stream gone, with the log closed up', async () => {
    const rows = renumbered(whole.filter((row) => row.stream !== 'ac_x'));
    expect((await verified(rows)).finding).toMatchObject({ kind: 'removed', position: 4, event: 'ac_x-1' });
  });

  test('the end of the log cut off, head and streams with it', async () => {
    const { finding } = await verified(whole.slice(0, 9), { head: 9, versions: () => Promise.resolve(new Map()) });
    expect(finding).toMatchObject({ kind: 'removed', position: 9, detail: 'the log ends here, but a signed checkpoint covers 10 events' });
  });
});

describe('checkpoints', () => {
  const problem = (changed: typeof kept): string | undefined => sealedLeaves(changed, originOf(LOG, 3), key.verifier).problem;

  test('that are not right are reported, and what is before them still counts', async () => {
    const forged = kept.map((each, i) => (i === 1 ? { ...each, note: each.note.replace('\n8\n', '\n9\n') } : each));
    const partly = sealedLeaves(forged, originOf(LOG, 3), key.verifier);
    expect(partly).toMatchObject({
      size: 3,
      problem: expect.stringContaining('checkpoint of 8 events: the signature of mandate/log is wrong'),
    });
    expect((await verified(whole, { sealed: partly })).finding).toMatchObject({ kind: 'checkpoint', position: 3 });
  });

  test('a missing one, changed leaves, another log and another key are each told apart', () => {
    expect(problem(kept.filter((_, i) => i !== 1))).toMatch(/one is missing/);
    expect(problem(kept.map((each) => ({ ...each, leaves: Buffer.alloc(each.leaves.length) })))).toMatch(/do not give its root/);
    expect(sealedLeaves(kept, originOf('another', 3), key.verifier).problem).toMatch(/is of mandate\/6b2f/);
    expect(sealedLeaves(kept, originOf(LOG, 3), makeSigningKey('mandate/log').verifier).problem).toMatch(/not signed by/);
  });

  test('that are held elsewhere show a log that was rewritten and signed again', async () => {
    const rewritten = rechained(with_(2, { envelope: reworded(at(2)).envelope }));
    const resealed = sealedLeaves(checkpointsOf(rewritten, [12], key), originOf(LOG, 3), key.verifier);
    expect((await verified(rewritten, { sealed: resealed })).finding).toBeUndefined();
    const held = [openCheckpoint(kept[1]?.note ?? '', [key.verifier])];
    expect((await verified(rewritten, { sealed: resealed, held })).finding).toMatchObject({ kind: 'forked', position: 8 });
    expect((await verified(whole, { held })).finding).toBeUndefined();
  });
});
