import { randomBytes } from 'node:crypto';
import {
  accountPartition,
  accountReceipt,
  type AccountReceipt,
  type AccountView,
  accountView,
  parseCloudEvent,
  parseMessage,
  type Problem,
  subjects,
  TYPES,
} from '@mandate/contracts';
import type { Bus } from '@mandate/messaging';
import { GatewayProblem, unavailable } from '../http/problem.ts';
import type { Identity } from '../identity/api-keys.ts';

const RECEIPT_WITHIN_MS = 5_000;
const ANSWER_WITHIN_MS = 4_000;

export interface AccountCommand {
  readonly type: typeof TYPES.accountDefine | typeof TYPES.accountFreeze | typeof TYPES.accountThaw;
  /** Whose account; `platform` for all. */
  readonly tenant: string;
  readonly request: string;
  readonly by: Identity;
  readonly traceparent: string;
  readonly data: unknown;
}

/**
 * Puts an operator's command into the inbox of the account's owner and waits until it is on the record.
 * @throws GatewayProblem 422 when it was refused, 503 without a receipt within 5 s; it may be sent again
 */
export async function commandAccount(bus: Bus, instance: string, command: AccountCommand): Promise<AccountView> {
  if (!bus.connected) throw unavailable('BusUnavailable', 'The message bus cannot be reached.');
  const { tenant, request } = command;
  const id = `${request}.${randomBytes(6).toString('hex')}`;
  const receipt = Promise.withResolvers<AccountReceipt | undefined>();
  const listening = bus.listen(subjects.out(tenant, request), (message) => {
    const event = parseCloudEvent(message.data);
    if (!event.ok || event.value.causationid !== id) return;
    const parsed = parseMessage(event.value, TYPES.accountReceipt, accountReceipt);
    if (parsed.ok) receipt.resolve(parsed.value);
  });
  const late = setTimeout(() => receipt.resolve(undefined), RECEIPT_WITHIN_MS);
  try {
    const message = JSON.stringify({
      specversion: '1.0',
      id,
      source: `/mandate/gateway/${instance}/key/${command.by.keyId}`,
      type: command.type,
      subject: request,
      time: new Date().toISOString(),
      tenant,
      traceparent: command.traceparent,
      data: command.data,
    });
    await bus.publish(subjects.inbox(accountPartition(tenant), 'gateway', tenant), message, { id }).catch((cause: unknown) => {
      throw unavailable('BusUnavailable', 'The message bus did not take the command.', cause);
    });
    const received = await receipt.promise;
    if (received === undefined) throw unavailable('NoReceipt', 'The command was not confirmed in time; it may still be carried out.');
    if (received.accepted) return received.account;
    throw new GatewayProblem({ status: 422, code: received.code, detail: received.message, next: received.next });
  } finally {
    clearTimeout(late);
    listening.stop();
  }
}

/** Asks the owner of the account. @throws GatewayProblem 503 while nobody owns it */
export async function readAccount(bus: Bus, tenant: string): Promise<AccountView> {
  const subject = subjects.query('orchestrator', `account-${accountPartition(tenant)}`);
  const reply = (await bus.ask(subject, JSON.stringify({ tenant }), ANSWER_WITHIN_MS).catch((cause: unknown) => {
    throw unavailable('AccountUnavailable', 'Nobody owns this account at the moment.', cause);
  })) as { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly problem: Problem };
  if (!reply.ok) throw unavailable(reply.problem.code, reply.problem.message);
  return accountView.parse(reply.value);
}
