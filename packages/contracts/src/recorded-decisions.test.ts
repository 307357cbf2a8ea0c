import { readFileSync } from 'node:fs';
import { replay } from '@mandate/domain';
import { expect, test } from 'vitest';
import type { StoredEvent } from './events.ts';
import { decisionsOf } from './recorded-decisions.ts';

const run = (name: string): readonly StoredEvent[] =>
  JSON.parse(readFileSync(new URL(`../../../test/histories/runs/${name}.json`, import.meta.url), 'utf8')) as readonly StoredEvent[];

/** What the clock or the bus brings to a workflow is caused by its first event; right after the submission, that is its input too. */
test.each([
  ['bus.reset', { incarnation: 'the next one' }],
  ['timer.fired', { timer: 'workflow' }],
] as const)('%s right after the submission is a decision of its own', (type, data) => {
  const submission = run('completed-with-tools').filter(({ causation, version, stream }) => version === 1 || causation === `${stream}-1`);
  const [first] = submission;
  if (first === undefined) throw new Error('the run is empty');
  const version = submission.length + 1;
  const late = { ...first, id: `${first.stream}-${version}`, version, type, schema: 1, causation: first.id, data } as StoredEvent;
  const decisions = decisionsOf([...submission, late]);
  expect(decisions.map(({ events }) => events.map((event) => event.type))).toEqual([submission.map((event) => event.type), [type]]);
  expect(replay(decisions.slice(0, 1)).kind).toBe('same');
});
