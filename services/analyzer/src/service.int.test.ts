import { startService } from '@mandate/service-kit';
import { commander, freshNats, workerEnvironment } from '@mandate/test-kit';
import { expect, test } from 'vitest';
import { PATTERN_TABLE_VERSION } from './pattern-table.ts';
import { analyzer } from './service.ts';

test('a task is analysed, and the same text again the same', async () => {
  const nats = await freshNats();
  const orchestrator = await commander(nats);
  const service = await startService(analyzer, workerEnvironment(nats, 'analyzer'));
  try {
    const task = 'Fix the login bug in auth.ts and add a test for it.';
    const first = await (await orchestrator.send('analyze', { task })).result;
    expect(first).toMatchObject({ outcome: 'succeeded', answer: { kind: 'analyze', analysis: { intent: 'bug_fixing' } } });
    const again = await (await orchestrator.send('analyze', { task })).result;
    expect(again.answer).toEqual(first.answer);
    const staged = await (await orchestrator.send('analyze', { task: 'First read a.md, then count its words' })).result;
    expect(staged.answer).toMatchObject({
      analysis: { fit: { table: PATTERN_TABLE_VERSION, scores: [{ pattern: 'sequential' }, { pattern: 'direct' }, {}, {}, {}, {}, {}] } },
    });
  } finally {
    await service.stop();
    await orchestrator.stop();
    await nats.stop();
  }
});
