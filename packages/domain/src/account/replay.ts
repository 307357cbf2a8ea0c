import { changes } from '../changes.ts';
import { type Decision, nothing } from '../decider.ts';
import { type Divergence, divergenceOf } from '../divergence.ts';
import { type Account, evolveAccount, NO_ACCOUNT } from './account.ts';
import { type AccountInput, decideAccount } from './decide.ts';
import type { AccountEvent } from './events.ts';

/** One recorded decision: the input and its consequences, in order, with the time that was decided at. */
export interface RecordedAccountDecision {
  readonly at: number;
  readonly events: readonly AccountEvent[];
}

export type AccountReplay =
  | { readonly kind: 'same'; readonly account: Account }
  /** `index`: of the first decision that comes out differently. */
  | {
      readonly kind: 'diverged';
      readonly index: number;
      readonly recorded: readonly AccountEvent[];
      readonly decided: readonly AccountEvent[];
    };

/** Decides a recorded history again, input by input. Everything that a decision depends on stands in its events. */
export function replayAccount(history: readonly RecordedAccountDecision[]): AccountReplay {
  let account = NO_ACCOUNT;
  for (const [index, recorded] of history.entries()) {
    const decision = decideOne(recorded, account, decideAccount);
    const decided = decision.kind === 'events' ? decision.events : [];
    if (changes(recorded.events, decided).length > 0) return { kind: 'diverged', index, recorded: recorded.events, decided };
    account = recorded.events.reduce((state, event) => evolveAccount(state, event, recorded.at), account);
  }
  return { kind: 'same', account };
}

/** What is decided today, in place of `decideAccount`. */
export type DecideAccount = typeof decideAccount;

/** Where a history diverges, decision by decision. The state is the recorded one throughout. */
export function redecideAccount(
  history: readonly RecordedAccountDecision[],
  by: DecideAccount = decideAccount,
): { readonly divergences: readonly Divergence[]; readonly account: Account } {
  const divergences: Divergence[] = [];
  let account = NO_ACCOUNT;
  for (const recorded of history) {
    const decision = decideOne(recorded, account, by);
    const [decided, because] =
      decision.kind === 'events' ? [decision.events] : [[], decision.kind === 'nothing' ? decision.because : decision.refusal.message];
    const divergence = divergenceOf(account.version + 1, recorded.events, decided, because);
    if (divergence !== undefined) divergences.push(divergence);
    account = recorded.events.reduce((state, event) => evolveAccount(state, event, recorded.at), account);
  }
  return { divergences, account };
}

function decideOne({ at, events }: RecordedAccountDecision, account: Account, by: DecideAccount): Decision<AccountEvent> {
  const [first] = events;
  const input = first === undefined ? undefined : inputOf(first, at);
  return input === undefined ? nothing('no input is recorded as such an event') : by(input, account, { now: at });
}

function inputOf(first: AccountEvent, at: number): AccountInput | undefined {
  switch (first.type) {
    case 'account.budgets_defined':
      return { kind: 'define', ...first.data };
    case 'account.frozen':
      return { kind: 'freeze', ...first.data };
    case 'account.thawed':
      return { kind: 'thaw', ...first.data };
    case 'lease.asked':
      return { kind: 'ask', ask: first.data, sentAt: at };
    case 'lease.settled': {
      const { returnedMicroUsd: _, ...settlement } = first.data;
      return { kind: 'settle', settlement };
    }
    case 'lease.settled_late':
    case 'lease.withdrawn':
      return { kind: 'settle', settlement: first.data };
    case 'account.timer_fired':
      return { kind: 'timer' };
    default:
      return undefined;
  }
}
