import type { AccountEventData, AccountEventType } from '@mandate/domain';
import type { z } from 'zod';
import type { ACCOUNT_EVENT_SCHEMAS } from './account-events.ts';

/** As `events.test-d.ts`: the schema of every event of an account and the type of the domain are the same. `tsc` is the test. */
type Plain<T> = T extends readonly (infer Element)[]
  ? Plain<Element>[]
  : T extends object
    ? { -readonly [Key in keyof T]: Exclude<Plain<T[Key]>, undefined> }
    : T;
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
type Differing = {
  [Type in AccountEventType]: Same<Plain<z.infer<(typeof ACCOUNT_EVENT_SCHEMAS)[Type]>>, Plain<AccountEventData<Type>>> extends true
    ? never
    : Type;
}[AccountEventType];
type None<Found extends never> = Found;
export type Proof = None<Differing>;
