import type { StoredEvent } from '@mandate/contracts';
import type { WorkflowEvent } from '@mandate/domain';
import { expect, test } from 'vitest';
import { exampleStream, exampleWorkflow, storedEvent } from '../example-log.ts';
import { type Changes, type Known, projectBatch } from './project-batch.ts';

const project = (events: readonly StoredEvent[]): Changes =>
  projectBatch(
    0,
    events.map((envelope, position) => ({ position, envelope })),
    () => undefined,
    () => false,
  );
const taskOf = (events: readonly StoredEvent[]) => project(events).workflows.get(events[0]?.stream ?? '')?.task;

test('a finished workflow shows its status, figures and where its answer is', () => {
  expect(taskOf(exampleStream(1))).toMatchObject({
    status: 'completed',
    pattern: 'direct',
    cost_micro_usd: 100,
    reserved_micro_usd: 0,
    tokens: 100,
    steps: 3,
    model_calls: 2,
    tool_calls: 1,
    answer_at: 9,
    open: {},
    closed: true,
    version: 11,
    mandate: { moneyMicroUsd: 1_000_000, tools: ['read_file'] },
  });
});

test('what is reserved shows while an attempt is open', () => {
  expect(taskOf(exampleStream(1).slice(0, 4))).toMatchObject({ status: 'running', reserved_micro_usd: 900, cost_micro_usd: 0, steps: 1 });
});

test('a workflow has ended for followers only when its mandates were given back', () => {
  expect(taskOf(exampleStream(1).slice(0, -1))).toMatchObject({ status: 'completed', closed: false });
});

test('every settled model call and tool call is a row of its own', () => {
  const { llmCalls, toolCalls } = project(exampleStream(1));
  expect(llmCalls.map((call) => [call.attempt, call.cost_micro_usd, call.reserved_micro_usd, call.provider])).toEqual([
    ['a0_s1_t1', 40, 900, 'offline'],
    ['a0_s3_t1', 60, 900, 'offline'],
  ]);
  expect(toolCalls).toMatchObject([
    { attempt: 'a0_s2_t1', tool: 'read_file', effect: 'read_only', is_error: false, result_bytes: 64, duration_ms: 7 },
  ]);
});

test.each([
  [
    { type: 'cancel.requested', data: { request: 'r' } },
    { status: 'ending', code: 'Cancelled' },
  ],
  [
    { type: 'timer.fired', data: { timer: 'workflow' } },
    { status: 'ending', code: 'DeadlineExceeded' },
  ],
  [
    { type: 'task.rejected', data: { code: 'ToolNotAllowed', message: 'no' } },
    { status: 'rejected', code: 'ToolNotAllowed', closed: true },
  ],
] as [WorkflowEvent, object][])('%o changes the status', (event, expected) => {
  const [first] = exampleStream(1);
  if (first === undefined) throw new Error('no events');
  expect(taskOf([first, storedEvent(first.stream, 2, event)])).toMatchObject(expected);
});

test('an event of an unknown version parks its stream, and the others go on', () => {
  const [one, other] = [exampleStream(1), exampleStream(2)];
  const changes = project([...one.slice(0, 2), { ...one[2], schema: 99 } as StoredEvent, ...one.slice(3), ...other]);
  expect(changes.parked).toMatchObject([
    { workflow: exampleWorkflow(1), version: 3, pos: 2, reason: expect.stringContaining('version 99') },
  ]);
  expect(changes.workflows.get(exampleWorkflow(1))?.task.version).toBe(2);
  expect(changes.workflows.get(exampleWorkflow(2))?.task.status).toBe('completed');
});

test('an event of an unknown type parks its stream', () => {
  const [first] = exampleStream(1);
  const changes = project([
    first as StoredEvent,
    storedEvent(exampleWorkflow(1), 2, { type: 'moon.landed', data: {} } as unknown as WorkflowEvent),
  ]);
  expect(changes.parked).toMatchObject([{ type: 'moon.landed', version: 2 }]);
});

test('a stream with a gap is parked, not guessed at', () => {
  const events = exampleStream(1);
  expect(project([...events.slice(0, 3), ...events.slice(5)]).parked).toMatchObject([
    { version: 6, reason: expect.stringContaining('version 4 comes next') },
  ]);
});

test('an account is no task: its events are passed over', () => {
  const account = {
    ...storedEvent('ac_01_aaaaaaaaaaaaaaaaaaaaaaaaaa', 1, { type: 'account.frozen', data: { request: 'r' } } as never),
    tenant: 'acme',
  };
  const changes = project([account as StoredEvent, ...exampleStream(1)]);
  expect(changes.parked).toEqual([]);
  expect([...changes.workflows.keys()]).toEqual([exampleWorkflow(1)]);
  expect(changes.timeline.every((row) => row.workflow === exampleWorkflow(1))).toBe(true);
});

test('batches of any size make the same rows', () => {
  const events = exampleStream(1);
  const whole = project(events).workflows.get(exampleWorkflow(1));
  let known: Known | undefined;
  for (const [position, envelope] of events.entries())
    known = projectBatch(
      0,
      [{ position, envelope }],
      () => known,
      () => false,
    ).workflows.get(envelope.stream);
  expect(known).toEqual(whole);
});
