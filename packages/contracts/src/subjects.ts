import type { ServiceName } from './flow.ts';

/** Every subject is built here and nowhere else. Tokens hold no dots, so a subject can be split without ambiguity. */
export const subjects = {
  inbox: (partition: number, source: ServiceName, tenant: string): string => `in.${partition}.${source}.${tenant}`,
  /** Where another service publishes a task; the server maps it to `in.<p>.task.<tenant>.<request>`. */
  task: (tenant: string, request: string): string => `task.${tenant}.${request}`,
  command: (kind: 'analyze' | 'llm' | 'tool', partition: number, tenant: string): string => `cmd.${kind}.${partition}.${tenant}`,
  event: (partition: number, tenant: string, workflow: string, type: string): string =>
    `evt.${partition}.${tenant}.${workflow}.${type.replace('.', '-')}`,
  /** Receipts and results of one request; core NATS, sent again when the request is repeated. */
  out: (tenant: string, request: string): string => `out.${tenant}.${request}`,
  claim: (workflow: string, attempt: string): string => `claim.${workflow}.${attempt}`,
  stop: (kind: 'analyze' | 'llm' | 'tool'): string => `ctl.stop.${kind}`,
  grant: (runner: string): string => `ctl.grant.${runner}`,
  /** Where a router hears what became of the leases that it asked for. */
  lease: (router: string): string => `ctl.lease.${router}`,
  /** Which accounts are frozen, and which have limits. */
  standing: (): string => 'ctl.standing',
  /** Where orchestrators hear that partitions were given back. */
  partitionsFree: (): string => 'ctl.partitions',
  /** Where everybody who holds keys or words hears what was erased. */
  keysDestroyed: (): string => 'ctl.keys',
  heartbeat: (service: ServiceName, instance: string): string => `hb.${service}.${instance}`,
  query: (service: ServiceName, name: string): string => `q.${service}.${name}`,
} as const;

/** What the inbox knows about a sender from the subject alone: the server let them publish there. */
export interface InboxAddress {
  readonly partition: number;
  /** `task` for a message from outside. */
  readonly source: ServiceName | 'task';
  readonly tenant: string;
  /** Only for `task`. */
  readonly request?: string;
}

export function parseInbox(subject: string): InboxAddress | undefined {
  const [head, partition, source, tenant, request] = subject.split('.');
  if (head !== 'in' || partition === undefined || source === undefined || tenant === undefined) return undefined;
  return { partition: Number(partition), source: source as InboxAddress['source'], tenant, ...(request === undefined ? {} : { request }) };
}
