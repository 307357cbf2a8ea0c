import { describe, expect, it } from 'vitest';
import { parseCloudEvent, parseMessage, type Parsed } from './cloud-event.ts';
import { TYPES } from './flow.ts';
import { LIMITS } from './limits.ts';
import { taskSubmit, type TaskSubmit } from './messages/tasks.ts';

const bytesOf = (value: unknown): Uint8Array => new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));
const envelope = { specversion: '1.0', id: '1', source: '/test', type: TYPES.taskSubmit };
const submit = (data: unknown): Parsed<TaskSubmit> => {
  const event = parseCloudEvent(bytesOf({ ...envelope, data }));
  return event.ok ? parseMessage(event.value, TYPES.taskSubmit, taskSubmit) : event;
};
const reasonOf = (parsed: Parsed<unknown>): string => (parsed.ok ? 'ok' : parsed.reason);

describe('bytes from outside', () => {
  it('are read up to the limit and not one byte further', () => {
    const padded = (length: number): Uint8Array => bytesOf(JSON.stringify({ ...envelope, data: {} }).padEnd(length));
    expect(reasonOf(parseCloudEvent(padded(1_000), 1_000))).toBe('ok');
    expect(parseCloudEvent(padded(1_001), 1_000)).toEqual({ ok: false, reason: 'too_large', detail: '1001 bytes; at most 1000' });
    expect(reasonOf(parseCloudEvent(padded(LIMITS.messageBytes)))).toBe('ok');
    expect(reasonOf(parseCloudEvent(padded(LIMITS.messageBytes + 1)))).toBe('too_large');
  });

  it('are measured before anything else is done with them', () => {
    expect(reasonOf(parseCloudEvent(new Uint8Array(2_000).fill(0xff), 1_000))).toBe('too_large');
    expect(reasonOf(parseCloudEvent(bytesOf('['.repeat(900_000))))).toBe('too_deep');
  });

  it('may nest as deeply as the limit, the envelope included', () => {
    const nested = (levels: number): Uint8Array =>
      bytesOf(`{"specversion":"1.0","id":"1","source":"/t","type":"t","data":${'['.repeat(levels - 1)}${']'.repeat(levels - 1)}}`);
    expect(reasonOf(parseCloudEvent(nested(LIMITS.jsonDepth)))).toBe('ok');
    expect(parseCloudEvent(nested(LIMITS.jsonDepth + 1))).toMatchObject({
      reason: 'too_deep',
      detail: `nested ${LIMITS.jsonDepth + 1} levels; at most ${LIMITS.jsonDepth}`,
    });
  });

  it('that the orchestrator has signed may nest deeper, and are not larger or of another encoding', () => {
    const deep = bytesOf({ ...envelope, data: JSON.parse(`${'['.repeat(100)}${']'.repeat(100)}`) as unknown });
    expect(reasonOf(parseCloudEvent(deep, LIMITS.messageBytes, 'signed'))).toBe('ok');
    expect(reasonOf(parseCloudEvent(deep, 100, 'signed'))).toBe('too_large');
    expect(reasonOf(parseCloudEvent(new Uint8Array([0xff]), 100, 'signed'))).toBe('not_json');
  });

  it.each([
    ['a lone continuation byte', [0x22, 0x80, 0x22]],
    ['an overlong slash', [0x22, 0xc0, 0xaf, 0x22]],
    ['a surrogate', [0x22, 0xed, 0xa0, 0x80, 0x22]],
    ['UTF-16', [0xff, 0xfe, 0x7b, 0x00]],
  ])('that are not UTF-8 (%s) are refused', (_, bytes) => {
    expect(parseCloudEvent(new Uint8Array(bytes))).toEqual({ ok: false, reason: 'not_json', detail: 'not UTF-8' });
  });

  it.each(['', ' ', '{', '{"a":1}}', "{'a':1}", '{"a":1,}', 'NaN', '{"a":"\n"}', '\u0000'])(
    'that are not JSON (%j) are refused',
    (text) => {
      expect(reasonOf(parseCloudEvent(bytesOf(text)))).toBe('not_json');
    },
  );

  it.each([
    ['a number', 1],
    ['null', null],
    ['a list', [envelope]],
    ['without specversion', { ...envelope, specversion: undefined }],
    ['of another specversion', { ...envelope, specversion: '0.3' }],
    ['with an empty id', { ...envelope, id: '' }],
    ['with a tenant that is no name', { ...envelope, tenant: 'Acme Inc.' }],
    ['with an endless source', { ...envelope, source: 'x'.repeat(301) }],
  ])('that are no CloudEvent (%s) are refused', (_, value) => {
    expect(reasonOf(parseCloudEvent(bytesOf(value)))).toBe('not_a_cloud_event');
  });

  it('are named in a refusal by their fields, never by their values', () => {
    const refused = submit({ task: 'x', options: { secret_word: 1, maxTokens: 'canary' } });
    expect(refused).toMatchObject({ ok: false, reason: 'invalid_data' });
    expect(JSON.stringify(refused)).toContain('options.maxTokens');
    expect(JSON.stringify(refused)).not.toMatch(/canary|secret_word/);
  });
});

describe('the text of a task', () => {
  const characters = LIMITS.taskBytes;
  it.each([
    ['plain', 'Count the files.', 'ok'],
    ['the longest', 'a'.repeat(characters), 'ok'],
    ['one byte too long', 'a'.repeat(characters + 1), 'invalid_data'],
    ['short in characters, too long in bytes', 'é'.repeat(characters / 2 + 1), 'invalid_data'],
    ['empty', '', 'invalid_data'],
    ['blank', ' \n\t\u00a0', 'invalid_data'],
    ['with NUL', 'a\u0000b', 'invalid_data'],
    ['with a lone surrogate', 'a\ud800b', 'invalid_data'],
    ['with every other control character', '\u0001\u001f\u007f a', 'ok'],
    ['not a string', 7, 'invalid_data'],
  ])('%s', (_, task, reason) => {
    expect(reasonOf(submit({ task }))).toBe(reason);
  });
});

describe('a message type', () => {
  it.each([
    ['mandate.task.submit.v1', 'ok'],
    ['mandate.task.submit.v2', 'unknown_version'],
    ['mandate.task.submit', 'unknown_type'],
    ['mandate.task.cancel.v1', 'unknown_type'],
    ['v1', 'unknown_type'],
  ])('%s as a submission: %s', (type, reason) => {
    const event = parseCloudEvent(bytesOf({ ...envelope, type, data: { task: 'x' } }));
    expect(event.ok && reasonOf(parseMessage(event.value, TYPES.taskSubmit, taskSubmit))).toBe(reason);
  });
});
