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
  for (const [index, { at, events }] of history.entries()) {
    const [first] = events;
    const input = first === undefined ? undefined : inputOf(first, at);
    const decision = input === undefined ? undefined : decideAccount(input, account, { now: at });
    const decided = decision?.kind === 'events' ? decision.events : [];
    if (JSON.stringify(decided) !== JSON.stringify(events)) return { kind: 'diverged', index, recorded: events, decided };
    account = events.reduce((state, event) => evolveAccount(state, event, at), account);
  }
  return { kind: 'same', account };
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
