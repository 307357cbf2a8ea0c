import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { EVENT_SCHEMAS, EVENT_VERSIONS, type StoredEvent, storedEvent, UnknownEventVersion, upcast } from './events.ts';

/** What was stored once must be readable for ever: samples of every version of every event, never edited, only added to. */
const folder = new URL('../../../test/histories/events/', import.meta.url);
const files = readdirSync(folder).sort();
const samplesOf = (file: string): StoredEvent[] => JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as StoredEvent[];
const samples = files.flatMap((file) => samplesOf(file).map((sample, index) => ({ name: `${file} ${index}`, sample })));

it('there is a sample of every version of every event', () => {
  const versions = Object.entries(EVENT_VERSIONS).flatMap(([type, current]) =>
    Array.from({ length: current }, (_, i) => `${type}.v${i + 1}.json`),
  );
  expect(files).toEqual(versions.sort());
});

describe('a stored event', () => {
  it.each(samples)('$name is read whole, in today’s shape', ({ sample }) => {
    expect(storedEvent.parse(sample)).toEqual(sample);
    const today = upcast(sample);
    expect(today.schema).toBe(EVENT_VERSIONS[sample.type]);
    expect(EVENT_SCHEMAS[sample.type].parse(today.data)).toEqual(today.data);
  });

  it('of this version comes back as it is', () => {
    for (const { sample } of samples.filter((each) => each.sample.schema === EVENT_VERSIONS[each.sample.type]))
      expect(upcast(sample)).toBe(sample);
  });

  it.each([
    ['a newer version', { schema: 99 }],
    ['a version before the first', { schema: 0 }],
    ['another type', { type: 'task.exploded' }],
  ])('of %s is refused by name', (_, change) => {
    const [first] = samples;
    const strange = { ...first?.sample, ...change } as StoredEvent;
    expect(() => upcast(strange)).toThrow(UnknownEventVersion);
    expect(() => upcast(strange)).toThrow(`${strange.type} version ${strange.schema}`);
  });
});

it('the samples show every way in which an attempt can end, and every timer', () => {
  const data = <T>(type: StoredEvent['type']): T[] =>
    samples.filter(({ sample }) => sample.type === type).map(({ sample }) => sample.data as T);
  const outcomes = new Set(data<{ outcome: string }>('attempt.settled').map(({ outcome }) => outcome));
  expect([...outcomes].sort()).toEqual(['cancelled', 'expired', 'failed', 'lost', 'succeeded', 'unknown']);
  const answers = new Set(data<{ answer?: { kind: string } }>('attempt.settled').map(({ answer }) => answer?.kind));
  expect(answers).toEqual(new Set(['analyze', 'llm', 'tool', undefined]));
  expect(new Set(data<{ timer: string }>('timer.fired').map(({ timer }) => timer))).toEqual(
    new Set(['agent', 'attempt', 'retry', 'workflow']),
  );
});
