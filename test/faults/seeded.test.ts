import { expect, it } from 'vitest';
import type { FaultKind } from './seeded/fault-kinds.ts';
import { describeTrial } from './seeded/run-seeds.ts';
import { tryOnce } from './seeded/trial.ts';

/** One random run, the same in every `npm test`; `npm run faults -- --seeds N` runs as many as you have time for (docs/faults.md). */
it('random tasks while the disk is full, a router is killed and JetStream destroyed: every invariant holds', async () => {
  const started = performance.now();
  const kinds: readonly FaultKind[] = ['nats-wipe', 'older-copy', 'full-disk', 'kill'];
  const report = await tryOnce(4, { kinds, loadMs: 5_000, faults: 3, longestMs: 3_000 });
  expect(report.violated, describeTrial(report, ((performance.now() - started) / 1_000).toFixed(0))).toBeUndefined();
  expect(report.outcome?.tasks).toBeGreaterThan(3);
  expect(report.kinds.length).toBeGreaterThan(0);
});
