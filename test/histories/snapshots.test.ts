import { type StoredEvent, upcast } from '@mandate/contracts';
import { ABSENT, evolve, type Workflow } from '@mandate/domain';
import { readdirSync, readFileSync } from 'node:fs';
import { deserialize, serialize } from 'node:v8';
import { expect, it } from 'vitest';

/** Every state that a recorded run went through is stored and read back as a snapshot is, and folded on: nothing is lost of it. */
const folder = new URL('./runs/', import.meta.url);

const fold = (events: readonly StoredEvent[], from: Workflow): Workflow =>
  events.reduce((state, event) => {
    const today = upcast(event);
    return evolve(state, today, today.at);
  }, from);

it.each(readdirSync(folder).filter((name) => name.endsWith('.json')))('%s', (name) => {
  const stored = JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as StoredEvent[];
  const whole = fold(stored, ABSENT);
  for (let version = 1; version <= stored.length; version++) {
    const snapshot = deserialize(serialize(fold(stored.slice(0, version), ABSENT))) as Workflow;
    expect(fold(stored.slice(version), snapshot)).toStrictEqual(whole);
  }
});
