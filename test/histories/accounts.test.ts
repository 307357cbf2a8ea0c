import { readdirSync, readFileSync } from 'node:fs';
import {
  ACCOUNT_EVENT_SCHEMAS,
  ACCOUNT_EVENT_VERSIONS,
  storedAccountEvent,
  type StoredAccountEvent,
  UnknownEventVersion,
  upcastAccountEvent,
} from '@mandate/contracts';
import { type RecordedAccountDecision, replayAccount } from '@mandate/domain';
import { describe, expect, it } from 'vitest';

/** What accounts stored once must be readable, and decide the same, for ever: files are never edited, only added to. */
const read = <T>(path: string): T => JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as T;
const filesIn = (folder: string): readonly string[] => readdirSync(new URL(folder, import.meta.url)).toSorted();

describe('a stored event of an account', () => {
  const files = filesIn('account-events/');
  const samples = files.flatMap((file) =>
    read<StoredAccountEvent[]>(`account-events/${file}`).map((sample, n) => ({ name: `${file} ${n}`, sample })),
  );

  it('has a sample of every version of every type', () => {
    const versions = Object.entries(ACCOUNT_EVENT_VERSIONS).flatMap(([type, current]) =>
      Array.from({ length: current }, (_, n) => `${type}.v${n + 1}.json`),
    );
    expect(files).toEqual(versions.toSorted());
  });

  it.each(samples)('$name is read whole, in today’s shape', ({ sample }) => {
    expect(storedAccountEvent.parse(sample)).toEqual(sample);
    const today = upcastAccountEvent(sample);
    expect(ACCOUNT_EVENT_SCHEMAS[today.type].parse(today.data)).toEqual(today.data);
  });

  it('of a version that this build does not know is refused by name', () => {
    const [first] = samples;
    expect(() => upcastAccountEvent({ ...first?.sample, schema: 99 } as StoredAccountEvent)).toThrow(UnknownEventVersion);
  });
});

it.each(filesIn('account-runs/'))('%s decides the same again', (file) => {
  const again = replayAccount(read<RecordedAccountDecision[]>(`account-runs/${file}`));
  expect(again.kind === 'diverged' ? [again.index, again.recorded, again.decided] : 'same').toBe('same');
});
