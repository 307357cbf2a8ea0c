import type { EventData, WorkflowEventType } from '@mandate/domain';
import type { z } from 'zod';
import type { EVENT_SCHEMAS } from './events.ts';

/**
 * The schema of every event and the type of the domain are the same, in both directions. Nothing runs here: `tsc` is the
 * test. Brands, `readonly` and the `undefined` of zod's optional fields are taken away first; they do not exist in JSON.
 */
type Plain<T> = T extends string
  ? T extends { readonly __brand: string }
    ? string
    : T
  : T extends readonly (infer Element)[]
    ? Plain<Element>[]
    : T extends object
      ? { -readonly [Key in keyof T]: Exclude<Plain<T[Key]>, undefined> }
      : T;

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

type Differing = {
  [Type in WorkflowEventType]: Same<Plain<z.infer<(typeof EVENT_SCHEMAS)[Type]>>, Plain<EventData<Type>>> extends true ? never : Type;
}[WorkflowEventType];

type Must<Claim extends true> = Claim;
/** The error names the events that differ. */
type None<Found extends never> = Found;
export type Proof = [
  None<Differing>,
  // And the comparison can tell things apart.
  Must<Same<Same<Plain<{ readonly a?: string }>, Plain<{ a: string }>>, false>>,
  Must<Same<Same<Plain<{ a: string }>, Plain<{ a: string; b?: string }>>, false>>,
  Must<Same<Same<Plain<{ a: 'x' | 'y' }>, Plain<{ a: 'x' }>>, false>>,
  Must<Same<Same<Plain<{ a?: string }>, Plain<{ readonly a?: string | undefined }>>, true>>,
];
