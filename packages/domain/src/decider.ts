import type { Refusal } from './refusals.ts';

/**
 * What `decide` answers. `events` holds the input that was consumed, then its consequences.
 * The same input twice decides `nothing` the second time: at-least-once delivery stops being frightening.
 */
export type Decision<Event> =
  | { readonly kind: 'events'; readonly events: readonly Event[] }
  | { readonly kind: 'nothing'; readonly because: string }
  | { readonly kind: 'refused'; readonly refusal: Refusal };

export const nothing = (because: string): Decision<never> => ({ kind: 'nothing', because });

/** Fails to compile when a `switch` forgets a case; throws when data from outside got past its schema. */
export function unreachable(value: never): never {
  throw new Error(`not a known case: ${JSON.stringify(value)}`);
}
