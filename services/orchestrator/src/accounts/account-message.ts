import {
  accountDefine,
  accountFreeze,
  allowanceOf,
  type CloudEvent,
  accountPartition,
  type InboxAddress,
  leaseAnswer,
  type LeaseAnswer,
  leaseAsk,
  leaseSettle,
  type Parsed,
  parseMessage,
  type ParkReason,
  TYPES,
} from '@mandate/contracts';
import { type AccountInput, isRequestId, partitionOf, PLATFORM } from '@mandate/domain';
import type { Cause } from '../encode-decision.ts';

/** What came in about an account, or from one. */
export type AccountMessage =
  | { readonly kind: 'account'; readonly tenant: string; readonly input: AccountInput; readonly cause: Cause }
  | {
      readonly kind: 'lease_answer';
      readonly tenant: string;
      readonly workflow: string;
      readonly number: number;
      readonly answer: LeaseAnswer;
      readonly cause: Cause;
    };

export type AccountRead =
  | { readonly ok: true; readonly message: AccountMessage }
  | { readonly ok: false; readonly reason: ParkReason; readonly detail: string };

const OPERATOR = { [TYPES.accountFreeze]: 'freeze', [TYPES.accountThaw]: 'thaw' } as const;

/** Reads what concerns accounts; undefined for everything else. Who may say what is said by the source in the subject. */
export function readAccountMessage(address: InboxAddress, event: CloudEvent, actor: string): AccountRead | undefined {
  const cause: Cause = { actor, causation: event.causationid ?? event.id, message: event.id, traceparent: event.traceparent };
  const about = (parsed: Parsed<unknown>, build: () => AccountInput): AccountRead => {
    if (!parsed.ok) return parsed;
    if (accountPartition(address.tenant) !== address.partition)
      return { ok: false, reason: 'wrong_partition', detail: `the account is not of partition ${address.partition}` };
    return { ok: true, message: { kind: 'account', tenant: address.tenant, input: build(), cause } };
  };
  if (address.source === 'orchestrator' || address.source === 'llm-router') {
    if (event.type === TYPES.leaseAsk) {
      const parsed = parseMessage(event, TYPES.leaseAsk, leaseAsk);
      if (parsed.ok && !isTheirs(address, parsed.value.lease, parsed.value.holder)) return FOREIGN;
      return about(parsed, () => {
        const { sentAt, ...ask } = (parsed as Extract<typeof parsed, { ok: true }>).value;
        return { kind: 'ask', ask, sentAt };
      });
    }
    if (event.type === TYPES.leaseSettle) {
      const parsed = parseMessage(event, TYPES.leaseSettle, leaseSettle);
      if (parsed.ok && !isTheirs(address, parsed.value.lease)) return FOREIGN;
      return about(parsed, () => ({ kind: 'settle', settlement: (parsed as Extract<typeof parsed, { ok: true }>).value }));
    }
  }
  if (address.source === 'orchestrator' && event.type === TYPES.leaseAnswer) return answered(address, event, cause);
  if (address.source !== 'gateway') return undefined;
  const request = event.subject ?? '';
  const command = { ...cause, causation: request };
  if (event.type === TYPES.accountDefine) {
    const parsed = parseMessage(event, TYPES.accountDefine, accountDefine);
    if (!isRequestId(request) || address.tenant === PLATFORM)
      return { ok: false, reason: 'invalid_data', detail: 'no request, or no tenant' };
    const read = about(parsed, () => ({ kind: 'define', request, ...(parsed as Extract<typeof parsed, { ok: true }>).value }));
    return read.ok ? { ok: true, message: { ...read.message, cause: command } } : read;
  }
  const kind = (OPERATOR as Readonly<Record<string, 'freeze' | 'thaw'>>)[event.type];
  if (kind === undefined) return undefined;
  if (!isRequestId(request)) return { ok: false, reason: 'invalid_data', detail: 'the request id must be 1 to 64 of A-Z a-z 0-9 _ -' };
  const read = about(parseMessage(event, event.type, accountFreeze), () => ({ kind, request }));
  return read.ok ? { ok: true, message: { ...read.message, cause: command } } : read;
}

const FOREIGN: AccountRead = { ok: false, reason: 'invalid_data', detail: 'a lease of a task is an orchestrator’s, any other a router’s' };

/** Orchestrators speak for tasks, routers for themselves: nobody frees what somebody else has leased. */
function isTheirs({ source }: InboxAddress, lease: string, holder?: 'workflow' | 'router'): boolean {
  const isOfTask = allowanceOf(lease) !== undefined;
  if (source === 'orchestrator') return isOfTask && holder !== 'router';
  return !isOfTask && holder !== 'workflow' && !lease.startsWith('wf_') && /._\d+$/.test(lease);
}

function answered(address: InboxAddress, event: CloudEvent, cause: Cause): AccountRead {
  const parsed = parseMessage(event, TYPES.leaseAnswer, leaseAnswer);
  if (!parsed.ok) return parsed;
  const allowance = allowanceOf(parsed.value.lease);
  if (allowance === undefined || partitionOf(allowance.workflow) !== address.partition)
    return { ok: false, reason: 'wrong_partition', detail: `the lease is not of a workflow of partition ${address.partition}` };
  return { ok: true, message: { kind: 'lease_answer', tenant: address.tenant, ...allowance, answer: parsed.value, cause } };
}
