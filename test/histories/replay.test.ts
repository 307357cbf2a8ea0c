import { decisionsOf, EVENT_VERSIONS, type StoredEvent } from '@mandate/contracts';
import { isOpen, replay, rootOf } from '@mandate/domain';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

/** Runs recorded from real stacks, decided again by today's code. They are never edited; `record.ts` adds new ones. */
const folder = new URL('./runs/', import.meta.url);
const runs = readdirSync(folder).filter((name) => name.endsWith('.json'));

describe('a recorded run', () => {
  it.each(runs)('%s is decided today as it was then', (name) => {
    const stored = JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as StoredEvent[];
    const again = replay(decisionsOf(stored));
    expect(again.kind === 'diverged' ? { decision: again.index, recorded: again.recorded, decided: again.decided } : 'same').toBe('same');
    if (again.kind === 'diverged') return;
    expect(isOpen(again.workflow)).toBe(false);
    expect(rootOf(again.workflow)?.mandate.reserved.moneyMicroUsd ?? 0).toBe(0);
  });

  it('exists with every past version of every type of event', () => {
    const stored = runs.flatMap((name) => JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as StoredEvent[]);
    const recorded = new Set(stored.map(({ type, schema }) => `${type}.v${schema}`));
    const past = Object.entries(EVENT_VERSIONS).flatMap(([type, current]) =>
      Array.from({ length: current - 1 }, (_, n) => `${type}.v${n + 1}`),
    );
    expect(past.length).toBeGreaterThan(0);
    expect(past.filter((version) => !recorded.has(version))).toEqual([]);
  });

  it('exists for every kind of end', () => {
    const ends = runs.map(
      (name) =>
        (JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as StoredEvent[]).findLast((event) =>
          /^task\.(completed|failed|cancelled|rejected)$/.test(event.type),
        )?.type,
    );
    expect(new Set(ends)).toEqual(new Set(['task.completed', 'task.failed', 'task.cancelled', 'task.rejected']));
  });
});
