import { readdirSync, readFileSync } from 'node:fs';
import { ABSENT, evolve, stateOf } from '@mandate/domain';
import { expect, it } from 'vitest';
import { type StoredEvent, upcast } from '../events.ts';
import { workflowState } from './workflow-state.ts';

const folder = new URL('../../../../test/histories/runs/', import.meta.url);

it.each(readdirSync(folder))('no state of the recorded run %s has anything that its contract does not name', (name) => {
  const stored = JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as StoredEvent[];
  let workflow = ABSENT;
  for (const event of stored.map(upcast)) {
    workflow = evolve(workflow, event, event.at);
    const state = stateOf(workflow);
    expect(workflowState.parse(state)).toEqual(state);
  }
});
