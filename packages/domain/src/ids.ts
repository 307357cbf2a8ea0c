/**
 * Names of things. Every id is a single subject token (`[A-Za-z0-9_-]`), so it can stand in a NATS subject,
 * a URL path and a file name without escaping.
 */

/** Who owns the work: a short lower-case name. Comes from a credential, never from a message's claim. */
export type TenantId = string & { readonly __brand: 'TenantId' };
/** What the client calls its request; the same id again is the same request. At most 64 characters. */
export type RequestId = string & { readonly __brand: 'RequestId' };
/** `wf_<pp>_<digest>`: the partition is inside, so the number of partitions can change later. */
export type WorkflowId = string & { readonly __brand: 'WorkflowId' };
/** `a0` is the root agent, `a0-1` its first child, `a0-1-2` a grandchild. */
export type AgentId = string & { readonly __brand: 'AgentId' };
/** `<agent>_s<n>`: the n-th step of an agent, counted from 1. */
export type StepId = string & { readonly __brand: 'StepId' };
/** `<step>_t<n>`: the n-th try at a step, counted from 1. */
export type AttemptId = string & { readonly __brand: 'AttemptId' };

/** `ac_<pp>_<digest>`: the account of a tenant. */
export type AccountId = string & { readonly __brand: 'AccountId' };

/** The account above all tenants: frozen, nobody spends. No tenant may be called so. */
export const PLATFORM = 'platform' as TenantId;

/** Partitions of a new installation. The number is fixed at install; ids keep the partition that they were born with. */
export const PARTITIONS = 16;

const TOKEN = /^[A-Za-z0-9_-]{1,64}$/;
const TENANT = /^[a-z][a-z0-9-]{0,31}$/;
const WORKFLOW = /^wf_(\d{2})_[a-z2-7]{26}$/;
const ACCOUNT = /^ac_(\d{2})_[a-z2-7]{26}$/;

export const isToken = (text: string): boolean => TOKEN.test(text);
export const isTenantId = (text: string): text is TenantId => TENANT.test(text);
export const isRequestId = (text: string): text is RequestId => TOKEN.test(text);
export const isWorkflowId = (text: string): text is WorkflowId => WORKFLOW.test(text);

export const isAccountId = (text: string): text is AccountId => ACCOUNT.test(text);

/** The partition that a workflow or an account lives in, or `undefined` when the id is not one of ours. */
export function partitionOf(stream: string): number | undefined {
  const match = WORKFLOW.exec(stream) ?? ACCOUNT.exec(stream);
  return match?.[1] === undefined ? undefined : Number(match[1]);
}

/**
 * The workflow of a request. `digest` is the caller's base32 SHA-256 of `tenant|request` (26 characters):
 * hashing is not this package's business.
 */
export function workflowIdOf(partition: number, digest: string): WorkflowId {
  return `wf_${String(partition).padStart(2, '0')}_${digest}` as WorkflowId;
}

/** The account of a tenant; `digest` as for a workflow, of the tenant alone. */
export function accountIdOf(partition: number, digest: string): AccountId {
  return `ac_${String(partition).padStart(2, '0')}_${digest}` as AccountId;
}

/**
 * The partition of a request: FNV-1a (32 bit) over the two tokens, modulo the number of partitions.
 * Must equal nats-server's `{{partition(n,1,2)}}` (server/subject_transform.go, getHashPartition), because
 * requests from outside are mapped by the server and requests through the gateway are mapped here.
 */
export function partitionOfRequest(tenant: string, request: string, partitions: number = PARTITIONS): number {
  let hash = 0x811c9dc5;
  for (const token of [tenant, request]) {
    for (let i = 0; i < token.length; i++) hash = Math.imul(hash ^ token.charCodeAt(i), 0x01000193);
  }
  return (hash >>> 0) % partitions;
}

export const ROOT_AGENT = 'a0' as AgentId;
export const childId = (parent: AgentId, n: number): AgentId => `${parent}-${n}` as AgentId;
export const stepId = (agent: AgentId, n: number): StepId => `${agent}_s${n}` as StepId;
export const attemptId = (step: StepId, n: number): AttemptId => `${step}_t${n}` as AttemptId;
